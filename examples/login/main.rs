//! Sign up, sign in with "Remember me" ticked or not, and see what becomes of the session.
//!
//! ```sh
//! cargo run --example login
//! ```
//!
//! `--store` takes any URL that `cloakroom::connect` does and the features allow, for instance
//! with `--features postgres -- --store postgres://me@localhost/test`. With `--features
//! prometheus` it serves `/metrics`.
//!
//! What is about sessions is in `routes`; `users` keeps names and password hashes, `pages` is
//! the HTML, and `same_site` turns away what other sites have a browser post.

mod args;
mod failure;
mod local_path;
mod pages;
mod routes;
mod same_site;
mod sessions;
mod users;

use std::{
    future::{Future, pending},
    io::{self, Write},
    net::SocketAddr,
    pin::pin,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use clap::Parser;
use cloakroom::{SessionLayer, Sweeper};
use tokio::{net::TcpListener, select, sync::oneshot, time::timeout};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::{args::Args, failure::Failure, routes::App, users::Users};

/// How long open requests may take to end once the program is told to stop.
const GRACE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(answer) => {
            // Nobody is left to tell if neither stdout nor stderr can be written.
            let _ = answer.print();
            return Failure::exit_code_of(&answer);
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::builder()
                .with_default_directive(LevelFilter::WARN.into())
                .from_env_lossy(),
        )
        .with_writer(io::stderr)
        .init();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "login: {failure}");
            failure.exit_code()
        }
    }
}

#[tokio::main]
async fn run(args: &Args) -> Result<(), Failure> {
    let (url, folder) = args.places();
    let store = sessions::open(&url)
        .await
        .map_err(|cause| Failure::of_sessions(&url, &cause))?;
    let users = Users::open(folder.as_deref()).map_err(|cause| Failure::of_users(&cause))?;
    let sessions = SessionLayer::new(Arc::clone(&store))
        .browser_idle(args.browser_idle.into())
        .browser_absolute(args.browser_absolute.into())
        .cookie_age(args.cookie_age.into())
        .persistent_absolute(args.persistent_absolute.into())
        .no_store_when_read();
    let sessions = match args.plain_http {
        true => sessions.plain_http(),
        false => sessions,
    };
    let app = routes::router(
        App {
            users: Arc::new(users),
            store: Arc::clone(&store),
            plain_http: args.plain_http,
        },
        sessions,
    );

    #[cfg(feature = "prometheus")]
    let app = app.merge(routes::metrics().map_err(|cause| Failure::other(&cause))?);
    let told_to_stop = stop_signal().map_err(|cause| Failure::other(&cause))?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|cause| Failure::of_address(args.listen, &cause))?;
    let address = listener
        .local_addr()
        .map_err(|cause| Failure::other(&cause))?;
    greet(address, &url, args.plain_http);
    // sled does not remove ended sessions by itself.
    let sweeper = Sweeper::new(store)
        .interval(args.sweep_interval.into())
        .count_sessions();
    let sweeper = tokio::spawn(sweeper.run_until(pending()));
    let served = serve(listener, app, told_to_stop).await;
    sweeper.abort();
    served.map_err(|cause| Failure::other(&cause))
}

/// Serves until told to stop, and then what has begun, but not for ever.
async fn serve(
    listener: TcpListener,
    app: Router,
    told_to_stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopping) = oneshot::channel::<()>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async {
        let _ = stopping.await;
    });
    let mut serving = pin!(serving.into_future());
    select! {
        ended = &mut serving => return ended,
        () = told_to_stop => drop(stop),
    }
    timeout(GRACE, serving).await.unwrap_or(Ok(()))
}

fn greet(address: SocketAddr, url: &str, plain_http: bool) {
    // Of other URLs only the scheme: they may have a password in them.
    let place = match url.split_once(':') {
        Some(("sled", folder)) => folder,
        Some((scheme, _)) => scheme,
        None => url,
    };
    let cookies = match plain_http {
        true => "--plain-http: cookies travel unprotected, for development only",
        false => "cookies are Secure: for Safari or another host than this computer, --plain-http",
    };
    // A closed stdout is no reason to end.
    let _ = writeln!(
        io::stdout(),
        "Open http://{address} (sessions: {place}; {cookies}). Ctrl-C ends it."
    );
}

/// Listens for Ctrl-C and, where there is one, SIGTERM.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
