//! A tree of files and a host that serves it.

use std::fs;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::answer::Answer;
use super::peer::HttpPeer;
use crate::support::{Config, Server, Setup};

/// What `/a.txt` says.
pub(crate) const A_TXT: &str = "abcdefghijklmnopqrstuvwxyz";
/// What `/` says.
pub(crate) const INDEX: &str = "<!doctype html><title>home</title>\n";

/// A running host with a tree of files at `/`.
pub(crate) struct Site(Server);

impl Site {
    /// With nothing but the tree.
    pub(crate) fn new() -> Self {
        Self::with(Config::new())
    }

    /// With this limit.
    pub(crate) fn limited(name: &str, value: u64) -> Self {
        Self::with(Config::new().limit(name, value))
    }

    /// With this configuration beside the tree, which may have further mounts.
    pub(crate) fn with(config: Config) -> Self {
        Self::start(Setup::new(), config)
    }

    /// The same, with what the setup has: plugins, say.
    pub(crate) fn start(setup: Setup, config: Config) -> Self {
        let root = www(&setup);
        write_tree(&root);
        Self(
            setup
                .config(&config.mount("/", json!({"files": "www"})))
                .start(),
        )
    }

    /// A connection of its own.
    pub(crate) fn peer(&self) -> HttpPeer {
        HttpPeer::connect(self.address())
    }

    /// The answer to a request on a connection of its own.
    pub(crate) fn ask(&self, method: &str, target: &str, fields: &str) -> Answer {
        self.peer().ask(method, target, fields)
    }

    /// A file of this name in the tree.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory().join("www").join(name)
    }

    /// Whether it serves: a fresh request is answered.
    pub(crate) fn assert_serves(&self) {
        let answer = self.ask("GET", "/a.txt", "");
        assert_eq!((answer.status, answer.text()), (200, A_TXT));
    }
}

impl Deref for Site {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for Site {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}

/// Where the tree of files of a server goes.
pub(crate) fn www(setup: &Setup) -> PathBuf {
    setup.config_file().with_file_name("www")
}

/// A `host:port` to connect to, as text.
pub(crate) fn url(address: SocketAddr, target: &str) -> String {
    format!("http://{address}{target}")
}

/// So many bytes that say where they stand.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0u64..)
        .take(length.div_ceil(8))
        .flat_map(|nth| (nth * 8).to_be_bytes())
        .collect();
    bytes.truncate(length);
    bytes
}

fn write_tree(root: &Path) {
    for directory in ["dir", "bare"] {
        fs::create_dir_all(root.join(directory)).expect("a fresh directory");
    }
    let files: [(&str, &[u8]); 9] = [
        ("index.html", INDEX.as_bytes()),
        ("a.txt", A_TXT.as_bytes()),
        ("empty.txt", b""),
        ("page.css", b"body { color: black }\n"),
        ("dir/index.html", b"<!doctype html><title>dir</title>\n"),
        ("dir/b.txt", b"b"),
        ("bare/c.txt", b"c"),
        ("with space.txt", b"space"),
        ("\u{fc}.txt", b"umlaut"),
    ];
    for (name, content) in files {
        fs::write(root.join(name), content).expect("a fresh file");
    }
    fs::write(root.join("big.bin"), pattern(1 << 20)).expect("a fresh file");
}
