use std::io::{self, BufRead, IsTerminal, Write};

use cloakroom_store_api::Error;
use serde_json::json;

use crate::{
    args::RevokeArgs,
    exit::{Failure, Outcome},
    report::print_as,
    store::{DEADLINE, Place},
};

pub(crate) async fn run(args: RevokeArgs) -> Result<Outcome, Failure> {
    let place = Place::new(&args.store)?;
    // Before anything is opened: who cannot be asked need not wait.
    if !args.yes && !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "nobody can be asked without a terminal, confirm by --yes",
        ));
    }
    let store = place.open(args.store.deadline.unwrap_or(DEADLINE)).await?;
    let store = store.sessions();
    let failed = |error: Error| place.failure(&error);

    let Some(owner) = &args.owner else {
        let question = match args.ids.len() {
            1 => "End this session?".to_owned(),
            count => format!("End these {count} sessions?"),
        };
        if !args.yes && !confirmed(&question)? {
            return Ok(Outcome::Done);
        }
        for id in &args.ids {
            let was_live = store.expire(*id).await.map_err(failed)?;
            let text = match was_live {
                true => format!("{id} ended"),
                false => format!("{id} was not live"),
            };
            let object = json!({ "id": id.to_string(), "was_live": was_live });
            print_as(args.format, &text, &object)?;
        }
        return Ok(Outcome::Done);
    };

    if !args.yes {
        let live = store.list(owner).await.map_err(failed)?;
        let count = live.iter().filter(|live| Some(live.id) != args.except);
        let question = format!(
            "End {} sessions of {}?",
            count.count(),
            owner.escape_debug()
        );
        if !confirmed(&question)? {
            return Ok(Outcome::Done);
        }
    }
    let ended = store.expire_owner(owner, args.except).await;
    let ended = ended.map_err(failed)?;
    let object = json!({ "owner": owner, "ended": ended });
    print_as(args.format, &format!("ended {ended} sessions"), &object)?;
    Ok(Outcome::Done)
}

/// Asks on stderr: stdout is for the report.
fn confirmed(question: &str) -> Result<bool, Failure> {
    let asked = write!(io::stderr(), "{question} [y/N] ");
    asked.and_then(|()| io::stderr().flush())?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let is_yes = ["y", "yes"].contains(&answer.trim().to_lowercase().as_str());
    if !is_yes {
        writeln!(io::stderr(), "nothing was ended")?;
    }
    Ok(is_yes)
}
