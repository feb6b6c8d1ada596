//! `hotsocket client URL`: a host that listens nowhere, and one session that carries standard input and output.

use std::{process::ExitCode, sync::mpsc};

use hotsocket::{
    Host, HostConfig,
    cli::{ClientArgs, tell},
    server::ConnectError,
};

mod ended;
mod input;
mod output;
mod session;

use ended::Ended;
use output::Output;
use session::{Habits, Talk, Told};

/// Talks until one of the two has enough. The exit status is in the help of the command.
pub(crate) fn run(args: &ClientArgs) -> ExitCode {
    let ended = talk(args).unwrap_or_else(|ended| ended);
    ended.tell(args.quiet);
    ExitCode::from(ended.status())
}

fn talk(args: &ClientArgs) -> Result<Ended, Ended> {
    let request = args.request();
    let request = request.map_err(|error| Ended::Usage(error.to_string()))?;
    let mut config = HostConfig {
        listen: Vec::new(),
        ..HostConfig::default()
    };
    config.limits.idle_ping_ms = args.ping.saturating_mul(1_000);
    let habits = Habits {
        is_binary: args.binary,
        takes_one: args.one_message,
        stays: args.no_close || args.one_message,
        is_quiet: args.quiet,
        line_bytes: config.limits.message_bytes,
        pong_ms: config.limits.pong_ms,
    };
    let mut builder = Host::builder().config(config).plugin(session::plugin());
    if args.compression {
        builder = builder.plugin(permessage_deflate::plugin());
    }
    let host = builder.build().map_err(Ended::failed)?;
    let (told, ended) = mpsc::channel();
    let (output, writer) = Output::open().map_err(Ended::failed)?;
    let talk = Talk {
        habits,
        output,
        told: Told::new(told, host.handle()),
    };
    let connecting = host
        .handle()
        .connect(session::NAME, request, Some(Box::new(talk)));
    connecting.map_err(|error| match error {
        ConnectError::Request(_) => Ended::Usage(error.to_string()),
        error => Ended::failed(error),
    })?;
    host.run().map_err(Ended::failed)?;
    writer.finish();
    ended
        .try_recv()
        .map_err(|_| Ended::Failed("the session ended without a word".to_owned()))
}

/// Something for people, unless they want nothing.
fn mention(is_quiet: bool, text: &str) {
    if !is_quiet {
        tell(text);
    }
}
