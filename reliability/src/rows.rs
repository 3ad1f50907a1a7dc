//! What was found: a line of JSON for each experiment and store, and the table made of them.

use std::{collections::BTreeMap, fmt::Write as _, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{experiments::Experiment, suites::Suite};

/// What one experiment found in one store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The experiment's name.
    pub name: String,
    /// The store's.
    pub store: String,
    /// Whether the store was right.
    pub is_right: bool,
    /// The figures that were printed last, such as `rounds=10000 revived=0`.
    pub figures: String,
    /// What decided what was tried, if anything did.
    pub seed: Option<u64>,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// The day, as `2026-11-23`.
    pub date: String,
    /// Of the project, and of what keeps the sessions.
    pub version: String,
    /// What repeats it.
    pub command: String,
}

/// The rows of a file; none if there is no file.
///
/// # Errors
///
/// If it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<Row>> {
    match fs::read_to_string(path) {
        Ok(text) => text
            .lines()
            .map(|line| serde_json::from_str(line).map_err(io::Error::from))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Puts a row in place of the one of the same experiment and store.
///
/// # Errors
///
/// If the file cannot be read or written.
pub fn put(path: &Path, row: Row) -> io::Result<()> {
    let mut rows: BTreeMap<_, _> = read(path)?.into_iter().map(keyed).collect();
    rows.extend([keyed(row)]);
    let lines: Result<Vec<_>, _> = rows.values().map(serde_json::to_string).collect();
    fs::write(path, lines?.join("\n") + "\n")
}

fn keyed(row: Row) -> ((String, String), Row) {
    ((row.name.clone(), row.store.clone()), row)
}

/// The page that shows rows.
#[must_use]
pub fn page(rows: &[Row]) -> String {
    let mut page = String::from(PREFACE);
    let experiments = Experiment::all().map(|experiment| (experiment.name, experiment.about));
    let suites = Suite::ALL.iter().map(|suite| (suite.name, suite.about));
    for (name, about) in experiments.chain(suites) {
        let of = rows.iter().filter(|row| row.name == name);
        let (right, broken): (Vec<_>, Vec<_>) =
            of.partition(|row| !row.store.starts_with("broken"));
        if right.is_empty() && broken.is_empty() {
            continue;
        }
        let name = name.replace('_', " ");
        let _ = writeln!(page, "| **{name}**: {about} | | | | | |");
        for row in right.into_iter().chain(broken) {
            let result = match (row.store.starts_with("broken"), row.is_right) {
                (false, true) => String::new(),
                (true, false) => ", found as it has to be".into(),
                (false, false) => ", **WRONG**".into(),
                (true, true) => ", **NOT FOUND**".into(),
            };
            let seed = row
                .seed
                .map_or_else(|| "chance".into(), |seed| seed.to_string());
            let _ = writeln!(
                page,
                "| {} | `{}`{result} | {seed} | {} | {} | `{}` |",
                row.store, row.figures, row.version, row.date, row.command
            );
        }
    }
    page
}

const PREFACE: &str = include_str!("preface.md");
