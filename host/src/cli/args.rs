//! What was typed.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};

use super::client_args::{ClientArgs, EXIT_STATUSES};
use crate::config::{ListenAddress, Overrides, parse_address, parse_level, parse_threads};
use crate::context::hub::SlowPolicy;

/// A WebSocket and HTTP server whose protocols are plugins, swapped under live connections.
#[derive(Clone, Debug, PartialEq, Parser)]
#[command(name = "hotsocket", version = version())]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Serve the protocols of every plugin in a directory
    #[command(after_help = ENVIRONMENT)]
    Serve(ServeArgs),
    /// Talk to a WebSocket server: lines in, messages out
    #[command(after_help = EXIT_STATUSES)]
    Client(Box<ClientArgs>),
    /// Read the config and look at every plugin file, without running any of it
    Check {
        /// The config file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The directory of plugin files
        #[arg(long, value_name = "DIR")]
        plugins: Option<PathBuf>,
    },
    /// Look at plugins, and load them again
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Show how many connections a running host has and may have, in all and by vhost
    Connections {
        /// As one JSON object
        #[arg(long)]
        json: bool,
        /// The control socket of the host; not needed for the only live one
        #[arg(long, value_name = "PATH")]
        control: Option<PathBuf>,
    },
    /// Send what comes from standard input to all sessions of a protocol
    Publish(PublishArgs),
    /// Show the log levels of a running host, or change one
    Log(LogArgs),
    /// Print the versions of the program and of its plugin ABI
    Version {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// What `--version` says behind the name.
fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| crate::version().to_string());
    &TEXT
}

const ENVIRONMENT: &str = "\
Environment, which flags override and which overrides the config file:
  HOTSOCKET_LISTEN   addresses, separated by commas
  HOTSOCKET_PLUGINS  the directory of plugin files
  HOTSOCKET_THREADS  service threads
  HOTSOCKET_CONTROL  the control socket
  HOTSOCKET_WWW      the directory whose files are served at /
  HOTSOCKET_TLS_CERT, HOTSOCKET_TLS_KEY  a certificate and its private key
  HOTSOCKET_USER, HOTSOCKET_GROUP  whom the host becomes
  HOTSOCKET_LOG      LEVEL,TARGET=LEVEL,plugin:NAME=LEVEL; each part may be missing";

/// What `serve` takes.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub struct ServeArgs {
    /// The config file: JSON, comments allowed. A HUP signal reads it again
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to listen, several times for several places [default: 127.0.0.1:7681]
    #[arg(long, value_name = "ADDR:PORT|interface:NAME:PORT|unix:PATH|systemd", value_parser = parse_address)]
    pub listen: Vec<ListenAddress>,
    /// The directory of plugin files [default: ./plugins]
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// Service threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub threads: Option<usize>,
    /// The control socket [default: a private place of this user]
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Serve the files of this directory at `/`
    #[arg(long, value_name = "DIR")]
    pub www: Option<PathBuf>,
    /// Speak TLS everywhere, with this chain of certificates in PEM, the host's own first
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key to it in PEM, readable by the host and its group only
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Become this user when the listeners are bound and the keys are read; only root may
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The group to go with it [default: the primary group of the user]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
}

impl ServeArgs {
    /// What these flags say about the config.
    #[must_use]
    pub fn overrides(self) -> Overrides {
        Overrides {
            listen: (!self.listen.is_empty()).then_some(self.listen),
            plugins: self.plugins,
            threads: self.threads,
            control: self.control,
            www: self.www,
            tls_cert: self.tls_cert,
            tls_key: self.tls_key,
            user: self.user,
            group: self.group,
            ..Overrides::default()
        }
    }
}

/// What to do with plugins.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum PluginCommand {
    /// List the plugins of a running host
    List {
        /// As one JSON list
        #[arg(long)]
        json: bool,
        /// The control socket of the host; not needed for the only live one
        #[arg(long, value_name = "PATH")]
        control: Option<PathBuf>,
    },
    /// Show what a plugin file says of itself, without running it
    Inspect {
        /// The plugin file
        file: PathBuf,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Have a running host load the file of a plugin again
    Reload {
        /// The name in its manifest
        name: String,
        /// Also when the new version lacks a protocol that is mounted
        #[arg(long)]
        force: bool,
        /// The control socket of the host; not needed for the only live one
        #[arg(long, value_name = "PATH")]
        control: Option<PathBuf>,
    },
}

/// What `publish` takes.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct PublishArgs {
    /// The protocol whose sessions get the message
    #[arg(long, value_name = "NAME")]
    pub protocol: String,
    /// The vhost that they are on [default: the default one]
    #[arg(long, value_name = "NAME")]
    pub vhost: Option<String>,
    /// Send binary messages instead of text
    #[arg(long)]
    pub binary: bool,
    /// Each line is a message of its own, sent as it comes, without its line feed
    #[arg(long)]
    pub line: bool,
    /// What becomes of sessions that do not keep up: left out, or closed with 1013 [default: close]
    #[arg(long, value_name = "drop|close", value_parser = slow_word)]
    pub slow: Option<SlowPolicy>,
    /// Give the bytes to the plugin for each session (`on_notify`), which decides what to send
    #[arg(long, conflicts_with_all = ["binary", "slow"])]
    pub notify: bool,
    /// The control socket of the host; not needed for the only live one
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
}

fn slow_word(word: &str) -> Result<SlowPolicy, String> {
    match word {
        "drop" => Ok(SlowPolicy::Drop),
        "close" => Ok(SlowPolicy::Close),
        _ => Err("write `drop` or `close`".to_owned()),
    }
}

/// What `log` takes.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct LogArgs {
    /// off, error, warn, info, debug, trace, or `default` to take a level back; without it the levels are shown
    #[arg(value_parser = level_word)]
    pub level: Option<String>,
    /// Whose level it is, as in hotsocket::net; without this and --plugin that of all the rest
    #[arg(long, requires = "level", conflicts_with = "plugin")]
    pub target: Option<String>,
    /// The plugin whose level it is
    #[arg(long, value_name = "NAME", requires = "level")]
    pub plugin: Option<String>,
    /// The control socket of the host; not needed for the only live one
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
}

fn level_word(word: &str) -> Result<String, String> {
    if word != "default" {
        parse_level(word).map_err(|unknown| format!("{unknown}, or default"))?;
    }
    Ok(word.to_owned())
}
