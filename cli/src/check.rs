//! The contract of a store, sentence by sentence, on a live backend.
//!
//! Each behaviour runs in a process of its own: one that panics, hangs or prints leaves the
//! others and the report alone.

mod subject;

use std::{
    env, io,
    process::{ExitStatus, Stdio},
};

use cloakroom_store_api::conformance;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    runtime::Builder,
    select, try_join,
};

use crate::{
    args::CheckArgs,
    exit::{Failure, Outcome},
    report::{Format, print, print_as},
    signals::Stop,
    store::Place,
    trial::Trial,
};
use subject::{Postgres, Redis, Sled};

macro_rules! behaviours {
    (() $($module:ident::$check:ident)*) => {
        /// The names of all.
        const BEHAVIOURS: &[&str] = &[
            $(concat!(stringify!($module), "::", stringify!($check)),)*
        ];

        fn run_behaviour<S: conformance::Subject>(name: &str, subject: S) {
            $(if name == concat!(stringify!($module), "::", stringify!($check)) {
                return conformance::run(conformance::$module::$check(subject));
            })*
        }
    };
}

cloakroom_store_api::__conformance_checks! { [behaviours] () }

/// The process of one behaviour. It panics if that is not as it has to be.
pub(crate) fn one(args: &CheckArgs, name: &str, tag: &str) -> Result<Outcome, Failure> {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("it panicked");
        eprintln!("{message}");
    }));
    // A terminal and systemd signal to this process too. It leaves that to its parent, which
    // ends it.
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async { Stop::listen() })?;
    match Place::new(&args.store)? {
        Place::Postgres(server) => run_behaviour(name, Postgres::new(server, tag)),
        Place::Redis(keys) => run_behaviour(name, Redis::new(keys, tag)),
        Place::Sled(_) => run_behaviour(name, Sled::new(tag)),
    }
    Ok(Outcome::Done)
}

pub(crate) async fn run(args: CheckArgs) -> Result<Outcome, Failure> {
    let mut stop = Stop::listen()?;
    let trial = Trial::begin(&args.store).await?;
    let is_asked = |name: &&&str| args.only.iter().all(|part| name.contains(part.as_str()));
    let names: Vec<_> = BEHAVIOURS.iter().filter(is_asked).collect();
    let mut wrong = 0;
    for &name in &names {
        let mut process = process(&args, name, &trial)?.spawn()?;
        let output = select! {
            biased;
            () = stop.asked() => None,
            output = output(&mut process) => Some(output?),
        };
        let Some(output) = output else {
            process.kill().await?;
            trial.end().await?;
            return Err(Failure::stopped());
        };
        trial.clear().await?;
        let is_right = output.status.success();
        wrong += usize::from(!is_right);
        let said = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let (figures, message) = (said(&output.stdout), said(&output.stderr));
        let text = match (is_right, figures.is_empty()) {
            (true, true) => format!("ok      {name}"),
            (true, false) => format!("ok      {name} ({figures})"),
            (false, _) => format!("FAILED  {name}: {message}"),
        };
        let message = (!is_right).then_some(message);
        let object = json!({
            "behaviour": name,
            "ok": is_right,
            "figures": figures,
            "message": message,
        });
        print_as(args.format, &text, &object)?;
    }
    trial.end().await?;
    if args.format == Format::Text {
        print(&format!(
            "{} of {} are right\n",
            names.len() - wrong,
            names.len()
        ))?;
    }
    match wrong {
        0 => Ok(Outcome::Done),
        _ => Ok(Outcome::NotRight),
    }
}

fn process(args: &CheckArgs, name: &str, trial: &Trial) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["check", "--behaviour", name, "--trial", &trial.tag()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(url) = &args.store.store {
        command.env("CLOAKROOM_STORE", url);
    }
    if let Trial::Postgres { server, .. } = trial {
        let (schema, table) = server.table.parts();
        let parts: Vec<_> = schema.into_iter().chain([table]).collect();
        command.args(["--table", &parts.join(".")]);
    }
    if let Some(rounds) = args.rounds {
        command.env("CLOAKROOM_ROUNDS", rounds.to_string());
    }
    Ok(command)
}

/// What a process has said when it ended.
struct Output {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Waits until a process has ended.
async fn output(process: &mut Child) -> io::Result<Output> {
    let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
    let (status, stdout, stderr) = try_join!(process.wait(), all(stdout), all(stderr))?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

async fn all(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}
