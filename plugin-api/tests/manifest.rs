//! The manifest that the macro writes while a plugin is compiled.

use hotsocket_plugin::prelude::*;
use serde_json::{Value, json};

#[derive(Default)]
struct Plain;

impl Protocol for Plain {
    const NAME: &'static str = "plain";
}

#[derive(Default)]
struct Full {
    _data: [u64; 3],
}

impl Protocol for Full {
    const NAME: &'static str = "full.v2";
    const ID: u32 = u32::MAX;
    const DELIVERY: Delivery = Delivery::Pieces { rx_chunk: 4096 };
    const PONGS: bool = true;
    const KEEP_HEADERS: &'static [&'static str] = &["Cookie", "user-agent"];
}

export_plugin!(Plain, Full);

#[test]
fn the_manifest_is_json_and_says_what_the_traits_say() {
    let manifest: Value = serde_json::from_str(plugin().manifest()).expect("it is JSON");
    assert_eq!(
        manifest,
        json!({
            "plugin": "plugin",
            "version": env!("CARGO_PKG_VERSION"),
            "protocols": [
                {"name": "plain", "id": 0, "delivery": "messages", "rx_chunk": 0, "pongs": false,
                 "session_bytes": 0},
                {"name": "full.v2", "id": 4_294_967_295_u32, "delivery": "pieces", "rx_chunk": 4096, "pongs": true,
                 "keep_headers": ["Cookie", "user-agent"], "session_bytes": 24},
            ],
        })
    );
    assert_eq!(plugin().declaration().protocol_count, 2);
}
