//! What is left of programs when they are over. Alone in its process, since it counts what belongs to all of it.

mod support;

use std::fs;

use hotsocket_plugin::testing::TestRequest;
use rustix::{
    io::Errno,
    process::{WaitId, WaitIdOptions, waitid},
};
use support::{answered, at, get, host, processes};

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("it is there").count()
}

fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::All, options).err() != Some(Errno::CHILD)
}

#[test]
fn neither_a_process_nor_a_descriptor_nor_a_thread_is_left() {
    let directory = tempfile::tempdir().expect("a directory");
    let pids = directory.path().join("pids");
    let before = descriptors();
    {
        let host = host(&format!(", \"environment\": {{\"PIDS\": {pids:?}}}"));
        for script in [
            "not-found",
            "nonsense",
            "missing",
            "no-interpreter",
            "large-head",
        ] {
            for _ in 0..3 {
                answered(&host, &get(&host, script));
            }
        }
        let body = vec![b'x'; 300_000];
        answered(
            &host,
            &host.request("cgi", at(TestRequest::post("/cgi-bin/echo", body))),
        );
        // One that is under way when its peer leaves, and one that will not end by itself then.
        let leaving = get(&host, "family");
        processes(&host, &pids);
        fs::remove_file(&pids).expect("it is there");
        drop(leaving);
        let stubborn = get(&host, "stubborn");
        processes(&host, &pids);
        assert!(has_children() && descriptors() > before);
        drop(stubborn);
    }
    assert!(!has_children(), "somebody is left");
    assert_eq!(descriptors(), before);
    let threads = fs::read_dir("/proc/self/task").expect("it is there");
    let names = threads.map(|thread| {
        let path = thread.expect("a thread").path().join("comm");
        fs::read_to_string(path).unwrap_or_default()
    });
    assert!(!names.into_iter().any(|name| name.trim() == "cgi"));
}
