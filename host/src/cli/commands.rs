//! Starts a host, or asks a running one.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Map, Value};

use super::args::{LogArgs, ServeArgs};
use super::signals::{self, Signal};
use super::{Done, print};
use crate::config::{self, Config, ConfigError, LogConfig, Overrides};
use crate::control::{Answer, Client, ClientError, ControlRequest};
use crate::logging::{self, LogControl, escaped};
use crate::net::inherited::Inherited;
use crate::server::{self, Host, StartError};

/// `serve`.
pub(super) fn serve(mut args: ServeArgs) -> Done {
    let file = args.config.take();
    let overrides = args
        .overrides()
        .or(Overrides::from_environment(|name| env::var_os(name))?);
    let read = move || config::load(file.as_deref(), &overrides);
    let config = read()?;
    // Before there is a thread that could read the environment meanwhile.
    let inherited = Inherited::take().map_err(StartError::from)?;
    let log = logging::init(&log_at_first(&config), &config.limits)?;
    let served = run(config, &log, inherited, read);
    if !log.finish(LAST_LINES) {
        print::warning("the last lines of `log.file` could not be written; look at its disk");
    }
    served
}

/// The log until the host is who it is to be: the file of one that gives up root is opened by whom it becomes, in whose
/// directory root would follow any link, and the thread that writes it would keep what is given up.
fn log_at_first(config: &Config) -> LogConfig {
    let file = config.log.file.clone();
    LogConfig {
        file: file.filter(|_| config.run_as.is_none()),
        ..config.log.clone()
    }
}

/// Runs a host that signals drain and reload.
fn run(
    config: Config,
    log: &LogControl,
    inherited: Inherited,
    read: impl FnMut() -> Result<Config, ConfigError> + Send + 'static,
) -> Done {
    raise_open_files();
    let (own_log, limits) = (config.log.clone(), config.limits.clone());
    let host = Host::builder()
        .config(config)
        .log(log.clone())
        .reload(read)
        .inherited(inherited)
        .announce(server::tell);
    let handle = host.handle();
    let bound = host.bind()?;
    log.install(log.prepare(&own_log, &limits)?);
    // Not before: until then there is one thread, which gives up its privileges.
    signals::listen(move |signal| match signal {
        Signal::Drain => handle.drain(None),
        Signal::Reload => handle.reload(),
    })?;
    Ok(bound.start()?.run()?)
}

/// Raises the limit of open files as far as it goes: each connection takes one.
fn raise_open_files() {
    let files = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: files.maximum,
        maximum: files.maximum,
    };
    // Without it there are fewer connections, as many as the limit allows.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// How long the end of the host waits for the last lines of the log.
const LAST_LINES: Duration = Duration::from_secs(5);

/// `plugin list`.
pub(super) fn plugin_list(json: bool, control: Option<PathBuf>) -> Done {
    let told = ask(control, &ControlRequest::PluginList {})?;
    let plugins = told
        .get("plugins")
        .cloned()
        .unwrap_or_else(|| Vec::<Value>::new().into());
    print::line(&if json {
        plugins.to_string()
    } else {
        plugin_table(&plugins) + &counter_table(&plugins)
    });
    Ok(())
}

/// One line per generation, and below it why the last version was refused.
pub(super) fn plugin_table(plugins: &Value) -> String {
    const COLUMNS: &[&str] = &[
        "name",
        "version",
        "generation",
        "state",
        "sessions",
        "http",
        "file",
        "last_error",
    ];
    let cells = |plugin: &Value| {
        COLUMNS
            .iter()
            .map(|name| print::cell(&plugin[name]))
            .collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = plugins
        .as_array()
        .into_iter()
        .flatten()
        .map(cells)
        .collect();
    let headings: Vec<String> = COLUMNS
        .iter()
        .map(|name| name.to_uppercase().replace('_', " "))
        .collect();
    print::table(
        &headings.iter().map(String::as_str).collect::<Vec<_>>(),
        &rows,
    )
}

/// Below an empty line what plugins count, one line per counter; nothing when there is none.
pub(super) fn counter_table(plugins: &Value) -> String {
    // Each generation tells what all count together.
    let by_plugin: BTreeMap<String, &Value> = plugins
        .as_array()
        .into_iter()
        .flatten()
        .map(|plugin| (print::cell(&plugin["name"]), &plugin["counters"]))
        .collect();
    let rows: Vec<Vec<String>> = by_plugin
        .iter()
        .flat_map(|(plugin, counters)| {
            let counters = counters.as_object().into_iter().flatten();
            counters.map(|(name, value)| vec![plugin.clone(), escaped(name), print::cell(value)])
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let table = print::table(&["PLUGIN", "COUNTER", "VALUE"], &rows);
    format!("\n\n{table}")
}

/// `plugin reload`.
pub(super) fn plugin_reload(name: String, force: bool, control: Option<PathBuf>) -> Done {
    let told = ask(control, &ControlRequest::PluginReload { name, force })?;
    let serving = told.get("serving").unwrap_or(&Value::Null);
    let [name, version, generation] =
        ["name", "version", "generation"].map(|key| print::cell(&serving[key]));
    print::line(&format!(
        "{name} {version} serves as generation {generation}"
    ));
    Ok(())
}

/// `connections`.
pub(super) fn connections(json: bool, control: Option<PathBuf>) -> Done {
    let told = ask(control, &ControlRequest::Connections {})?;
    let connections = told.get("connections").unwrap_or(&Value::Null);
    print::line(&if json {
        connections.to_string()
    } else {
        connection_table(connections)
    });
    Ok(())
}

/// One line per vhost, and one for all together, which counts those too that have not asked for a vhost yet.
fn connection_table(connections: &Value) -> String {
    let row = |name: String, of: &Value| {
        let most = Some(&of["most"]).filter(|most| !most.is_null());
        let most = most.map_or_else(|| "-".to_owned(), print::cell);
        vec![name, print::cell(&of["open"]), most]
    };
    let vhosts = connections["vhosts"].as_array().into_iter().flatten();
    let mut rows: Vec<_> = vhosts
        .map(|vhost| row(print::cell(&vhost["vhost"]), vhost))
        .collect();
    rows.push(row("(all)".to_owned(), connections));
    print::table(&["VHOST", "OPEN", "MOST"], &rows)
}

/// `log`.
pub(super) fn log(args: LogArgs) -> Done {
    let LogArgs {
        level,
        target,
        plugin,
        control,
    } = args;
    let Some(level) = level else {
        let told = ask(control, &ControlRequest::LogLevels {})?;
        print::line(&level_lines(told.get("log").unwrap_or(&Value::Null)));
        return Ok(());
    };
    ask(
        control,
        &ControlRequest::LogLevel {
            level,
            target,
            plugin,
        },
    )?;
    Ok(())
}

/// `info`, then one line for each target and plugin with a level of its own.
pub(super) fn level_lines(log: &Value) -> String {
    let of = |key: &str, kind: &str| {
        let levels = log[key].as_object().into_iter().flatten();
        levels
            .map(|(name, level)| format!("{kind} {name} {}", print::cell(level)))
            .collect::<Vec<_>>()
    };
    let lines = [
        vec![print::cell(&log["level"])],
        of("targets", "target"),
        of("plugins", "plugin"),
    ];
    lines.concat().join("\n")
}

/// `version`.
pub(super) fn version(json: bool) {
    let crate::Version {
        number,
        commit,
        abi: (major, minor),
    } = crate::version();
    let abi = format!("{major}.{minor}");
    if json {
        let object = serde_json::json!({"version": number, "git": commit, "abi": abi});
        print::line(&object.to_string());
        return;
    }
    print::line(&format!("hotsocket {number}"));
    print::line(&format!("git {commit}"));
    print::line(&format!("abi {abi}"));
}

/// The host has understood, and does not do it.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}{mend}", if .mend.is_empty() { "" } else { "; " })]
struct Refused {
    error: String,
    mend: String,
}

/// Asks the host at `control`, at `HOTSOCKET_CONTROL`, or the only live one.
pub(super) fn ask(
    control: Option<PathBuf>,
    request: &ControlRequest,
) -> Result<Map<String, Value>, Box<dyn std::error::Error>> {
    let said = || {
        env::var_os("HOTSOCKET_CONTROL")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    let client: Result<Client, ClientError> = Client::connect(control.or_else(said).as_deref());
    match client?.ask(request)? {
        Answer::Done(told) => Ok(told),
        Answer::Refused { error, mend } => Err(Refused { error, mend }.into()),
    }
}
