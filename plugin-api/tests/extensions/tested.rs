//! The extensions that are tested, and protocols that choose among them.

use std::{net::SocketAddr, num::NonZeroU64};

use hotsocket_plugin::{Role, prelude::*};
use serde::Deserialize;

/// Shifts letters, and does what the query of the request says.
pub(crate) struct Shift {
    by: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    by: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self { by: 1 }
    }
}

/// How many pieces of all connections came by.
#[derive(Default)]
pub(crate) struct Pieces(u64);

pub(crate) struct Shifting {
    by: u8,
    deed: String,
    held: Vec<u8>,
}

impl Extension for Shift {
    const NAME: &'static str = "shift";
    type Codec = Shifting;
    type Options = Options;
    type Thread = Pieces;

    fn new(host: &Host, options: Options) -> Result<Self, PluginError> {
        assert_eq!((host.vhost(), host.protocol()), ("test", ""));
        if options.by == 0 {
            return Err(PluginError::new("`by` is 0, which shifts nothing"));
        }
        Ok(Self { by: options.by })
    }

    fn thread(&self, _host: &Host) -> Pieces {
        Pieces::default()
    }

    fn accept(
        &self,
        call: &Call<Pieces>,
        offer: &Parameters<'_>,
    ) -> Result<Option<Agreed<Shifting>>, PluginError> {
        let request = call.request();
        assert_eq!(request.role(), Role::Server);
        let deed = request.query().unwrap_or_default().to_owned();
        match deed.as_str() {
            "accept panics" => panic!("in accept"),
            "accept fails" => return Err(PluginError::new("no thanks")),
            _ => {}
        }
        let by = match offer.get("by") {
            None => self.by,
            Some(Some(by)) => match by.parse() {
                Ok(by) => by,
                Err(_) => return Ok(None),
            },
            Some(None) => return Ok(None),
        };
        let mut agreed = Agreed::new(Shifting {
            by,
            deed,
            held: Vec::new(),
        })
        .with_rsv(Rsv::RSV3)
        .with_opcodes(&[Opcode(3), Opcode(15)])
        .with_response(Parameters::new().with_value("by", by));
        if let Some(key) = NonZeroU64::new(by.into()) {
            agreed = agreed.with_independence(key);
        }
        Ok(Some(agreed))
    }

    fn offer(&self, call: &Call<Pieces>, alternative: u32) -> Option<Parameters<'static>> {
        assert_eq!(call.request().role(), Role::Client);
        match alternative {
            0 => Some(Parameters::new().with_value("by", self.by)),
            1 => Some(Parameters::new()),
            _ => None,
        }
    }

    fn confirm(
        &self,
        _call: &Call<Pieces>,
        response: &Parameters<'_>,
    ) -> Result<Agreed<Shifting>, PluginError> {
        let by: u8 = response.get("by").flatten().unwrap_or("").parse()?;
        Ok(Agreed::new(Shifting {
            by,
            deed: String::new(),
            held: Vec::new(),
        })
        .with_rsv(Rsv::RSV3))
    }
}

impl Codec for Shifting {
    type Thread = Pieces;

    fn inbound(
        &mut self,
        call: &Call<Pieces>,
        piece: FramePiece<'_>,
        sink: &mut FrameSink,
    ) -> Result<(), Stop> {
        call.thread().0 += 1;
        call.host().count("pieces", 1);
        match self.deed.as_str() {
            "inbound panics" => panic!("in inbound"),
            "inbound fails" => return Err(Stop::fail(3000, "not today")),
            "inbound errs" => {
                str::from_utf8(piece.payload)?;
            }
            "inbound vetoes" => return Err(Stop::veto()),
            "vetoes late" => sink.put(piece)?,
            _ => {}
        }
        if self.deed == "vetoes late" {
            return Err(Stop::veto());
        }
        if piece.frame_first && !piece.rsv.contains(Rsv::RSV3) {
            return Err(Stop::fail(CloseCode::PROTOCOL_ERROR, "RSV3 is missing"));
        }
        let by = self.by;
        let shifted: Vec<u8> = piece.payload.iter().map(|b| b.wrapping_sub(by)).collect();
        sink.put(piece.with_payload(&shifted))
    }

    fn outbound(
        &mut self,
        _call: &Call<Pieces>,
        mut piece: FramePiece<'_>,
        sink: &mut FrameSink,
    ) -> Result<(), Stop> {
        let by = self.by;
        let shifted: Vec<u8> = piece.payload.iter().map(|b| b.wrapping_add(by)).collect();
        if piece.frame_first {
            piece.rsv |= Rsv::RSV3;
        }
        match self.deed.as_str() {
            "swallows" => {
                // What was refused counts, whatever is made of it.
                let _ = sink.put(FramePiece {
                    message_first: false,
                    ..piece
                });
                sink.put(piece).ok();
                return Ok(());
            }
            "foreign bit" => piece.rsv |= Rsv::RSV2,
            "holds" => {
                self.held.extend_from_slice(&shifted);
                return Ok(());
            }
            _ => {}
        }
        sink.put(piece.with_payload(&shifted))
    }

    fn flush(&mut self, _call: &Call<Pieces>, sink: &mut FrameSink) -> Result<(), Stop> {
        if self.deed == "flush vetoes" {
            return Err(Stop::veto());
        }
        if self.held.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        sink.put(FramePiece::whole(Opcode::BINARY, &held))
    }

    fn on_end(&mut self, call: &Call<Pieces>) {
        call.host().count("ended", 1);
        assert!(self.deed != "end panics", "in on_end");
    }
}

impl Drop for Shifting {
    fn drop(&mut self) {
        assert!(self.deed != "drop panics", "in drop");
    }
}

/// Looks at the request, and declines.
pub(crate) struct Asks;

pub(crate) struct Nothing;

impl Extension for Asks {
    const NAME: &'static str = "asks";
    type Codec = Nothing;
    type Options = NoOptions;
    type Thread = ();
    fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
        Ok(Self)
    }
    fn thread(&self, _host: &Host) {}
    fn accept(
        &self,
        call: &Call<()>,
        _offer: &Parameters<'_>,
    ) -> Result<Option<Agreed<Nothing>>, PluginError> {
        let request = call.request();
        assert_eq!(
            (request.vhost(), request.path(), request.query()),
            ("test", "/x", None)
        );
        assert_eq!(
            request.peer(),
            Some(SocketAddr::from(([127, 0, 0, 1], 50_000)))
        );
        assert_eq!(request.subprotocol(), Some("chat"));
        assert!(!request.is_encrypted());
        Ok(None)
    }
}

impl Codec for Nothing {
    type Thread = ();
    fn inbound(
        &mut self,
        _: &Call<()>,
        piece: FramePiece<'_>,
        sink: &mut FrameSink,
    ) -> Result<(), Stop> {
        sink.put(piece)
    }
    fn outbound(
        &mut self,
        _: &Call<()>,
        piece: FramePiece<'_>,
        sink: &mut FrameSink,
    ) -> Result<(), Stop> {
        sink.put(piece)
    }
}

/// Lets only some extensions be used.
pub(crate) struct Choosy;

impl Instance for Choosy {
    type Session = Chosen;
    type Options = NoOptions;
    type Thread = ();

    fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn thread(&self, _host: &Host) {}

    fn open(&self, _session: &mut Session) -> Result<Chosen, PluginError> {
        Ok(Chosen)
    }

    fn on_extension_offer(
        &self,
        request: &Request,
        name: &str,
        parameters: &Parameters<'_>,
    ) -> bool {
        assert_eq!(request.protocol(), "choosy");
        assert!(name != "panics", "at {}", request.path());
        request.is_encrypted() || parameters.is_empty()
    }
}

pub(crate) struct Chosen;

impl Protocol for Chosen {
    const NAME: &'static str = "choosy";
    const EXTENSIONS: Extensions = Extensions::Except(&["noise", "x-noise"]);
}

#[derive(Default)]
pub(crate) struct Plain;

impl Protocol for Plain {
    const NAME: &'static str = "plain";
    const EXTENSIONS: Extensions = Extensions::None;
}

#[derive(Default)]
pub(crate) struct Strict;

impl Protocol for Strict {
    const NAME: &'static str = "strict";
    const EXTENSIONS: Extensions = Extensions::Only(&["shift"]);
}
