//! HTTP handler `post-form`: takes HTML forms that are posted, `application/x-www-form-urlencoded` or
//! `multipart/form-data`, and keeps the files in them.
//!
//! The peer reads what was understood, as JSON, or is sent on to another page. A form is taken whole or not at all: its
//! files get their names when its last byte has come, and one that breaks off leaves nothing.
//!
//! Files are readable for the user of the host only. Their names are made from those that the peer gives; see `stored` in
//! the answer. Nothing of another name is ever overwritten.
//!
//! # Options
//!
//! | key | default | |
//! | --- | --- | --- |
//! | `directory` | | Where files go: a directory that is there, and in which the host may make files. Without it forms with files are answered with 403. |
//! | `most_file_bytes` | 16777216 | The largest file. Beyond any of these limits the answer is 413. |
//! | `most_files` | 8 | How many files a form has. |
//! | `most_field_bytes` | 65536 | The largest field that is no file. |
//! | `most_fields` | 100 | How many such fields a form has. |
//! | `redirect` | | Where the browser is sent afterwards, with 303; without it the answer is JSON. |
//!
//! The host's own limit for bodies stands above them.
#![forbid(unsafe_code)]

mod files;
mod form;
mod multipart;
mod upload;
mod urlencoded;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, mpsc::Sender},
};

use hotsocket_plugin::prelude::*;
use serde::Deserialize;

use form::{Failure, Receipt, Rules};
use multipart::Multipart;
use upload::{Reader, Upload};
use urlencoded::UrlEncoded;
use writer::Writer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    directory: Option<PathBuf>,
    most_file_bytes: u64,
    most_files: usize,
    most_field_bytes: usize,
    most_fields: usize,
    redirect: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            directory: None,
            most_file_bytes: 16 << 20,
            most_files: 8,
            most_field_bytes: 64 << 10,
            most_fields: 100,
            redirect: None,
        }
    }
}

struct PostForm {
    writer: Writer,
    rules: Arc<Rules>,
    redirect: Option<Arc<str>>,
}

impl HttpInstance for PostForm {
    type Exchange = Posted;
    type Options = Options;
    type Thread = ();

    fn new(_host: &Host, options: Options) -> Result<Self, PluginError> {
        let directory = options.directory.map(resolved).transpose()?;
        if let Some(to) = &options.redirect
            && (to.is_empty() || to.chars().any(|char| char.is_control() || char == ' '))
        {
            let why = format!("option `redirect`: {to:?} is no address; as in \"/thanks.html\"");
            return Err(PluginError::new(why));
        }
        Ok(Self {
            writer: Writer::start()?,
            rules: Arc::new(Rules {
                directory,
                most_file_bytes: options.most_file_bytes,
                most_files: options.most_files,
                most_field_bytes: options.most_field_bytes,
                most_fields: options.most_fields,
            }),
            redirect: options.redirect.map(Arc::from),
        })
    }

    fn thread(&self, _host: &Host) {}

    fn open(&self, _exchange: &mut Exchange) -> Result<Posted, PluginError> {
        let queue = self.writer.queue();
        Ok(Posted {
            queue: queue.ok_or_else(|| PluginError::new("the writer has ended"))?,
            rules: Arc::clone(&self.rules),
            redirect: self.redirect.clone(),
            upload: None,
        })
    }
}

/// The directory for good, wherever the host goes.
fn resolved(directory: PathBuf) -> Result<PathBuf, PluginError> {
    let wrong = |why: &dyn std::fmt::Display| {
        let path = std::path::absolute(&directory).unwrap_or_else(|_| directory.clone());
        let path = path.display();
        PluginError::new(format!("option `directory`: {path}: {why}"))
    };
    let resolved = directory
        .canonicalize()
        .map_err(|error| wrong(&format_args!("{error}; make it, or name another")))?;
    if !resolved.is_dir() {
        return Err(wrong(&"it is no directory; name one"));
    }
    // Better told now than to the first who posts.
    if let Err(error) = tempfile::tempfile_in(&resolved) {
        let mend = "let the user of the host write to it, or name another";
        return Err(wrong(&format_args!(
            "no file can be made there: {}; {mend}",
            error.kind()
        )));
    }
    Ok(resolved)
}

/// One form.
struct Posted {
    queue: Sender<Arc<Upload>>,
    rules: Arc<Rules>,
    redirect: Option<Arc<str>>,
    /// None when the form is refused, or taken.
    upload: Option<Arc<Upload>>,
}

impl HttpHandler for Posted {
    const NAME: &'static str = "post-form";

    fn on_request(&mut self, exchange: &mut Exchange) {
        if exchange.method() != "POST" {
            let text = "a form is posted here\n";
            exchange.respond(Response::text(405, text).field("Allow", "POST"));
            return;
        }
        match self.reader(exchange.header_str("Content-Type").unwrap_or_default()) {
            Ok(reader) => self.upload = Some(Upload::new(exchange.handle(), reader)),
            Err(failure) => refuse(exchange, &failure),
        }
    }

    fn on_body(&mut self, exchange: &mut Exchange, body: BodyPiece<'_>) {
        let Some(upload) = &self.upload else {
            return;
        };
        let put = upload.put(body.bytes, body.last);
        if put.pause {
            exchange.pause();
        }
        if put.queue {
            self.queue(upload);
        }
    }

    fn on_notify(&mut self, exchange: &mut Exchange, _payload: &[u8]) {
        let Some(upload) = &self.upload else {
            return;
        };
        let news = upload.news();
        if news.resume {
            exchange.resume();
        }
        if let Some(result) = news.result {
            self.upload = None;
            match result {
                Ok(receipt) => self.accept(exchange, &receipt),
                Err(failure) => refuse(exchange, &failure),
            }
        }
    }
}

impl Drop for Posted {
    /// The exchange has ended; if its form is not taken, it never will be.
    fn drop(&mut self) {
        if let Some(upload) = &self.upload
            && upload.leave()
        {
            self.queue(upload);
        }
    }
}

impl Posted {
    fn reader(&self, content_type: &str) -> Result<Reader, Failure> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let rules = Arc::clone(&self.rules);
        if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Ok(Reader::UrlEncoded(UrlEncoded::new(rules)));
        }
        if !media_type.eq_ignore_ascii_case("multipart/form-data") {
            return Err(Failure {
                status: 415,
                why:
                    "a form is of the type application/x-www-form-urlencoded or multipart/form-data"
                        .to_owned(),
            });
        }
        match multer::parse_boundary(content_type) {
            // RFC 2046, section 5.1.1.
            Ok(boundary) if (1..=70).contains(&boundary.len()) => {
                Ok(Reader::Multipart(Multipart::new(&boundary, rules)))
            }
            _ => Err(Failure::malformed(
                "the Content-Type has no boundary of 1 to 70 characters",
            )),
        }
    }

    fn queue(&self, upload: &Arc<Upload>) {
        // The writer ends after the last of us.
        let _ = self.queue.send(Arc::clone(upload));
    }

    fn accept(&self, exchange: &Exchange, receipt: &Receipt) {
        exchange.respond(match &self.redirect {
            Some(to) => Response::redirect(303, to),
            None => Response::json(200, receipt),
        });
    }
}

/// Answers, and does not wait for the rest of the form.
fn refuse(exchange: &Exchange, failure: &Failure) {
    let text = if failure.status == 500 {
        exchange.host().log(log::Level::Error, &failure.why);
        "the form could not be kept\n".to_owned()
    } else {
        format!("{}\n", failure.why)
    };
    exchange.respond(Response::text(failure.status, text));
    exchange.resume();
}

export_plugin!(http: PostForm);

#[cfg(test)]
mod tests;
