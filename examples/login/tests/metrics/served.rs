//! What a running login serves.

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use cloakroom_test_support::Login;

use super::{
    Names,
    page::{Page, Shape},
    query::series,
};
use crate::browser::Browser;

#[test]
fn a_login_serves_the_metrics_that_the_page_describes() {
    let page = Page::read();
    let flags = ["--sweep-interval", "100ms", "--browser-idle", "20s"];
    let login = Login::start_with_all_features(&flags);
    use_everything(&login);
    // The first sweep comes within its interval.
    let until = Instant::now() + Duration::from_secs(20);
    let served = loop {
        let served = Served::by(&login);
        let is_counted = served.metrics.contains_key("cloakroom_sessions_live");
        if is_counted || Instant::now() > until {
            break served;
        }
        sleep(Duration::from_millis(20));
    };
    println!(
        "metrics={} operations={}",
        served.metrics.len(),
        served.operations.len()
    );
    assert_eq!(served.metrics, page.metrics);
    let used: Names = served.operations.keys().cloned().collect();
    assert_eq!(used, page.operations.keys().cloned().collect());
    for (operation, outcomes) in served.operations {
        let known = &page.operations[&operation];
        assert!(outcomes.is_subset(known), "{operation}: {outcomes:?}");
    }
}

/// Each operation on the store at least once.
fn use_everything(login: &Login) {
    let mut here = Browser::new(login.address());
    let mut there = here.clone();
    here.post("/note", &[("note", "umbrella")]);
    here.sign_up("ada");
    there.log_in("ada", &[("remember", "on")]);
    here.get("/");
    // A touch pays after 1/20 of the idle timeout, of which there is most left then.
    let until = Instant::now() + Duration::from_secs(10);
    while !Served::by(login).operations.contains_key("touch") && Instant::now() < until {
        sleep(Duration::from_millis(50));
        here.whoami();
    }
    here.get("/sessions");
    here.post("/sessions/end-others", &[]);
    assert_eq!(there.user(), None);
    here.post("/logout", &[]);
    assert_eq!(here.user(), None);
}

struct Served {
    metrics: BTreeMap<String, Shape>,
    operations: BTreeMap<String, Names>,
}

impl Served {
    fn by(login: &Login) -> Self {
        let answer = Browser::new(login.address()).get("/metrics");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("vary"), None);
        let text = answer.body;
        let mut metrics = BTreeMap::new();
        let mut operations: BTreeMap<String, Names> = BTreeMap::new();
        for line in text.lines() {
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').unwrap();
                assert!(text.contains(&format!("# HELP {name} ")), "{name}");
                let shape = Shape {
                    kind: kind.to_owned(),
                    labels: Names::new(),
                };
                metrics.insert(name.to_owned(), shape);
            } else if !line.starts_with('#') {
                for sample in series(line) {
                    let (_, shape) = metrics
                        .iter_mut()
                        .rfind(|(name, _)| sample.name.starts_with(&**name))
                        .unwrap_or_else(|| panic!("no type before {line}"));
                    let labels = sample.matchers.iter().map(|(label, _)| label.clone());
                    shape.labels.extend(labels.filter(|label| label != "le"));
                    if let [(_, operation), (_, outcome)] = &sample.matchers[..]
                        && sample.name == "cloakroom_store_total"
                    {
                        let outcomes = operations.entry(operation.clone()).or_default();
                        outcomes.insert(outcome.clone());
                    }
                }
            }
        }
        Self {
            metrics,
            operations,
        }
    }
}
