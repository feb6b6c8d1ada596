//! What a loaded plugin logs reaches the host. One test: the loggers are the process's.

use std::panic;

use hotsocket_plugin::{prelude::*, testing::TestHost};

#[derive(Default)]
struct Logger;

impl Protocol for Logger {
    const NAME: &'static str = "logger";

    fn on_message(&mut self, session: &mut Session, _message: Message<'_>) {
        log::warn!("by log, {}", session.path());
        log::debug!("by log, in detail");
        let _span = tracing::info_span!("unseen").entered();
        tracing::info!(count = 3, name = "x", "by tracing");
        tracing::debug!("by tracing, in detail");
        session.host().log(log::Level::Error, "by the host");
        session.host().count("messages", 2);
    }
}

export_plugin!(Logger);

#[test]
fn what_a_loaded_plugin_logs_reaches_the_host_at_the_level_of_the_moment() {
    let host = TestHost::loaded(plugin());
    let session = host.open("logger");
    host.set_log_level(log::LevelFilter::Info);
    session.receive("now");
    let brief = host.logged();
    host.set_log_level(log::LevelFilter::Debug);
    session.receive("now");
    let detailed = host.logged();
    let _ = panic::take_hook();

    assert_eq!(
        brief,
        [
            "WARN by log, /logger",
            "INFO by tracing count=3 name=\"x\"",
            "ERROR by the host",
        ]
    );
    assert_eq!(
        detailed,
        [
            "WARN by log, /logger",
            "DEBUG by log, in detail",
            "INFO by tracing count=3 name=\"x\"",
            "DEBUG by tracing, in detail",
            "ERROR by the host",
        ]
    );
    assert_eq!(host.counter("messages"), 4);
}
