//! Assembles the floors and conducts them: start, reload, drain, stop.

mod conductor;
mod deployment;
mod instances;
mod listeners;
mod open_site;
mod places;
pub(crate) mod privileges;
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
    config::{Config, ConfigError, RunAs},
    control::ControlServer,
    limits::Limits,
    logging::LogControl,
    net::{inherited::Inherited, io::Shared, tls::TlsKeeper},
    plugin::{
        host_calls::Services, loader::Loader, permissions::Trust, registry::Registry,
        staging::Staging, watch::Watch,
    },
};

use conductor::{Conductor, Errand, KeptTls};
use deployment::Deployment;
use listeners::Listeners;
use privileges::{become_user, may_become, unreadable_again};
use threads::Threads;

pub use listeners::StartError;
pub use privileges::PrivilegeError;

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
    mut reload: impl FnMut() -> Result<Config, ConfigError>,
) -> Result<(), Box<dyn Error>> {
    // Before there is a thread that could read the environment meanwhile.
    let inherited = Inherited::take().map_err(StartError::from)?;
    tell_version();
    derive_max_connections(&mut config.limits);
    config.run_as.as_ref().map_or(Ok(()), may_become)?;
    let mut keeper = config.tls.as_ref().map(TlsKeeper::open).transpose()?;
    let tls = keeper.as_ref().map(TlsKeeper::tls);
    let mut listeners = Listeners::new(config.threads, tls).inheriting(inherited);
    let prepared = listeners.prepare(&config.listen)?;
    if let Some(run_as) = &config.run_as {
        // There is no second thread yet. All that follows is done, and all files are made, as that user.
        give_up_privileges(run_as, &config, &mut reload)?;
        listeners.bind_as(&run_as.name);
        keeper.iter_mut().for_each(TlsKeeper::forget_unseen);
    }
    let sites = deployment::open_sites(&config, &BTreeMap::new())?;
    let news = prepared.news();
    let scopes = listeners.scopes(&prepared);
    let change = listeners.install(prepared);
    let threads = Threads::prepare(change.into_sockets(), &config.limits)?;
    let (errands, inbox) = mpsc::channel();
    let shared = Shared::default();
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
    let mut trust = Trust::of_this_process();
    trust.strict |= config.run_as.is_some();
    let loader = Loader::new(&config.limits, trust, Staging::create()?);
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

    let deployment = Deployment::new(
        services,
        finished,
        config,
        sites,
        scopes,
        Arc::clone(&shared.seats),
    );
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
        shared: shared.clone(),
    };
    if conductor.first_scan().is_break() {
        conductor.farewell();
        return Ok(());
    }
    let limits = conductor.deployment.config().limits.clone();
    let end = send(&errands);
    let running = threads.run(
        &limits,
        &conductor.deployment.vhosts(),
        &shared,
        move |result| {
            end(Errand::Ended(result));
        },
    )?;
    conductor.tell_listening(&news);
    conductor.run(running)
}

/// Tells which build this is, for whoever reads the log later.
fn tell_version() {
    let crate::Version {
        number,
        commit,
        abi: (major, minor),
    } = crate::version();
    tracing::info!(target: "hotsocket", version = number, git = commit, abi = %format_args!("{major}.{minor}"),
        "hotsocket starts");
}

/// Becomes the user of the config, and tells what that user cannot read again.
fn give_up_privileges(
    run_as: &RunAs,
    config: &Config,
    reload: &mut impl FnMut() -> Result<Config, ConfigError>,
) -> Result<(), PrivilegeError> {
    become_user(run_as)?;
    tracing::info!(target: "hotsocket", user = run_as.user, group = run_as.group,
        "privileges are given up: the host runs as user {}", run_as.name);
    for warning in config
        .tls
        .iter()
        .flat_map(|tls| unreadable_again(run_as, tls))
    {
        tracing::warn!(target: "hotsocket::tls", "{warning}");
    }
    if let Err(error) = reload() {
        tracing::warn!(target: "hotsocket::config",
            "user {} (`run_as`) cannot read the config again, so that a reload (HUP) will be refused: {error}", run_as.name);
    }
    Ok(())
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
