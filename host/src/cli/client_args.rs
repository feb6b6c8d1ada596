//! What was typed behind `hotsocket client`.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{ClientRequest, ClientRequestError, ServerTrust};

/// What `client` takes.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct ClientArgs {
    /// ws://HOST:PORT/PATH, or wss: with TLS
    #[arg(value_parser = url)]
    pub url: String,
    /// Send what is read as binary messages, and write messages with no line end added
    #[arg(short, long)]
    pub binary: bool,
    /// Write one message, then close; the end of the input does not close
    #[arg(short = '1', long)]
    pub one_message: bool,
    /// Stay when the input ends, until the server closes
    #[arg(short, long)]
    pub no_close: bool,
    /// Say nothing but errors on standard error
    #[arg(short, long)]
    pub quiet: bool,
    /// One more field of the opening handshake, several times for several
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = field)]
    pub header: Vec<(String, String)>,
    /// Offer this subprotocol, several times for several, the best first
    #[arg(long, value_name = "NAME")]
    pub subprotocol: Vec<String>,
    /// The field Origin, as browsers send it
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Option<String>,
    /// Offer permessage-deflate; what was agreed on is told
    #[arg(long)]
    pub compression: bool,
    /// Ping a server that is silent for so long, and give it up 10 seconds later; 0 never
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub ping: u64,
    /// Ask this proxy for a tunnel, in place of the one of the environment
    #[arg(long, value_name = "[http://][NAME:PASSWORD@]HOST:PORT")]
    pub proxy: Option<String>,
    /// How the server is known.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// How a server is known that is spoken to with TLS: by one of these, or by the authorities of the platform.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
#[group(multiple = false)]
pub struct TrustArgs {
    /// Accept any certificate
    #[arg(short = 'k', long)]
    pub insecure: bool,
    /// Trust the authorities in this PEM file, and no others
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Trust this key only: the SHA-256 of its SubjectPublicKeyInfo, in hex or base64
    #[arg(long, value_name = "SHA256", value_parser = pin)]
    pub pin: Option<[u8; 32]>,
}

pub(super) const EXIT_STATUSES: &str = "\
A line of standard input is a text message, and a message is a line of standard output. When the input ends, what the
server has answered so far is still written, and the connection is closed with 1000.

Exit status:
  0  closed as it should be, with 1000 or without a code
  1  could not connect (standard error names the stage and the mend), or could not send the input
  2  wrong usage
  3  closed with another code, cut off, or closed before the message of --one-message";

impl ClientArgs {
    /// What is asked for.
    ///
    /// # Errors
    ///
    /// What of it makes no sense.
    pub fn request(&self) -> Result<ClientRequest, ClientRequestError> {
        let mut request = ClientRequest::to(&self.url)?.trust(self.trust.trust());
        for name in &self.subprotocol {
            request = request.subprotocol(name);
        }
        for (name, value) in &self.header {
            request = request.field(name, value.as_bytes())?;
        }
        if let Some(origin) = &self.origin {
            request = request.origin(origin);
        }
        match &self.proxy {
            Some(proxy) => request.proxy(proxy),
            None => Ok(request),
        }
    }
}

impl TrustArgs {
    fn trust(&self) -> ServerTrust {
        match (self.insecure, &self.ca, self.pin) {
            (true, ..) => ServerTrust::AcceptSelfSigned,
            (_, Some(file), _) => ServerTrust::Roots(file.clone()),
            (.., Some(pin)) => ServerTrust::Pinned(pin),
            _ => ServerTrust::Verified,
        }
    }
}

fn url(text: &str) -> Result<String, ClientRequestError> {
    ClientRequest::to(text)?;
    Ok(text.to_owned())
}

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("a field has a colon: write `Name: value`")?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// As `openssl dgst` and browsers write it, or as curl does.
fn pin(text: &str) -> Result<[u8; 32], String> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let is_hex = digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let bytes = if is_hex {
        let pairs = (0..32).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16));
        pairs.collect::<Result<Vec<u8>, _>>().ok()
    } else {
        STANDARD
            .decode(text.strip_prefix("sha256//").unwrap_or(text))
            .ok()
    };
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "no SHA-256: write 64 hex digits, or 44 characters of base64".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{field, pin};

    #[test]
    fn a_pin_is_hex_or_base64_of_32_bytes() {
        let zeros = Ok([0; 32]);
        assert_eq!(pin(&"0".repeat(64)), zeros);
        assert_eq!(pin(&vec!["00"; 32].join(":")), zeros);
        let base64 = format!("{}=", "A".repeat(43));
        assert_eq!(pin(&base64), zeros);
        assert_eq!(pin(&format!("sha256//{base64}")), zeros);
        for wrong in ["", "00", &"A".repeat(44), &"é".repeat(32)] {
            assert!(pin(wrong).unwrap_err().contains("64 hex digits"), "{wrong}");
        }
    }

    #[test]
    fn a_field_is_cut_at_its_first_colon() {
        let cut = field("X-Time: 12:30 ");
        assert_eq!(cut, Ok(("X-Time".to_owned(), "12:30".to_owned())));
        assert!(field("X-Time").is_err());
    }
}
