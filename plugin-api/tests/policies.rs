//! What a policy is asked, what it can say, and that a panic in any of its hooks refuses and ends nothing else.

use std::{
    sync::{Mutex, mpsc},
    thread,
};

use hotsocket_plugin::{
    Transport,
    prelude::*,
    testing::{Handshake as Opening, Refused, TestHost, TestPeer, TestRequest},
};

/// Does what its options say, in the hook that they name.
struct Watch {
    at: String,
    what: String,
    /// What was called, in its order; connections of one test only.
    called: Mutex<Vec<String>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Orders {
    at: String,
    what: String,
}

impl Watch {
    /// Whether the hook is the one that is to refuse.
    fn refuses(&self, hook: &str, host: Host) -> bool {
        host.count(&format!("watch.{hook}"), 1);
        self.called.lock().expect("whole").push(hook.to_owned());
        if self.at != hook {
            return false;
        }
        assert_ne!(self.what, "panic", "in {hook}");
        self.what == "refuse"
    }

    fn admits(&self, hook: &str, connection: &Connection) -> Admission {
        if self.refuses(hook, connection.host()) {
            return Admission::Refuse;
        }
        Admission::Accept
    }
}

impl Policy for Watch {
    const NAME: &'static str = "watch";
    type Options = Orders;

    fn new(_host: &Host, Orders { at, what }: Orders) -> Result<Self, PluginError> {
        if at == "new" {
            return Err(PluginError::new("not today"));
        }
        let called = Mutex::default();
        Ok(Self { at, what, called })
    }

    fn on_create(&self, connection: &Connection) {
        self.refuses("create", connection.host());
    }

    fn on_accept(&self, connection: &Connection) -> Admission {
        assert!(connection.tls().is_none(), "nothing was read");
        self.admits("accept", connection)
    }

    fn on_connection(&self, connection: &mut Connection) -> Admission {
        let peer = connection.peer().map(|peer| peer.to_string());
        let peer = peer.unwrap_or_default();
        let set = connection.set_tag("peer", peer);
        assert_eq!(set, Ok(()));
        let is_set = connection.set_option(ConnectionOption::NoDelay(false));
        let expected = match connection.transport() {
            Transport::Unix => Err(SetError::NoSuchOption),
            _ => Ok(()),
        };
        assert_eq!(is_set, expected);
        let is_set = connection.set_option(ConnectionOption::MessageBytes(99));
        assert_eq!(is_set, Ok(()));
        assert_eq!(connection.set_tag("a b", ""), Err(SetError::Invalid));
        assert_eq!(connection.set_tag("a", [0; 5000]), Err(SetError::TooMuch));
        self.admits("connection", connection)
    }

    fn on_certificate(&self, connection: &mut Connection) -> Admission {
        let shown = connection.tls().and_then(|tls| tls.peer_certificate);
        let shown = shown.map(<[u8]>::to_vec);
        assert_eq!(
            connection.set_tag("shown", shown.expect("is shown")),
            Ok(())
        );
        let late = connection.set_option(ConnectionOption::NoDelay(true));
        assert_eq!(late, Err(SetError::Invalid));
        self.admits("certificate", connection)
    }

    fn on_request(&self, request: &mut PolicyRequest) -> Result<Verdict, Refusal> {
        let hook = if request.is_handshake() {
            "upgrade"
        } else {
            "request"
        };
        if self.refuses(hook, request.host()) {
            let refusal = Refusal::new(302).field("Location", "/elsewhere");
            return Err(refusal);
        }
        let number = request.id().expect("it has one").number();
        request.set_tag("number", number.to_string())?;
        let method = request.method().to_owned();
        request.add_field("X-Seen", method)?;
        if self.at == hook && self.what == "fail" {
            return Err(PluginError::new("the list is gone").into());
        }
        Ok(Verdict::Allow)
    }

    fn on_handshake(&self, request: &mut Handshake) -> Result<(), Refusal> {
        request.keep(String::from("is dropped"));
        if self.refuses("handshake", request.host()) {
            return Err(Refusal::new(401).text("who are you?"));
        }
        if request.offered().any(|name| name == "second") {
            assert!(request.choose("second"));
        }
        request.add_field("X-Number", request.tag("number").unwrap_or_default())?;
        Ok(())
    }

    fn on_destroy(&self, connection: &Connection) {
        let is_known = connection.id().is_some();
        assert!(is_known);
        self.refuses("destroy", connection.host());
    }
}

/// Knows later: the test says when.
struct Slow {
    answers: Mutex<mpsc::Sender<AskAgain>>,
    asked: Mutex<u32>,
}

static SLOW: Mutex<Option<mpsc::Receiver<AskAgain>>> = Mutex::new(None);

impl Policy for Slow {
    const NAME: &'static str = "slow";
    type Options = NoOptions;

    fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
        let (sender, receiver) = mpsc::channel();
        *SLOW.lock().expect("whole") = Some(receiver);
        Ok(Self {
            answers: Mutex::new(sender),
            asked: Mutex::default(),
        })
    }

    fn on_request(&self, request: &mut PolicyRequest) -> Result<Verdict, Refusal> {
        let mut asked = self.asked.lock().expect("whole");
        *asked += 1;
        request.set_tag("asked", asked.to_string())?;
        if *asked >= 3 {
            return Ok(Verdict::Allow);
        }
        let again = request.ask_again().expect("there is a request");
        let sender = self.answers.lock().expect("whole");
        sender.send(again).expect("the test listens");
        Ok(Verdict::Later)
    }
}

export_plugin!(policies: Watch, Slow);

fn with(at: &str, what: &str) -> TestHost {
    let host = TestHost::new(plugin());
    let options = format!(r#"{{"at": "{at}", "what": "{what}"}}"#);
    let made = host.configure_policy("watch", &options);
    made.expect("these options are taken");
    host
}

/// How often each hook was called.
fn counted(host: &TestHost, hooks: &[&str]) -> Vec<u64> {
    let counters = hooks.iter();
    counters
        .map(|hook| host.counter(&format!("watch.{hook}")))
        .collect()
}

const OF_CONNECTION: [&str; 4] = ["create", "accept", "connection", "destroy"];

#[test]
fn a_connection_is_created_accepted_set_up_and_destroyed() {
    let host = with("", "");
    let connection = host.connect("watch");
    assert!(connection.is_accepted());
    assert_eq!(counted(&host, &OF_CONNECTION), [1, 1, 1, 0]);
    assert_eq!(connection.tag("peer").as_deref(), Some("127.0.0.1:50000"));
    let set = [
        ConnectionOption::NoDelay(false),
        ConnectionOption::MessageBytes(99),
    ];
    assert_eq!(connection.options(), set);
    drop(connection);
    assert_eq!(counted(&host, &OF_CONNECTION), [1, 1, 1, 1]);
}

#[test]
fn a_unix_socket_has_no_options_of_tcp() {
    let connection = with("", "").connect_from("watch", TestPeer::unix());
    assert_eq!(connection.failures(), [""; 0]);
    assert_eq!(connection.options(), [ConnectionOption::MessageBytes(99)]);
}

#[test]
fn hooks_behind_one_that_refuses_or_panics_are_not_called_and_the_end_is_told() {
    let rows = [
        ("create", [1, 0, 0, 1]),
        ("accept", [1, 1, 0, 1]),
        ("connection", [1, 1, 1, 1]),
    ];
    for (hook, expected) in rows {
        for what in ["refuse", "panic"] {
            if (hook, what) == ("create", "refuse") {
                continue;
            }
            let host = with(hook, what);
            let connection = host.connect("watch");
            assert!(!connection.is_accepted(), "{what} in {hook}");
            let failures = connection.failures().join("; ");
            let is_told = failures.contains(&format!("in {hook}"));
            assert_eq!(is_told, what == "panic", "{failures}");
            drop(connection);
            assert_eq!(counted(&host, &OF_CONNECTION), expected);
        }
    }
}

#[test]
fn a_panic_at_the_end_of_a_connection_ends_nothing_else() {
    let host = with("destroy", "panic");
    drop(host.connect("watch"));
    let next = host.connect("watch");
    assert!(next.is_accepted() && next.request(TestRequest::get("/")).is_ok());
}

#[test]
fn a_certificate_is_judged_and_known_to_the_policy() {
    let host = with("", "");
    let connection = host.connect_from("watch", TestPeer::default().encrypted());
    assert!(connection.certificate(*b"ada"));
    assert_eq!(connection.tag("shown").as_deref(), Some("ada"));
    for what in ["refuse", "panic"] {
        let host = with("certificate", what);
        let connection = host.connect_from("watch", TestPeer::default().encrypted());
        assert!(!connection.certificate(*b"ada"), "{what}");
    }
}

#[test]
fn a_request_is_allowed_with_tags_and_fields_or_refused_in_words() {
    let host = with("", "");
    let connection = host.connect("watch");
    for number in ["1", "2"] {
        let allowed = connection.request(TestRequest::get("/a?b"));
        let allowed = allowed.expect("it has nothing against it");
        assert_eq!(allowed.tag("number"), Some(number));
        assert_eq!(allowed.tag("peer"), Some("127.0.0.1:50000"));
        assert_eq!(allowed.field("x-seen"), Some("GET"));
    }
    let connection = with("request", "refuse").connect("watch");
    let refused = connection.request(TestRequest::get("/")).unwrap_err();
    assert_eq!(refused.status, 302);
    assert_eq!(refused.field("Location"), Some("/elsewhere"));
}

#[test]
fn a_failure_or_a_panic_in_a_request_is_500_and_its_words_are_for_the_log() {
    for (hook, what, words) in [
        ("request", "fail", "the list is gone"),
        ("request", "panic", "in request"),
    ] {
        let connection = with(hook, what).connect("watch");
        let refused = connection.request(TestRequest::get("/")).unwrap_err();
        assert_failed(&refused, words);
    }
    for hook in ["upgrade", "handshake"] {
        let connection = with(hook, "panic").connect("watch");
        let refused = connection.handshake(Opening::at("/")).unwrap_err();
        assert_failed(&refused, &format!("in {hook}"));
    }
}

fn assert_failed(refused: &Refused, words: &str) {
    assert_eq!(refused.status, 500);
    assert_eq!(refused.text(), "");
    let failure = refused.failure.as_deref().unwrap_or_default();
    assert!(failure.contains(words), "{failure}");
}

#[test]
fn a_handshake_is_refused_or_gets_a_subprotocol_and_fields() {
    let connection = with("", "").connect("watch");
    let opening = Opening::at("/").offering(&["first", "second"]);
    let allowed = connection.handshake(opening).expect("it is allowed");
    assert_eq!(allowed.subprotocol.as_deref(), Some("second"));
    assert_eq!(allowed.field("X-Number"), Some("1"));
    let connection = with("handshake", "refuse").connect("watch");
    let refused = connection.handshake(Opening::at("/")).unwrap_err();
    assert_eq!((refused.status, &*refused.text()), (401, "who are you?"));
}

#[test]
fn behind_a_trusted_proxy_a_request_says_who_the_client_is() {
    let host = with("", "");
    let mut request = TestRequest::get("/");
    request.peer = Some(([10, 0, 0, 9], 1).into());
    let proxied = host.connect_from("watch", TestPeer::default().trusted_proxy());
    assert!(proxied.request(request).is_ok());
}

#[test]
fn a_policy_is_asked_again_from_another_thread_as_often_as_it_wants() {
    let host = TestHost::new(plugin());
    host.configure_policy("slow", "{}").expect("it is taken");
    let answers = SLOW.lock().expect("whole").take().expect("it was made");
    let connection = host.connect("slow");
    let mut asked = connection.ask(TestRequest::get("/"));
    assert!(asked.is_pending());
    answers
        .recv()
        .expect("it asked")
        .now()
        .expect("it is there");
    assert!(asked.is_pending(), "it was asked a second time");
    let second = answers.recv().expect("it asked");
    let other = thread::spawn(move || second.now());
    let allowed = asked.wait().expect("it knows now");
    assert_eq!(allowed.tag("asked"), Some("3"));
    let posted = other.join().expect("it does not panic");
    assert_eq!(posted, Ok(()));
    assert_eq!(second.now(), Err(PostError::Stale), "it is answered");
}

#[test]
fn what_the_options_say_against_it_is_told() {
    let host = TestHost::new(plugin());
    let refused = host.configure_policy("watch", r#"{"at": "new"}"#);
    assert_eq!(refused, Err(String::from("not today")));
    let refused = host.configure_policy("watch", r#"{"when": 1}"#);
    assert!(refused.is_err_and(|why| why.contains("unknown field `when`")));
}
