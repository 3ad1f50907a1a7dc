//! Metrics have one set of names: in the code, in the pages, in the dashboard and the rules, and as
//! they are served.

mod page;
mod query;
#[cfg(feature = "prometheus")]
mod served;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use self::{
    page::{Page, text},
    query::{Series, groupings, series},
};

type Names = BTreeSet<String>;

#[test]
fn the_page_describes_the_metrics_of_the_code() {
    let mut code = Names::new();
    for file in sources(&page::root().join("src")) {
        let text = fs::read_to_string(file).unwrap();
        let names = text.split('"').filter(|quoted| is_metric(quoted));
        code.extend(names.map(str::to_owned));
    }
    let described: Names = Page::read().metrics.into_keys().collect();
    println!("metrics={}", described.len());
    assert_eq!(described, code);
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let dashboard: Value = serde_json::from_str(&text("docs/grafana.json")).unwrap();
    let mut queries = Vec::new();
    collect_queries(&dashboard, &mut queries);
    let shown = assert_known(&queries);
    let all: Names = Page::read().metrics.into_keys().collect();
    assert_eq!(shown, all);
}

#[test]
fn the_rules_ask_for_metrics_that_there_are() {
    assert!(!assert_known(&[text("docs/alerts.yaml")]).is_empty());
}

#[test]
fn other_pages_name_metrics_that_there_are() {
    let described = Page::read().metrics;
    for name in ["docs/guide.md", "docs/operations.md"] {
        let text = text(name);
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let named: Names = words
            .filter(|word| is_metric(word))
            .map(str::to_owned)
            .collect();
        assert!(!named.is_empty());
        for metric in named {
            assert!(described.contains_key(&metric), "{metric} in {name}");
        }
    }
}

/// Whether it reads like one of our metrics, and not like a crate or a table.
fn is_metric(word: &str) -> bool {
    let ends = ["_total", "_seconds", "_live", "_expired"];
    word.starts_with("cloakroom_")
        && ends.iter().any(|end| word.ends_with(end))
        && word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Whether metrics, labels and their values are as the page has them. Gives the metrics.
fn assert_known(queries: &[String]) -> Names {
    let page = Page::read();
    let labels: Names = page
        .metrics
        .values()
        .flat_map(|shape| shape.labels.clone())
        .collect();
    let mut asked = Names::new();
    for query in queries {
        for Series { name, matchers } in series(query) {
            let metric = page.metric_of(&name);
            let shape = metric.and_then(|metric| page.metrics.get(metric));
            let shape = shape.unwrap_or_else(|| panic!("{name} in {query}"));
            asked.extend(metric.map(str::to_owned));
            for (label, value) in matchers.into_iter().filter(|(label, _)| label != "job") {
                assert!(shape.labels.contains(&label), "{label} in {query}");
                let values = page.values_of(&label);
                for value in value.split('|') {
                    assert!(values.contains(value), "{label}={value} in {query}");
                }
            }
        }
        for label in groupings(query) {
            let is_added = ["le", "job"].contains(&&*label);
            assert!(is_added || labels.contains(&label), "{label} in {query}");
        }
    }
    println!("queries={} metrics={}", queries.len(), asked.len());
    asked
}

/// Every query that draws something, and those that fill a list to choose from.
fn collect_queries(value: &Value, queries: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(query) if ["expr", "query"].contains(&&**key) => {
                        queries.push(query.clone());
                    }
                    _ => collect_queries(value, queries),
                }
            }
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect_queries(value, queries)),
        _ => {}
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .collect()
}
