use crate::{
    args::ShowArgs,
    exit::{Failure, Outcome},
    report::{print_as, table},
    session::Session,
    store::{DEADLINE, Place},
};

pub(crate) async fn run(args: ShowArgs) -> Result<Outcome, Failure> {
    let place = Place::new(&args.store)?;
    let store = place.open(args.store.deadline.unwrap_or(DEADLINE)).await?;
    let found = store.sessions().load(args.id).await;
    let found = found.map_err(|error| place.failure(&error))?;
    let Some(record) = found else {
        return Err(Failure::other(format_args!(
            "no live session has the id {}; `cloakroom list --owner USER` shows a user's",
            args.id
        )));
    };
    let session = match args.data {
        true => Session::of_all(&record),
        false => Session::new(&record),
    };
    print_as(args.format, table(&session.rows()).trim_end(), &session)?;
    Ok(Outcome::Done)
}
