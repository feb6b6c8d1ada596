//! Files that a program gives to its host.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    thread::{self, ThreadId},
    time::Duration,
};

use hotsocket::{
    EmbeddedFiles, FileSource, FilesMount, Host, HostConfig,
    context::files::{Cold, Content, Opened, OpenedAs, Reach},
};

use crate::{DEADLINE, anywhere};

/// So long that it leaves in many pieces.
static LARGE: [u8; 3 << 20] = [b'l'; 3 << 20];

/// What a host whose mount `/` is this answers to a request, head and content.
fn answer(host: SocketAddr, target: &str, fields: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n");
    let content = answer.split_off(end.expect("a head") + 4);
    (String::from_utf8(answer).unwrap(), content)
}

fn with_mount(files: FilesMount, test: impl FnOnce(SocketAddr)) {
    let mut config = HostConfig {
        listen: vec![anywhere().into()],
        ..HostConfig::default()
    };
    config.default.mounts.put_files("/", files);
    let host = Host::from_config(config).unwrap();
    let address = host.local_addrs()[0];
    let server = host.spawn().unwrap();
    test(address);
    server.shutdown(Duration::from_secs(5)).unwrap();
}

#[test]
fn seed_4_20_a_program_serves_files_that_are_part_of_it() {
    let files = EmbeddedFiles::new(&[
        ("index.html", b"<h1>ours</h1>"),
        ("files/this.rs", include_bytes!("files.rs")),
        ("files/large.bin", &LARGE),
    ]);
    with_mount(FilesMount::of(files.unwrap()), |host| {
        let (head, content) = answer(host, "/", "");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(
            head.contains("Content-Type: text/html; charset=utf-8"),
            "{head}"
        );
        assert_eq!(content, b"<h1>ours</h1>");
        assert_eq!(
            answer(host, "/files/this.rs", "").1,
            include_bytes!("files.rs")
        );
        assert!(answer(host, "/files/large.bin", "").1 == LARGE);
        let (head, content) = answer(host, "/files/large.bin", "Range: bytes=-1000000\r\n");
        assert!(head.starts_with("HTTP/1.1 206"), "{head}");
        assert_eq!(content.len(), 1_000_000);
        assert!(answer(host, "/nothing", "").0.starts_with("HTTP/1.1 404"));
        let tag = head.lines().find(|line| line.starts_with("ETag: "));
        let known = tag.unwrap().replace("ETag", "If-None-Match");
        let (head, _) = answer(host, "/files/large.bin", &format!("{known}\r\n"));
        assert!(head.starts_with("HTTP/1.1 304"), "{head}");
    });
}

/// Files that are told by name what thread has opened them; `slow` ones can only be had by waiting.
#[derive(Debug)]
struct Named;

impl FileSource for Named {
    fn open(&self, name: &[u8], reach: Reach) -> Result<OpenedAs, Cold> {
        if name == b"panics" {
            panic!("as told");
        }
        if name.starts_with(b"slow") && reach == Reach::Memory {
            return Err(Cold);
        }
        let thread: ThreadId = thread::current().id();
        let told = format!("{} {thread:?}", String::from_utf8_lossy(name)).into_bytes();
        Ok(OpenedAs::File(Opened {
            size: told.len() as u64,
            content: Content::Bytes(std::sync::Arc::new(told).into()),
            modified: None,
            tag: "same".into(),
            gzip: None,
        }))
    }

    fn place(&self) -> &Path {
        Path::new("names")
    }
}

#[test]
fn seed_4_20_a_program_opens_the_files_of_a_mount_itself_and_off_the_loop_what_takes_time() {
    with_mount(FilesMount::of(Named), |host| {
        let told = |target: &str| {
            let (head, content) = answer(host, target, "");
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            assert!(head.contains("ETag: \"same\""), "{head}");
            let text = String::from_utf8(content).unwrap();
            let (name, thread) = text.split_once(' ').unwrap();
            (name.to_owned(), thread.to_owned())
        };
        let (name, loop_thread) = told("/a%20b/../fast.txt");
        assert_eq!(name, "fast.txt");
        assert_eq!(told("/fast.txt").1, loop_thread);
        let (name, thread) = told("/slow.txt");
        assert_eq!(name, "slow.txt");
        assert_ne!(thread, loop_thread, "the service thread has waited");
        let (head, _) = answer(host, "/panics", "");
        assert!(head.starts_with("HTTP/1.1 500"), "{head}");
        assert_eq!(told("/fast.txt").1, loop_thread, "it goes on");
    });
}
