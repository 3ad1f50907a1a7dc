//! Two processes on one store: this one, and a partner that does as it is told.
//!
//! The partner is this program, or what `CLOAKROOM_PARTNER` names: the same program as it was
//! built from an earlier commit. Orders and answers are lines of JSON, so that both understand
//! them.

mod orders;
mod partner;

use std::io::{self, BufRead as _, Write as _};

use tokio::runtime::Runtime;

pub use self::{
    orders::{Answer, Order},
    partner::Partner,
};
use crate::target::{Kind, Target};

/// What the partner does until nobody tells it anything more: a line for each line.
///
/// # Errors
///
/// If it is told what it does not understand, or nobody listens.
///
/// # Panics
///
/// If the store fails.
pub fn obey(kind: Kind, place: &str) -> io::Result<()> {
    let runtime = Runtime::new()?;
    let store = runtime.block_on(Target::new(kind).at(place));
    for line in io::stdin().lock().lines() {
        let order: Order = serde_json::from_str(&line?)?;
        let answer = runtime.block_on(order.carry_out(&store));
        let mut answer = serde_json::to_string(&answer)?;
        answer.push('\n');
        io::stdout().write_all(answer.as_bytes())?;
    }
    Ok(())
}
