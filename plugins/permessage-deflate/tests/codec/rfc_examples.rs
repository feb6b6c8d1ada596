//! The examples of RFC 7692 section 7.2.3, in both directions.

use permessage_deflate::{InflateError, Options};

use crate::support::{Endpoint, agreed};

const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn endpoint(takeover: bool) -> Endpoint {
    let options = Options {
        level: permessage_deflate::Level::MAX,
        ..Options::default()
    };
    Endpoint::new(agreed(takeover, 15), &options)
}

fn decompressed(payload: &[u8]) -> Vec<u8> {
    endpoint(false).decompress(&[payload], 100).expect("valid")
}

#[test]
fn a_message_compressed_using_one_deflate_block() {
    assert_eq!(decompressed(&HELLO), b"Hello");
    assert_eq!(endpoint(false).compress(&[b"Hello"]), HELLO);
    let fragments = [&HELLO[..3], &HELLO[3..]];
    let text = endpoint(false).decompress(&fragments, 100);
    assert_eq!(text.expect("valid"), b"Hello");
}

#[test]
fn sharing_the_window() {
    let shared = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let mut with = endpoint(true);
    assert_eq!(with.decompress(&[&HELLO], 100).expect("valid"), b"Hello");
    assert_eq!(with.decompress(&[&shared], 100).expect("valid"), b"Hello");
    assert_eq!(with.compress(&[b"Hello"]), HELLO);
    assert_eq!(with.compress(&[b"Hello"]), shared);

    let mut without = endpoint(false);
    assert_eq!(without.decompress(&[&HELLO], 100).expect("valid"), b"Hello");
    let error = without.decompress(&[&shared], 100).expect_err("no window");
    assert_eq!(
        error,
        InflateError::Invalid("invalid distance too far back")
    );
    assert_eq!(without.compress(&[b"Hello"]), HELLO);
    assert_eq!(without.compress(&[b"Hello"]), HELLO);
}

#[test]
fn a_block_with_no_compression() {
    let stored = [
        0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
    ];
    assert_eq!(decompressed(&stored), b"Hello");
}

#[test]
fn a_block_with_bfinal_set() {
    let payload = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    assert_eq!(decompressed(&payload), b"Hello");
}

#[test]
fn two_blocks_in_one_message() {
    let payload = [
        0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    assert_eq!(decompressed(&payload), b"Hello");

    let mut endpoint = endpoint(false);
    let mut out = endpoint.compress_open(b"He");
    out.extend(endpoint.compress(&[b"llo"]));
    assert_eq!(out, payload);
}

#[test]
fn an_empty_message() {
    assert_eq!(decompressed(&[0x00]), b"");
    let mut endpoint = endpoint(true);
    for _ in 0..3 {
        assert_eq!(endpoint.compress(&[b""]), [0x00]);
    }
    assert_eq!(endpoint.compress(&[b"Hello"]), HELLO);
    assert_eq!(endpoint.compress(&[b""]), [0x00]);
    assert_eq!(endpoint.compress(&[b"", b"", b""]), [0x00]);
}
