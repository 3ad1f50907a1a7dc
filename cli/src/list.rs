use crate::{
    args::ListArgs,
    exit::{Failure, Outcome},
    report::{Format, print, table},
    session::Session,
    store::{DEADLINE, Place},
};

pub(crate) async fn run(args: ListArgs) -> Result<Outcome, Failure> {
    let place = Place::new(&args.store)?;
    let store = place.open(args.store.deadline.unwrap_or(DEADLINE)).await?;
    let records = store.sessions().list(&args.owner).await;
    let records = records.map_err(|error| place.failure(&error))?;
    let sessions = records.iter().map(Session::new);
    match args.format {
        Format::Text => {
            let head = ["ID", "KIND", "CREATED", "EXPIRES", "IN", "BYTES"];
            let mut rows = vec![head.map(String::from).to_vec()];
            rows.extend(sessions.map(|session| session.row()));
            print(&table(&rows))?;
        }
        Format::Json => {
            let lines: Result<String, serde_json::Error> = sessions
                .map(|session| Ok(format!("{}\n", serde_json::to_string(&session)?)))
                .collect();
            print(&lines.map_err(std::io::Error::from)?)?;
        }
    }
    Ok(Outcome::Done)
}
