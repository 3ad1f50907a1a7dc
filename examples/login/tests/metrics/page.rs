//! The page that describes the metrics, by its tables.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::Names;

pub(super) struct Page {
    pub(super) metrics: BTreeMap<String, Shape>,
    /// What may become of each operation on the store.
    pub(super) operations: BTreeMap<String, Names>,
}

/// What a metric is.
#[derive(Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) kind: String,
    pub(super) labels: Names,
}

impl Page {
    pub(super) fn read() -> Self {
        let text = text("docs/observability.md").replace('`', "");
        let shape = |cells: &[&str]| Shape {
            kind: cells[0].to_owned(),
            labels: names(cells[1]),
        };
        let metrics = table(&text, "name").map(|row| (row[0].to_owned(), shape(&row[1..])));
        let operations = table(&text, "operation").map(|row| {
            let mut outcomes = names(row[2]);
            outcomes.insert("error".to_owned());
            (row[0].to_owned(), outcomes)
        });
        Self {
            metrics: metrics.collect(),
            operations: operations.collect(),
        }
    }

    /// The metric that a series belongs to: a histogram has three.
    pub(super) fn metric_of<'a>(&self, series: &'a str) -> Option<&'a str> {
        let ends = ["_bucket", "_sum", "_count"];
        let stem = ends.iter().find_map(|end| series.strip_suffix(end));
        let is_histogram = |stem: &&str| {
            self.metrics
                .get(*stem)
                .is_some_and(|shape| shape.kind == "histogram")
        };
        let is_plain = |name: &&str| {
            self.metrics
                .get(*name)
                .is_some_and(|shape| shape.kind != "histogram")
        };
        stem.filter(is_histogram).or(Some(series).filter(is_plain))
    }

    pub(super) fn values_of(&self, label: &str) -> Names {
        match label {
            "operation" => self.operations.keys().cloned().collect(),
            "outcome" => self.operations.values().flatten().cloned().collect(),
            "persistence" => names("browser, persistent"),
            _ => Names::new(),
        }
    }
}

/// The cells of each row of the table whose first column is called so.
fn table<'a>(text: &'a str, first: &str) -> impl Iterator<Item = Vec<&'a str>> {
    let head = format!("| {first} |");
    text.lines()
        .skip_while(move |line| !line.starts_with(&head))
        .skip(2)
        .map_while(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|row| row.split('|').map(str::trim).collect())
}

fn names(list: &str) -> Names {
    let names = list.split(", ").filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

pub(super) fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
