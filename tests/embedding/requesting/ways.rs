//! How a request gets to its server: through proxies, and over TLS.

use hotsocket::{HttpRequest, RequestCause, RequestStage, connection::opening::OpeningCause};

use super::{Server, client, content, received};
use crate::DEADLINE;

/// Sends a request as it is.
fn ask(host: &hotsocket::HostThread, request: HttpRequest) -> super::Whole {
    let (done, answer) = std::sync::mpsc::channel();
    let done = move |response| drop(done.send(response));
    let handler = hotsocket::WholeResponse::gather(1 << 20, done);
    host.handle().request(request, handler).unwrap();
    answer
}

#[test]
fn a_proxy_is_asked_for_the_whole_url_and_told_who_asks() {
    let (proxy, host) = (Server::new(), client(|_| {}));
    let place = proxy.url("").replace("http://", "name:word@");
    let get = |url| HttpRequest::get(url).unwrap().proxy(&place).unwrap();
    let asked = ask(&host, get("http://server.example:81/a?b"));
    let mut peer = proxy.accept();
    let head = peer.head();
    let begin = "GET http://server.example:81/a?b HTTP/1.1\r\nHost: server.example:81\r\n";
    assert!(head.starts_with(begin), "{head}");
    assert!(
        head.contains("\r\nProxy-Authorization: Basic bmFtZTp3b3Jk\r\n"),
        "{head}"
    );
    peer.answer("through");
    assert_eq!(content(&asked), "through");
    let asked = ask(&host, get("http://server.example:81/c"));
    peer.head();
    peer.answer("again");
    assert_eq!(content(&asked), "again");
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn a_proxy_that_opens_no_tunnel_is_told_apart_from_a_server() {
    let (proxy, host) = (Server::new(), client(|_| {}));
    let place = proxy.url("").replace("http://", "");
    let get = HttpRequest::get("https://server.example/").unwrap();
    let get = get.trust(hotsocket::ServerTrust::AcceptSelfSigned);
    let asked = match cfg!(feature = "tls") {
        true => ask(&host, get.proxy(&place).unwrap()),
        // Without it the request is refused at once.
        false => return,
    };
    let mut peer = proxy.accept();
    assert!(
        peer.head()
            .starts_with("CONNECT server.example:443 HTTP/1.1\r\n")
    );
    peer.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let error = received(&asked).unwrap_err();
    assert_eq!(error.stage, RequestStage::Proxy);
    let cause = RequestCause::Way(OpeningCause::ProxyStatus(403));
    assert_eq!(error.cause, cause);
    assert_eq!(error.answer.unwrap().content, b"no");
    host.shutdown(DEADLINE).unwrap();
}

#[cfg(feature = "tls")]
mod tls {
    use std::{io, net::TcpStream, sync::Arc, thread};

    use hotsocket::{HttpRequest, RequestStage, ServerTrust, net::tls::ClientTlsConfig};

    use super::{Server, ask, client, received};
    use crate::{DEADLINE, builder, secured::secured};

    #[test]
    fn a_request_goes_over_tls_by_a_proxy_or_without_and_knows_its_server() {
        let directory = tempfile::tempdir().unwrap();
        let (config, rustls) = secured(directory.path());
        let server = builder(&Arc::default()).config(config).build().unwrap();
        let address = server.local_addrs()[0];
        let server = server.spawn().unwrap();
        let host = client(|_| {});
        let url = format!("https://localhost:{}/", address.port());
        let get = || HttpRequest::get(&url).unwrap().without_proxy();
        let given = ClientTlsConfig::given(rustls);
        let trusted =
            |request: HttpRequest| request.trust(ServerTrust::Given(Arc::clone(&given).into()));
        for _ in 0..3 {
            let response = received(&ask(&host, trusted(get()))).unwrap();
            assert_eq!(response.status, 200);
        }
        let self_signed = get().trust(ServerTrust::AcceptSelfSigned);
        assert_eq!(received(&ask(&host, self_signed)).unwrap().status, 200);
        // A connection that was opened in another way is none for this request.
        let pinned = get().trust(ServerTrust::Pinned([7; 32]));
        let error = received(&ask(&host, pinned)).unwrap_err();
        assert_eq!(error.stage, RequestStage::Tls, "{error}");

        let proxy = Server::new();
        let place = proxy.url("").replace("http://", "");
        let asked = ask(&host, trusted(get()).proxy(&place).unwrap());
        let mut peer = proxy.accept();
        let tunnel = format!("CONNECT localhost:{} HTTP/1.1\r\n", address.port());
        assert!(peer.head().starts_with(&tunnel));
        let there = TcpStream::connect(address).unwrap();
        peer.say("HTTP/1.1 200 OK\r\n\r\n");
        carry(peer.0.try_clone().unwrap(), there.try_clone().unwrap());
        carry(there, peer.0);
        assert_eq!(received(&asked).unwrap().status, 200);
        host.shutdown(DEADLINE).unwrap();
        server.shutdown(DEADLINE).unwrap();
    }

    /// Carries bytes one way until it ends.
    fn carry(mut from: TcpStream, mut to: TcpStream) {
        thread::spawn(move || io::copy(&mut from, &mut to));
    }
}
