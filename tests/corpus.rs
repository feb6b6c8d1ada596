//! The inputs that a fuzzer found worth keeping, as ordinary tests: `tests/fuzz/corpus/TARGET/*`.
//!
//! To look for more: `tests/fuzz/README.md`.

#[path = "fuzz/bodies/mod.rs"]
mod bodies;

use std::{fs, path::Path};

fn replay(target: &str, body: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        body(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", directory.display());
}

#[test]
fn every_kept_frame_header_is_written_as_it_was_read() {
    replay("frame_header", bodies::frame_header);
}

#[test]
fn every_kept_stream_is_heard_the_same_however_it_is_cut() {
    replay("websocket", bodies::websocket);
}

#[test]
fn every_kept_request_is_answered_by_the_rules() {
    replay("handshake", bodies::handshake);
}

#[test]
fn every_kept_extension_list_has_tokens_only() {
    replay("extension_offer", bodies::extension_offer);
}

#[test]
fn every_kept_file_is_judged_and_not_obeyed() {
    replay("plugin_stamp", bodies::plugin_stamp);
}

#[test]
fn every_kept_compressed_stream_is_text_a_refusal_or_a_failure_however_it_is_cut() {
    replay("inflate", bodies::inflate);
}

#[test]
fn every_kept_list_of_deflate_parameters_is_answered_by_the_rules() {
    replay("deflate_offer", bodies::deflate_offer);
}

#[test]
fn every_kept_request_head_is_read_the_same_whatever_follows() {
    replay("request_head", bodies::request_head);
}

#[test]
fn every_kept_chunked_body_is_the_same_however_it_is_cut() {
    replay("chunked_body", bodies::chunked_body);
}

#[test]
fn every_kept_connection_is_heard_and_answered_the_same_however_it_is_cut() {
    replay("http_connection", bodies::http_connection);
}

#[test]
fn every_kept_range_lies_inside_of_its_file() {
    replay("ranges", bodies::ranges);
}

#[test]
fn every_kept_response_head_is_read_the_same_whatever_follows() {
    replay("answer_head", bodies::answer_head);
}

#[test]
fn every_kept_exchange_of_a_client_is_heard_the_same_however_it_is_cut() {
    replay("client_exchange", bodies::client_exchange);
}

#[test]
fn every_kept_answer_to_an_opening_leads_to_the_same_however_it_is_cut() {
    replay("opening", bodies::opening);
}

#[test]
fn every_kept_url_keeps_its_input_and_asks_for_what_a_server_can_read() {
    replay("url", bodies::url);
}
