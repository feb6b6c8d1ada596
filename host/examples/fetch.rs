//! Asks a server in plain HTTP, once for each URL, one after the other: `fetch [OPTION]... METHOD URL...`. Writes what comes to
//! standard output, and status and time to standard error. Ends with 1 when a request has no answer.
//!
//! `--roots FILE` knows servers by the authorities in this PEM file, `--proxy HOST:PORT` asks a proxy, `--field NAME:VALUE`
//! adds a field, `--body FILE` sends the content of a file, and `--streamed FILE` sends it in chunks as fast as it is taken.
//!
//! `tests/interop/http_servers` runs it against servers and proxies that everybody uses.

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{self, Read, Write},
    process::ExitCode,
    sync::mpsc::{Sender, channel},
    time::{Duration, Instant},
};

use hotsocket::{
    Host, HostConfig, HttpRequest, RequestError, ResponseCall, ResponseHandler, ServerTrust,
    net::port::Sent,
    wire::{answer_head::HeldAnswer, fields::Fields},
};

/// How much of a body is given at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Prints an answer, and tells its end.
struct Print {
    /// What is streamed.
    body: Option<File>,
    /// What was read of it and not taken.
    piece: Vec<u8>,
    ended: Sender<Result<(), RequestError>>,
}

impl ResponseHandler for Print {
    fn head(&mut self, call: &mut ResponseCall<'_, '_>, head: &HeldAnswer) {
        eprintln!("{} {} {}", head.status, head.reason, call.url());
    }

    fn content(&mut self, call: &mut ResponseCall<'_, '_>, piece: &[u8]) {
        if let Err(error) = io::stdout().write_all(piece) {
            call.give_up(error.to_string());
        }
    }

    fn writable(&mut self, call: &mut ResponseCall<'_, '_>) {
        if let Err(error) = self.stream(call) {
            call.give_up(error.to_string());
        }
    }

    fn ended(&mut self, end: Result<Fields, RequestError>) {
        // Who waits for it has gone when the program ends.
        let _ = self.ended.send(end.map(|_| ()));
    }
}

impl Print {
    /// Gives as much of the body as is taken.
    fn stream(&mut self, call: &mut ResponseCall<'_, '_>) -> Result<(), Box<dyn Error>> {
        loop {
            if self.piece.is_empty()
                && let Some(body) = &mut self.body
            {
                body.take(PIECE_BYTES as u64).read_to_end(&mut self.piece)?;
            }
            if self.piece.is_empty() {
                return Ok(call.finish(&Fields::new())?);
            }
            if call.send(&self.piece)? == Sent::Full {
                call.ask_writable();
                return Ok(());
            }
            self.piece.clear();
        }
    }
}

/// What was typed.
#[derive(Default)]
struct Asked {
    roots: Option<String>,
    proxy: Option<String>,
    fields: Vec<(String, String)>,
    body: Option<String>,
    streamed: Option<String>,
    method: String,
    urls: Vec<String>,
}

impl Asked {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut asked = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match &*word {
                "--roots" => asked.roots = Some(value()?),
                "--proxy" => asked.proxy = Some(value()?),
                "--body" => asked.body = Some(value()?),
                "--streamed" => asked.streamed = Some(value()?),
                "--field" => {
                    let field = value()?;
                    let field = field.split_once(':').ok_or("a field is NAME:VALUE")?;
                    asked.fields.push((field.0.to_owned(), field.1.to_owned()));
                }
                _ if asked.method.is_empty() => asked.method = word,
                _ => asked.urls.push(word),
            }
        }
        if asked.urls.is_empty() {
            return Err("fetch [OPTION]... METHOD URL...".into());
        }
        Ok(asked)
    }

    fn request(&self, url: &str) -> Result<HttpRequest, Box<dyn Error>> {
        let mut request = HttpRequest::new(&self.method, url)?;
        for (name, value) in &self.fields {
            request = request.field(name, value.as_bytes())?;
        }
        if let Some(roots) = &self.roots {
            request = request.trust(ServerTrust::Roots(roots.into()));
        }
        if let Some(proxy) = &self.proxy {
            request = request.proxy(proxy)?;
        }
        if let Some(body) = &self.body {
            request = request.body(fs::read(body)?);
        }
        if self.streamed.is_some() {
            request = request.streamed(None);
        }
        Ok(request)
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let asked = Asked::read(env::args().skip(1))?;
    let config = HostConfig {
        listen: Vec::new(),
        ..HostConfig::default()
    };
    let host = Host::builder().config(config).build()?.spawn()?;
    let mut code = ExitCode::SUCCESS;
    for url in &asked.urls {
        let (ended, end) = channel();
        let handler = Print {
            body: asked.streamed.as_ref().map(File::open).transpose()?,
            piece: Vec::new(),
            ended,
        };
        let began = Instant::now();
        host.handle().request(asked.request(url)?, handler)?;
        if let Err(error) = end.recv()? {
            eprintln!("{url}: {error}");
            code = ExitCode::FAILURE;
        }
        eprintln!("{} ms", began.elapsed().as_millis());
    }
    host.shutdown(Duration::from_secs(5))?;
    Ok(code)
}
