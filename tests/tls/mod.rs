//! What peers and operators see of TLS.

mod announced;
mod authority;
mod client_sessions;
mod clients;
mod files;
mod half_made;
mod judges;
mod listeners;
mod names;
mod policies;
mod redirects;
mod replaced;
mod sessions;
mod settings;

use crate::support::plugins::{echo, plugin};
use crate::support::{Config, Server, Setup};

use authority::Authority;

/// A server that speaks TLS with the certificate of an authority of its own.
struct Secure {
    server: Server,
    authority: Authority,
}

impl Secure {
    fn start() -> Self {
        Self::with(Config::new())
    }

    fn with(config: Config) -> Self {
        let authority = Authority::new();
        let server = setup(&authority).config(&config).start();
        Self { server, authority }
    }
}

fn setup(authority: &Authority) -> Setup {
    let (cert, key) = (authority.path("cert.pem"), authority.path("key.pem"));
    Setup::new()
        .plugin(&echo())
        .plugin(&plugin("probe"))
        .plugin(&plugin("http_probe"))
        .arguments([
            "--tls-cert",
            &cert.display().to_string(),
            "--tls-key",
            &key.display().to_string(),
        ])
}
