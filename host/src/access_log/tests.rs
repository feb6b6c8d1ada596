use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, channel, sync_channel},
    },
    time::{Duration, Instant, SystemTime},
};

use super::{AccessLog, Entry, Format, LineFileError, OWNER, Settings, check, tell_trouble};
use crate::{
    limits::Limits,
    line_file::{Order, Place, Shared, Writer},
};

/// As long as a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(30);

fn entry(target: &str) -> Entry<'_> {
    Entry {
        time: SystemTime::UNIX_EPOCH,
        peer: None,
        peer_name: None,
        method: b"GET",
        target: target.as_bytes(),
        http_minor: 1,
        status: 200,
        sent_bytes: 0,
        duration: Duration::ZERO,
        referer: b"",
        user_agent: b"",
        host: b"",
        mount: None,
        rule: None,
    }
}

fn settings(file: &Path) -> Settings {
    Settings {
        file: Some(file.to_owned()),
        format: Format::Combined,
    }
}

/// The targets of the lines in `text`.
fn targets(text: &str) -> Vec<&str> {
    text.lines()
        .map(|line| line.split(' ').nth(6).unwrap())
        .collect()
}

#[test]
fn lines_are_written_in_their_order_and_all_of_them_before_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    fs::write(&file, "before\n").unwrap();
    let log = AccessLog::start(&settings(&file), &Limits::default()).unwrap();
    let logger = log.logger();
    let told: Vec<String> = (0..1000).map(|number| format!("/{number}")).collect();
    for target in &told {
        logger.tell(&entry(target));
    }
    assert!(log.finish(DEADLINE));
    let text = fs::read_to_string(&file).unwrap();
    let (before, lines) = text.split_once('\n').unwrap();
    assert_eq!(before, "before");
    assert_eq!(targets(lines), told);
}

#[test]
fn a_new_file_is_not_for_everybody_to_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    assert!(
        AccessLog::start(&settings(&file), &Limits::default())
            .unwrap()
            .finish(DEADLINE)
    );
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
    assert_eq!(mode & 0o600, 0o600, "{mode:o}");
}

/// A place whose every write waits until it may.
struct Gate {
    entered: SyncSender<()>,
    open: Receiver<()>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The test has what it wanted to know, or is over.
        let _ = self.entered.try_send(());
        let _ = self.open.recv();
        self.written.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn while_the_disk_does_not_answer_lines_are_counted_and_nobody_waits() {
    let (entered, is_entered) = sync_channel(1);
    let (opener, open) = channel();
    let written = Arc::new(Mutex::new(Vec::new()));
    let gate = Gate {
        entered,
        open,
        written: Arc::clone(&written),
    };
    let limits = Limits {
        access_log_lines_count: 4,
        ..Limits::default()
    };
    let place = Place::Any(Box::new(gate));
    let log = AccessLog::start_at(place, &settings(Path::new("")), &limits).unwrap();
    let logger = log.logger();
    logger.tell(&entry("/first"));
    is_entered.recv_timeout(DEADLINE).unwrap();
    for number in 0..7 {
        logger.tell(&entry(&format!("/{number}")));
    }
    assert_eq!(logger.lines.lost(), 3);
    drop(opener);
    assert!(log.finish(DEADLINE));
    let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    assert_eq!(targets(&text), ["/first", "/0", "/1", "/2", "/3"]);
    logger.tell(&entry("/late"));
    assert_eq!(logger.lines.lost(), 1);
}

#[test]
fn a_disk_that_never_answers_does_not_hold_up_the_end() {
    let (entered, is_entered) = sync_channel(1);
    let (opener, open) = channel();
    let gate = Gate {
        entered,
        open,
        written: Arc::default(),
    };
    let place = Place::Any(Box::new(gate));
    let log = AccessLog::start_at(place, &settings(Path::new("")), &Limits::default()).unwrap();
    log.logger().tell(&entry("/"));
    is_entered.recv_timeout(DEADLINE).unwrap();
    assert!(!log.finish(Duration::from_millis(1)));
    drop(opener);
}

/// A writer that is driven by the test, and what loggers share with it.
fn writer(place: Place) -> (Writer, Arc<Shared>) {
    let (queue, orders) = sync_channel(8);
    let shared = Arc::new(Shared {
        queue,
        lost: AtomicU64::new(0),
        reopen: AtomicBool::new(false),
        ending: AtomicBool::new(false),
    });
    let tell = Box::new(tell_trouble);
    (
        Writer::new(place, orders, Arc::clone(&shared), tell),
        shared,
    )
}

fn write(writer: &mut Writer, line: &str) {
    writer.take(Order::Line(line.as_bytes().to_vec()));
    writer.flush();
}

#[test]
fn when_the_file_was_moved_away_the_next_line_begins_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let moved = directory.path().join("access.log.1");
    let (mut writer, _) = writer(Place::open(OWNER.key, Some(&file)).unwrap());
    write(&mut writer, "a\n");
    fs::rename(&file, &moved).unwrap();
    write(&mut writer, "b\n");
    // As logrotate does with `create`.
    fs::remove_file(&file).unwrap();
    fs::write(&file, "").unwrap();
    write(&mut writer, "c\n");
    write(&mut writer, "d\n");
    assert_eq!(fs::read_to_string(&moved).unwrap(), "a\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), "c\nd\n");
}

#[test]
fn a_moved_file_is_let_go_of_when_asked_for_without_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    let (mut writer, shared) = writer(Place::open(OWNER.key, Some(&file)).unwrap());
    fs::remove_file(&file).unwrap();
    writer.flush();
    assert!(!file.exists());
    shared.reopen.store(true, Ordering::SeqCst);
    writer.flush();
    assert!(file.exists());
}

#[test]
fn a_line_stays_where_it_can_be_written_while_the_new_file_cannot_be_made() {
    let directory = tempfile::tempdir().unwrap();
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let file = logs.join("access.log");
    let (mut writer, _) = writer(Place::open(OWNER.key, Some(&file)).unwrap());
    let moved = directory.path().join("moved");
    fs::rename(&logs, &moved).unwrap();
    let told = logged(|| {
        write(&mut writer, "a\n");
        writer.tell_trouble(Instant::now());
    });
    assert!(
        told.contains("logs/access.log cannot be opened for writing"),
        "{told}"
    );
    assert_eq!(fs::read_to_string(moved.join("access.log")).unwrap(), "a\n");
}

/// A disk with room for so many bytes.
struct Full {
    room: Arc<Mutex<usize>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.room.lock().unwrap();
        let taken = bytes.len().min(*room);
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *room -= taken;
        self.written
            .lock()
            .unwrap()
            .extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn on_a_full_disk_what_is_lost_is_told_and_a_cut_line_is_ended() {
    let room = Arc::new(Mutex::new(5));
    let written = Arc::new(Mutex::new(Vec::new()));
    let place = Place::Any(Box::new(Full {
        room: Arc::clone(&room),
        written: Arc::clone(&written),
    }));
    let (mut writer, shared) = writer(place);
    let told = logged(|| {
        write(&mut writer, "aa\n");
        write(&mut writer, "bbbb\n");
        write(&mut writer, "cc\n");
        assert_eq!(shared.lost.load(Ordering::Relaxed), 2);
        writer.tell_trouble(Instant::now());
        assert_eq!(shared.lost.load(Ordering::Relaxed), 0);
    });
    assert!(
        told.contains("lost_lines=2") && told.contains("no storage space"),
        "{told}"
    );
    *room.lock().unwrap() = 100;
    write(&mut writer, "dd\n");
    assert_eq!(*written.lock().unwrap(), b"aa\nbb\ndd\n");
}

#[test]
fn what_is_lost_is_told_once_a_second_and_at_the_end() {
    let (mut writer, shared) = writer(Place::Any(Box::new(io::sink())));
    let start = Instant::now();
    let told = logged(|| {
        for after_ms in [0, 1, 999, 1000, 1500] {
            shared.lost.fetch_add(1, Ordering::Relaxed);
            writer.tell_trouble(start + Duration::from_millis(after_ms));
        }
        shared.ending.store(true, Ordering::SeqCst);
        writer.run();
    });
    let counts: Vec<_> = told
        .lines()
        .filter_map(|line| line.rsplit_once("lost_lines="))
        .map(|(_, count)| count)
        .collect();
    assert_eq!(counts, ["1", "3", "1"], "{told}");
    assert!(told.contains("see limits.access_log_lines_count"), "{told}");
}

/// What is logged on this thread meanwhile.
fn logged(act: impl FnOnce()) -> String {
    let (sender, lines) = channel();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || Lines(sender.clone()))
        .finish();
    tracing::subscriber::with_default(subscriber, act);
    lines.try_iter().collect()
}

struct Lines(std::sync::mpsc::Sender<String>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The test reads them at its end.
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_told_with_its_path_and_the_mend() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no/access.log");
    for told in [
        check(Some(&missing)).unwrap_err(),
        AccessLog::start(&settings(&missing), &Limits::default()).unwrap_err(),
    ] {
        let told = told.to_string();
        assert!(
            told.starts_with(&format!(
                "access_log.file: {} cannot be opened",
                missing.display()
            )),
            "{told}"
        );
        assert!(told.ends_with("or `-` for standard error"), "{told}");
    }
    let no_file = check(Some(Path::new("/dev/null")));
    assert!(
        matches!(no_file, Err(LineFileError::NoFile { .. })),
        "{no_file:?}"
    );
}

#[test]
fn a_check_makes_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.log");
    check(Some(&file)).unwrap();
    assert!(!file.exists());
    fs::write(&file, "a\n").unwrap();
    check(Some(&file)).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "a\n");
    check(None).unwrap();
}
