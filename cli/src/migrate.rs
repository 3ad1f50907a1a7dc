use cloakroom_store_postgres::PostgresStore;

use crate::{
    args::MigrateArgs,
    exit::{Failure, Outcome},
    report::print,
    store::{DEADLINE, Place},
};

pub(crate) async fn run(args: MigrateArgs) -> Result<Outcome, Failure> {
    if args.print {
        let table = args.store.table.clone().unwrap_or_default();
        print(&PostgresStore::migration(&table))?;
        return Ok(Outcome::Done);
    }
    let place = Place::new(&args.store)?;
    let Place::Postgres(server) = &place else {
        print("this store needs no migration\n")?;
        return Ok(Outcome::Done);
    };
    let store = server
        .connect(args.store.deadline.unwrap_or(DEADLINE))
        .await?;
    let migrated = store.migrate().await;
    migrated.map_err(|error| place.failure(&error))?;
    print(&format!("the table {} is ready\n", store.table()))?;
    Ok(Outcome::Done)
}
