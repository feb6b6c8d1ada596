//! TLS in a host that was built without it: types of which there is no value.

use std::{
    fs::File,
    io::{self, IoSlice},
    time::SystemTime,
};

use rustix::io::Errno;

use crate::{
    net::{
        tls::{TlsFacts, TlsFault, TlsSettings},
        transport::Transport,
    },
    wire::url_host::Host,
};

/// There is none.
#[derive(Clone, Debug)]
pub enum Tls {}

impl Tls {
    /// The same.
    #[must_use]
    pub fn scoped(self, _: &[String]) -> Self {
        self
    }

    pub(crate) fn accept(&self, _: Transport, _: Vec<u8>) -> Transport {
        match *self {}
    }
}

/// There is none.
#[derive(Debug)]
pub enum TlsKeeper {}

impl TlsKeeper {
    /// Refuses.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn open(settings: &TlsSettings) -> Result<Self, TlsFault> {
        Err(TlsFault {
            what: "tls",
            place: settings.cert.display().to_string(),
            cause: "this host was built without TLS".into(),
            mend: "build it with the feature `tls`, or leave the key out".into(),
        })
    }

    /// What listeners speak it with.
    #[must_use]
    pub fn tls(&self) -> Tls {
        match *self {}
    }

    /// Takes files that cannot be seen for unchanged.
    pub fn forget_unseen(&mut self) {
        match *self {}
    }

    /// Looks whether files have changed.
    pub fn look(&mut self, _: SystemTime) {
        match *self {}
    }

    /// Reads other files.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn prepare(&self, _: &TlsSettings) -> Result<PreparedTls, TlsFault> {
        match *self {}
    }

    /// Uses them.
    pub fn install(&mut self, prepared: PreparedTls) {
        match prepared {}
    }
}

/// There is none.
pub enum PreparedTls {}

/// There is none.
#[derive(Debug)]
pub enum ClientTlsConfig {}

/// Knows no suite.
#[must_use]
pub fn nearest_suites(_: &str) -> Option<Vec<&'static str>> {
    None
}

/// There is none.
pub(crate) enum TlsStream {}

impl TlsStream {
    pub(crate) fn connect(config: &ClientTlsConfig, _: &Host, _: Transport) -> io::Result<Self> {
        match *config {}
    }

    pub(crate) fn is_ended(&self) -> bool {
        match *self {}
    }

    pub(crate) fn socket(&self) -> &Transport {
        match *self {}
    }

    pub(crate) fn into_socket(self) -> Transport {
        match self {}
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Transport {
        match *self {}
    }

    pub(crate) fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn write_vectored(&mut self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn send_file(&mut self, _: &File, _: &mut u64, _: usize) -> Result<usize, Errno> {
        match *self {}
    }

    pub(crate) fn note_last(&mut self) {
        match *self {}
    }

    pub(crate) fn shut_down(&mut self) {
        match *self {}
    }

    pub(crate) fn has_more(&self) -> bool {
        match *self {}
    }

    pub(crate) fn has_output(&self) -> bool {
        match *self {}
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        match *self {}
    }

    pub(crate) fn is_refused(&self) -> bool {
        match *self {}
    }

    pub(crate) fn facts(&self) -> Option<TlsFacts<'_>> {
        match *self {}
    }
}
