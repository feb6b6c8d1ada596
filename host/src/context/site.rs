//! What a vhost has beside its protocols: mounts, error pages, fields of every answer, the access log; and the answers
//! that the host gives by itself.

use std::{borrow::Cow, sync::Arc};

use crate::{
    access_log::AccessLogger,
    connection::content::{FileAnswer, Part},
    context::{error_pages::ErrorPages, files::FilesRoot, mounts::Mounts},
    net::http_port::{Content, HttpPort},
    wire::fields::Fields,
};

/// What a vhost has beside its protocols.
#[derive(Debug, Default)]
pub struct Site {
    /// Which part of the path space is whose.
    pub mounts: Mounts<Arc<FilesRoot>>,
    /// The protocol that answers what no mount takes.
    pub default_http: Option<Arc<str>>,
    /// Pages in place of the host's own words.
    pub error_pages: ErrorPages,
    /// Fields of every answer that does not have them.
    pub fields: Arc<Fields>,
    /// The same over TLS.
    pub tls_fields: Arc<Fields>,
    /// Where exchanges are told of, if anywhere.
    pub access_log: Option<AccessLogger>,
}

impl Site {
    /// Has the answer get the fields of every answer.
    pub(crate) fn complete(&self, port: &mut HttpPort<'_>) {
        let fields = match port.is_encrypted() {
            true => &self.tls_fields,
            false => &self.fields,
        };
        port.complete_with(fields);
    }

    /// Refuses a request with a page, or one line of text. The text is the rule that the access log names.
    pub(crate) fn refuse(
        &self,
        port: &mut HttpPort<'_>,
        status: u16,
        text: impl Into<Cow<'static, str>>,
    ) {
        self.refuse_with(port, status, &[], text);
    }

    /// The same with further fields.
    pub(crate) fn refuse_with(
        &self,
        port: &mut HttpPort<'_>,
        status: u16,
        more: &[(&str, &str)],
        text: impl Into<Cow<'static, str>>,
    ) {
        let mut fields = Fields::new();
        for (name, value) in more {
            fields.set(name, value);
        }
        let text = text.into();
        self.say(port, status, fields, &text);
        port.note_rule(text);
    }

    /// Refuses a request whose protocol cannot serve.
    pub(crate) fn fail(&self, port: &mut HttpPort<'_>) {
        self.refuse(port, 500, "the protocol failed");
    }

    /// Answers with one line of text, or with the page there is for the status.
    pub(crate) fn say(&self, port: &mut HttpPort<'_>, status: u16, mut fields: Fields, text: &str) {
        if let Some(page) = self.error_pages.content(status) {
            let mut fields = fields.without(&["Content-Type"]);
            fields.set("Content-Type", "text/html; charset=utf-8");
            port.answer(status, &fields, Content::Whole(page));
            return;
        }
        if !fields.has("Content-Type") {
            fields.set("Content-Type", "text/plain; charset=utf-8");
        }
        let content = format!("{text}\n");
        port.answer(status, &fields, Content::Whole(content.as_bytes()));
    }

    /// Answers out of files.
    pub(crate) fn send_files(&self, port: &mut HttpPort<'_>, answer: FileAnswer) {
        let FileAnswer {
            status,
            fields,
            parts,
        } = answer;
        if status < 400 {
            port.answer(status, &fields, Content::Parts(parts));
            return;
        }
        let text = match parts.first() {
            Some(Part::Bytes(bytes)) => String::from_utf8_lossy(bytes).trim_end().to_owned(),
            _ => String::new(),
        };
        self.say(port, status, fields, &text);
        port.note_rule(text);
    }
}
