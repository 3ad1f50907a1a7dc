//! How fast an entrant is.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How many sessions each entrant has.
pub const SESSIONS: usize = 10_000;

/// What is asked of an entrant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Load,
    Save,
    Create,
    /// Loads, with a touch after every [`LOADS_PER_TOUCH`]th.
    Sliding,
}

/// A deadline moves when 1/20 of the idle timeout has passed: 90 of the 30 minutes of a
/// browser-length session, in seconds. Somebody who asks for a page every three seconds loads the
/// session as often as this meanwhile.
pub const LOADS_PER_TOUCH: u32 = 30;

impl Operation {
    /// Those in which entrants are compared.
    pub const ALL: [Self; 3] = [Self::Load, Self::Save, Self::Create];

    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Save => "save",
            Self::Create => "create",
            Self::Sliding => "load with touches",
        }
    }
}

/// A store, ours or another, with sessions in it.
pub trait Entrant: Send + Sync + 'static {
    fn sessions(&self) -> usize {
        SESSIONS
    }

    fn load(&self, session: usize) -> impl Future<Output = Result<()>> + Send;

    /// Nobody else saves this session at the same time.
    fn save(&self, session: usize) -> impl Future<Output = Result<()>> + Send;

    /// Stores a new session, or does not know how to.
    fn create(&self) -> impl Future<Output = Result<()>> + Send;

    /// Moves a session's deadline.
    fn touch(&self, _session: usize) -> impl Future<Output = Result<()>> + Send {
        async { bail!("it has no touch") }
    }
}

type Rate = Pin<Box<dyn Future<Output = Result<f64>> + Send>>;

/// An entrant under its name.
pub struct Named {
    pub name: &'static str,
    run: Box<dyn Fn(Operation, usize, Duration) -> Rate>,
}

impl Named {
    pub fn new<E: Entrant>(name: &'static str, entrant: E) -> Self {
        let entrant = Arc::new(entrant);
        let run = move |operation, callers, time| -> Rate {
            Box::pin(rate(Arc::clone(&entrant), operation, callers, time))
        };
        Self {
            name,
            run: Box::new(run),
        }
    }

    /// What so many callers do in a second, all together.
    pub async fn rate(&self, operation: Operation, callers: usize, time: Duration) -> Result<f64> {
        (self.run)(operation, callers, time).await
    }
}

async fn rate<E: Entrant>(
    entrant: Arc<E>,
    operation: Operation,
    callers: usize,
    time: Duration,
) -> Result<f64> {
    let started = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let entrant = Arc::clone(&entrant);
            tokio::spawn(async move {
                let mut done = 0_u32;
                let mut session = caller;
                while started.elapsed() < time {
                    match operation {
                        Operation::Load => entrant.load(session).await?,
                        Operation::Save => entrant.save(session).await?,
                        Operation::Create => entrant.create().await?,
                        Operation::Sliding => {
                            entrant.load(session).await?;
                            if done.is_multiple_of(LOADS_PER_TOUCH) {
                                entrant.touch(session).await?;
                            }
                        }
                    }
                    done += 1;
                    session += callers;
                    if session >= entrant.sessions() {
                        session = caller;
                    }
                }
                anyhow::Ok(done)
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    Ok(f64::from(done) / started.elapsed().as_secs_f64())
}

pub fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
