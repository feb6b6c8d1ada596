//! Assembles the floors and conducts them: start, reload, drain, stop.

mod conductor;
mod deployment;
mod instances;
mod listeners;
mod open_site;
mod policies;
mod threads;

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, mpsc},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::level_filters::LevelFilter;

use crate::{
    cli::signals,
    config::{Config, ConfigError},
    control::ControlServer,
    limits::Limits,
    logging::LogControl,
    net::tls::TlsKeeper,
    plugin::{
        host_calls::Services, loader::Loader, permissions::Trust, registry::Registry,
        staging::Staging, watch::Watch,
    },
};

use conductor::{Conductor, Errand, KeptTls};
use deployment::Deployment;
use listeners::Listeners;
use threads::Threads;

pub use listeners::StartError;

/// Descriptors that are not for connections: listeners, polls, the log, plugin files, and some to spare.
const SPARE_DESCRIPTORS: u64 = 64;

/// Runs a host until it has drained.
///
/// `reload` reads the config again when the host is asked to.
///
/// # Errors
///
/// When it cannot start, or a service thread fails.
pub fn serve(
    mut config: Config,
    log: &LogControl,
    reload: impl FnMut() -> Result<Config, ConfigError>,
) -> Result<(), Box<dyn Error>> {
    derive_max_connections(&mut config.limits);
    let sites = deployment::open_sites(&config, &BTreeMap::new())?;
    let keeper = config.tls.as_ref().map(TlsKeeper::open).transpose()?;
    let tls = keeper.as_ref().map(TlsKeeper::tls);
    let mut listeners = Listeners::new(config.threads, tls);
    let prepared = listeners.prepare(&config.listen)?;
    let addresses = prepared.new_addresses();
    let change = listeners.install(prepared);
    let threads = Threads::prepare(change.into_sockets(), &config.limits)?;
    let (errands, inbox) = mpsc::channel();
    let services = Arc::new(Services::new(
        Arc::clone(&threads.hub),
        plugin_levels(log),
        config.limits.plugin_counters_count as usize,
    ));
    let send = |errands: &mpsc::Sender<Errand>| {
        let errands = errands.clone();
        // Nobody takes errands any more once the host ends.
        move |errand| drop(errands.send(errand))
    };
    let finish = send(&errands);
    let finished = Arc::new(move |instance| finish(Errand::Finished(instance)));
    let loader = Loader::new(&config.limits, Trust::of_this_process(), Staging::create()?);
    let hint = send(&errands);
    let watch = Watch::new(
        config.plugins.clone(),
        config.limits.plugin_file_bytes,
        move || hint(Errand::Hint),
    );
    let signal = send(&errands);
    signals::listen(move |received| signal(Errand::Signal(received)))?;
    let ask = send(&errands);
    let control = ControlServer::start(
        config.control.as_deref(),
        &config.limits,
        move |request, reply| ask(Errand::Control(request, reply)),
    )?;
    tracing::info!(target: "hotsocket", control = %control.path().display(), "control socket is open");

    let deployment = Deployment::new(services, finished, config, sites);
    let mut conductor = Conductor {
        inbox,
        watch,
        registry: Registry::new(loader),
        deployment,
        listeners,
        tls: keeper.map(KeptTls::new),
        log: log.clone(),
        reload,
        hub: Arc::clone(&threads.hub),
    };
    if conductor.first_scan().is_break() {
        conductor.farewell();
        return Ok(());
    }
    conductor.deployment.begin();
    let limits = conductor.deployment.config().limits.clone();
    let end = send(&errands);
    let running = threads.run(&limits, &conductor.deployment.vhosts(), move |result| {
        end(Errand::Ended(result));
    })?;
    conductor.tell_listening(&addresses);
    conductor.run(running)
}

/// Raises the limit of open files as far as it goes, and lets the number of connections follow from it.
fn derive_max_connections(limits: &mut Limits) {
    let files = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: files.maximum,
        maximum: files.maximum,
    };
    let most = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => files.maximum,
        Err(_) => files.current,
    };
    if limits.max_connections == 0
        && let Some(most) = most
    {
        limits.max_connections = most.saturating_sub(SPARE_DESCRIPTORS).max(1);
    }
}

/// The levels of plugins, as the ABI counts them.
fn plugin_levels(log: &LogControl) -> Box<dyn Fn(&str) -> u32 + Send + Sync> {
    let log = log.clone();
    Box::new(move |plugin| match log.plugin_level(plugin) {
        LevelFilter::OFF => 0,
        LevelFilter::ERROR => hotsocket_abi::LOG_ERROR,
        LevelFilter::WARN => hotsocket_abi::LOG_WARN,
        LevelFilter::INFO => hotsocket_abi::LOG_INFO,
        LevelFilter::DEBUG => hotsocket_abi::LOG_DEBUG,
        LevelFilter::TRACE => hotsocket_abi::LOG_TRACE,
    })
}
