//! Every bound there is: its name (which is its config key under `limits`), unit, default, reason, and what
//! happens when it is reached.

use std::{fmt, sync::Arc};

use serde::Deserialize;

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident = $default:expr;)+) => {
        /// The bounds of one host. Set at start or with a new config; a changed value holds for what begins afterwards.
        /// Those of all memory, of commands, of threads for files and lookups and of the control socket take a restart.
        #[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
        #[serde(deny_unknown_fields, default)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: u64,)+
            /// Values of the fields of one name in a request, in bytes, those of all its lines together. Above it: 431,
            /// and a line in the log.
            #[serde(skip)]
            pub per_field_bytes: FieldBounds,
        }

        impl Default for Limits {
            fn default() -> Self {
                Self {
                    $($name: $default,)+
                    per_field_bytes: FieldBounds::default(),
                }
            }
        }

        impl Limits {
            /// The keys, for messages that name the nearest right one.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($name),)+ "per_field_bytes"];
        }
    };
}

limits! {
    /// Payload of one message, in bytes, after reassembly and extensions. A larger one fails the connection with 1009.
    message_bytes = 16 << 20;

    /// Request line and fields of one request, in bytes. Above it: 431.
    request_head_bytes = 16 << 10;
    /// Request target, in bytes. Above it: 414.
    request_target_bytes = 8 << 10;
    /// Fields of one request. Above it: 431.
    request_field_count = 100;
    /// Name and value of one of them, in bytes. Above it: 431.
    request_field_bytes = 8 << 10;
    /// Ranges that one request may ask for of one file. Above it the whole file is sent.
    ranges_count = 16;
    /// Fields that a plugin adds to one answer, in bytes. One more answers *full*.
    answer_fields_bytes = 16 << 10;
    /// Names and values of all that policies say of one connection or request, in bytes. One more answers *full*.
    tags_bytes = 4 << 10;

    /// Body of one request, in bytes; a mount may say otherwise. Above it: 413 and close.
    request_body_bytes = 16 << 20;

    /// From accept, and later from the first byte of a request, to the end of its head, in milliseconds. After it: 408
    /// and close.
    opening_handshake_ms = 5_000;
    /// The header of the PROXY protocol ahead of a connection, with its extensions, in bytes. A longer one ends it.
    proxy_header_bytes = 4 << 10;
    /// A connection without a request is closed after so many milliseconds.
    http_keep_alive_ms = 15_000;
    /// Without a byte of a body that is awaited for so many milliseconds: 408 and close.
    request_body_idle_ms = 30_000;
    /// From the end of a request to the beginning of its answer, in milliseconds. After it: 504 and close.
    answer_ms = 60_000;
    /// A policy that does not know yet what to say of a request has so many milliseconds to find out. After it: 503 and
    /// close.
    verdict_ms = 10_000;
    /// A client that has ended its side is still answered for so many milliseconds. After it the exchange is cut off.
    half_closed_ms = 10_000;
    /// Without a byte from the peer for so many milliseconds a ping is sent. 0 sends none.
    idle_ping_ms = 30_000;
    /// After that ping the peer has so many milliseconds to send anything. After it the connection fails with 1006.
    pong_ms = 10_000;
    /// From when our Close frame has left to the end of the transport, in milliseconds. After it the transport is closed.
    close_ms = 1_000;
    /// Output that waits and does not move for so many milliseconds ends the transport.
    stalled_write_ms = 30_000;

    /// Output of one connection that the socket has not taken, in bytes, from which on `send` answers *full* and
    /// nothing more is read from this peer. A message that is begun below the mark is taken whole.
    high_mark_bytes = 1 << 20;
    /// Output that waits, in bytes, below which reading goes on and `on_writable` is called.
    low_mark_bytes = 256 << 10;
    /// What all connections together keep in output that waits and messages that are not complete, in bytes. Above
    /// it `send` answers *full*, and a connection that needs more room for input is failed with 1013.
    buffered_total_bytes = 512 << 20;

    /// Connections in all. One more is closed at once. 0 lets it follow from the limit of open files.
    max_connections = 0;
    /// Connections of one address, of IPv6 its /64. One more is closed at once. 0 sets no bound. So many are more than a
    /// network behind one address needs, and a small part of what the usual limit of open files allows.
    max_connections_per_address = 16_384;
    /// Connections accepted per listener in one turn of the service loop; the rest waits for the next turn.
    accept_count = 64;
    /// Steps of TLS handshakes done in one turn of the service loop, and as many of handshakes that had to wait; the rest
    /// waits for the next turn. A step may take a signature, and so a thousand times as long as a message.
    tls_handshakes_count = 8;
    /// Bytes read from one connection in one turn of the service loop; the rest waits for the next turn.
    read_budget_bytes = 1 << 20;
    /// Requests of one connection that are begun in one turn of the service loop; the rest waits for the next turn.
    turn_requests_count = 256;
    /// Bytes of a file sent to one connection in one turn of the service loop; the rest waits for the next turn.
    file_turn_bytes = 256 << 10;
    /// Size of the file of an error page, in bytes. A larger one is refused.
    error_page_bytes = 64 << 10;
    /// Lines that wait to be written to `log.file`, at most 1048576. Above it lines are left out, and standard error tells
    /// how many.
    log_lines_count = 8_192;
    /// Lines of the access log that wait to be written, at most 1048576. Above it lines are left out, and the log tells
    /// how many.
    access_log_lines_count = 8_192;
    /// One text of a client in a line of the access log, in bytes as it is written. The rest is left out and marked by
    /// `...`.
    access_log_text_bytes = 2_048;

    /// Names of peers that are kept where `reverse_names` is on, and addresses that have none. Above it the oldest is
    /// forgotten.
    peer_names_count = 4_096;
    /// How long such a name, or that there is none, is believed, in milliseconds. After it: looked up again.
    peer_name_ms = 600_000;
    /// Threads that wait for the resolver.
    peer_name_threads_count = 2;
    /// Connections that wait for the name of their peer. One more does without.
    peer_name_jobs_count = 256;

    /// Threads that open and read files which are not in memory.
    file_threads_count = 4;
    /// Requests for such files that wait for one of these threads. Above it: 503.
    file_jobs_count = 1024;
    /// How long a file that was looked up may be answered again without looking, in milliseconds: a change, a removal or
    /// a new permission shows at most so much later. 0 looks for each request. A person who saves and reloads notices
    /// nothing of a tenth of a second; to a file that is asked for a thousand times a second it saves 99 of 100 looks.
    file_cache_ms = 100;
    /// Size of a file that a service thread keeps in memory for that, in bytes. A larger one is looked up and sent from
    /// the system's memory each time: from about here on copying costs more than looking.
    file_cache_entry_bytes = 64 << 10;
    /// All that one service thread keeps of such files, in bytes. Above it those go first that were not asked for lately.
    file_cache_bytes = 8 << 20;
    /// Entries of one zip archive that a mount serves. One with more is refused.
    zip_entries_count = 65_536;
    /// What is deflated in one such archive, in bytes when it is inflated, and so the most memory that it ever takes. An
    /// archive with more is refused; what is stored in it does not count.
    zip_inflated_bytes = 256 << 20;
    /// Timers that one session or exchange may have set. One more answers *full*.
    session_timers_count = 64;

    /// Commands from other threads that wait for one service thread. Above it a post answers *full*.
    commands_count = 65_536;
    /// Payload of those commands, in bytes. Above it a post answers *full*.
    commands_bytes = 64 << 20;

    /// Size of a plugin file, in bytes. A larger one is refused.
    plugin_file_bytes = 256 << 20;
    /// How long a plugin may take to be opened, to start, to make an instance, and to give one up, in milliseconds each.
    /// A version that is not ready by then is refused; what is late after that is logged and waited for no longer.
    plugin_start_ms = 10_000;
    /// Versions of plugins that stay mapped. At the limit a new version is refused until the host is restarted.
    retained_generations_count = 256;
    /// Thread-specific keys of the C library that must be free before a plugin is opened. Below it: refused.
    free_thread_keys_count = 64;
    /// Counters that one plugin may have. One more answers *full*.
    plugin_counters_count = 256;
    /// Sessions of a superseded generation are closed with 1012, and its exchanges ended, after so many milliseconds. 0
    /// lets them stay.
    drain_generation_ms = 0;
    /// On TERM and INT sessions are closed with 1001; after so many milliseconds the host ends all the same.
    drain_host_ms = 5_000;

    /// Client: status line and fields of one response, in bytes. Above it the connection fails.
    response_head_bytes = 64 << 10;
    /// Client: fields of one response. Above it the connection fails.
    response_field_count = 200;
    /// Client: responses with a status below 200 that come before the final one. One more fails the connection.
    interim_responses_count = 16;
    /// Client: what is kept of the content of an answer that refuses an opening handshake or a tunnel, in bytes. The rest
    /// is left out.
    refusal_content_bytes = 4 << 10;
    /// Client: from the beginning to the open WebSocket, in milliseconds: addresses, transport, proxy, TLS and handshake.
    /// After it connecting fails.
    dial_ms = 30_000;
    /// Client: the next address of a host is tried when the one before has said nothing for so many milliseconds.
    dial_next_ms = 250;
    /// Client: addresses of one host that are tried. The rest is left out.
    dial_addresses_count = 16;
    /// Client: threads that wait for the addresses of names.
    resolve_threads_count = 4;
    /// Client: names that wait for one of these threads. One more fails.
    resolve_jobs_count = 1_024;
    /// Client: connections that a host has as a client at once, those included that are not open yet. One more is refused.
    client_connections_count = 10_000;
    /// Client: connections that one service thread opens at once. Further ones wait for their turn.
    client_dials_count = 256;
    /// Client: without a byte of the answer to a plain request for so many milliseconds, from when it is sent on, it fails.
    client_answer_ms = 60_000;
    /// Client: connections that one service thread keeps for further plain requests. Above it the oldest is closed. 0 keeps
    /// none.
    client_idle_connections_count = 32;
    /// Client: how long a connection is kept for further plain requests, in milliseconds; less than the 5 seconds after
    /// which many servers close theirs. 0 keeps none.
    client_idle_ms = 4_000;
    /// Client: redirects that are followed for one request. One more fails it.
    redirects_count = 10;
    /// Client: connecting again is waited for at most so many milliseconds the first time, and twice as many each time
    /// after it.
    retry_first_ms = 500;
    /// Client: connecting again is never waited for longer, in milliseconds.
    retry_most_ms = 30_000;

    /// One request on the control socket, in bytes. A longer one is refused.
    control_request_bytes = 64 << 10;
    /// A message that is published over the control socket, in bytes. A longer one is refused.
    publish_message_bytes = 1 << 20;
    /// How long a client of the control socket may take to send its request, in milliseconds.
    control_request_ms = 5_000;
}

/// Bounds of the fields of a request by their names; most hosts have none, and pay nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FieldBounds(Vec<FieldBound>);

/// The bound of the fields of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldBound {
    /// In the letters in which it was written; those of a request may be others.
    pub name: Arc<str>,
    /// Of all values together.
    pub bytes: u64,
}

impl FieldBounds {
    /// Bounds the fields of this name; false when they have a bound already.
    pub fn add(&mut self, name: &str, bytes: u64) -> bool {
        let is_new = self
            .iter()
            .all(|bound| !bound.name.eq_ignore_ascii_case(name));
        if is_new {
            let name = name.into();
            self.0.push(FieldBound { name, bytes });
        }
        is_new
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &FieldBound> {
        self.0.iter()
    }
}

impl fmt::Debug for FieldBounds {
    /// As a config writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = self.iter().map(|bound| (&bound.name, bound.bytes));
        f.debug_map().entries(bounds).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    const PAGE: &str = include_str!("../../docs/operating.md");

    #[test]
    fn every_limit_stands_in_the_operators_page_with_its_default() {
        let defaults = format!("{:#?}", Limits::default());
        for key in Limits::KEYS {
            let default = defaults
                .lines()
                .find_map(|line| line.trim().strip_prefix(&format!("{key}: ")))
                .unwrap();
            let row = format!("| `{key}` | {} |", default.trim_end_matches(','));
            assert!(
                PAGE.contains(&row),
                "write a row into docs/operating.md: {row}"
            );
        }
    }
}
