use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    routing::{get, post},
};
use cloakroom::{Result, Session, SessionLayer, store::SessionStore};
use cloakroom_test_support::rounds;
use futures_util::stream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::support::{Browser, Server, Spy, routes};

/// What the handlers have done, as they know it themselves.
#[derive(Clone, Debug, Default)]
struct Done {
    returned: Arc<AtomicU32>,
    committed: Arc<AtomicU32>,
}

/// M4, M7: wherever clients hang up, from before the request to the middle of a streamed
/// response, what is stored is what the handlers that returned did.
#[tokio::test]
async fn clients_that_hang_up_at_every_stage_change_all_or_nothing() {
    let (store, done) = (Spy::new(), Done::default());
    let hung_up_on = Router::new()
        .route("/add", post(add))
        .route("/stream", get(stream_of_commits))
        .with_state(done.clone());
    let application = routes().merge(hung_up_on);
    let server = Server::start(application.layer(SessionLayer::new(store.clone()))).await;
    let mut browser = server.browser();
    browser.post("/set/note/kept").await;
    store.slow(Duration::from_millis(1));
    let rounds = rounds(25);
    let (mut answered, mut hung_up) = (0, 0);
    for _ in 0..rounds {
        let mut clients = JoinSet::new();
        for stage in 0..STAGES {
            let browser = browser.clone();
            clients.spawn(async move { hang_up(&browser, stage).await });
        }
        while let Some(is_answered) = clients.join_next().await {
            match is_answered.unwrap() {
                true => answered += 1,
                false => hung_up += 1,
            }
        }
    }
    store.slow(Duration::ZERO);
    let count = async |key: &str| {
        let record = store.record(&browser).await;
        record.data.get(key).map_or(0, |n| n.parse().unwrap())
    };
    // What has been returned is being stored still, though nobody waits for it.
    let _ = timeout(Duration::from_secs(20), async {
        let mut before = u32::MAX;
        while before != done.returned.load(SeqCst) || before != count("added").await {
            before = done.returned.load(SeqCst);
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let (returned, stored) = (done.returned.load(SeqCst), count("added").await);
    let (committed, chunks) = (done.committed.load(SeqCst), count("chunks").await);
    println!(
        "hung_up={hung_up} answered={answered} returned={returned} stored={stored} \
         committed_while_streaming={committed} stored={chunks}"
    );
    assert!(returned > rounds && committed > 0 && hung_up > rounds);
    assert_eq!(returned, stored);
    // A commit whose client hung up meanwhile may have been done.
    assert!(committed <= chunks && chunks <= committed + rounds);
    assert_eq!(browser.get("/get/note").await.body, "kept");
    assert_eq!(store.records().await, 1);
}

/// M6: a rotation whose client hangs up leaves one live session, under the old id or a new one.
#[tokio::test]
async fn a_rotation_that_nobody_waits_for_leaves_one_session() {
    let store = Spy::new();
    let server = Server::with(SessionLayer::new(store.clone())).await;
    let rounds = rounds(50);
    for round in 0..rounds {
        let mut browser = server.browser();
        let owner = format!("user-{round}");
        browser.post(&format!("/sign-in/{owner}")).await;
        store.slow(Duration::from_millis(2));
        let stream = browser.send("POST", "/rotate", &browser.header()).await;
        sleep(Duration::from_micros(fastrand::u64(0..6_000))).await;
        drop(stream);
        store.slow(Duration::ZERO);
        // The store is asked before and after what is still under way.
        for _ in 0..3 {
            assert_eq!(store.inner.list(&owner).await.unwrap().len(), 1);
            sleep(Duration::from_millis(2)).await;
        }
    }
    println!("rounds={rounds} sessions={}", store.records().await);
    assert_eq!(store.records().await, u64::from(rounds));
}

async fn add(State(done): State<Done>, session: Session, body: Bytes) -> Result<String> {
    let added = session.update("added", |n: Option<u32>| n.unwrap_or(0) + 1)?;
    sleep(Duration::from_micros(fastrand::u64(0..3_000))).await;
    // Nothing is awaited from here on.
    done.returned.fetch_add(1, SeqCst);
    Ok(format!("{added} {}", body.len()))
}

/// A response that goes on for long, and saves the session with each piece.
async fn stream_of_commits(State(done): State<Done>, session: Session) -> Body {
    Body::from_stream(stream::unfold(0, move |piece| {
        let (done, session) = (done.clone(), session.clone());
        async move {
            session
                .update("chunks", |n: Option<u32>| n.unwrap_or(0) + 1)
                .unwrap();
            session.commit().await.unwrap();
            done.committed.fetch_add(1, SeqCst);
            let more = (piece < 50).then(|| "x".repeat(1_000));
            more.map(|text| (Ok::<_, Infallible>(text), piece + 1))
        }
    }))
}

const STAGES: u32 = 9;

/// Sends a request up to a stage, then hangs up; says whether it had the whole answer.
async fn hang_up(browser: &Browser, stage: u32) -> bool {
    let path = if stage == 7 { "/stream" } else { "/add" };
    let method = if stage == 7 { "GET" } else { "POST" };
    let body = "x".repeat(if stage == 7 { 0 } else { 3_000 });
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n",
        body.len(),
        browser.header(),
    );
    let mut connection = browser.connect().await;
    let (whole, before_body) = (format!("{head}{body}"), head.len());
    let sent = match stage {
        0 => 0,
        1 => fastrand::usize(1..before_body),
        2 => before_body,
        3 => fastrand::usize(before_body..whole.len()),
        _ => whole.len(),
    };
    connection
        .write_all(&whole.as_bytes()[..sent])
        .await
        .unwrap();
    let mut answer = vec![0; 100];
    match stage {
        5 => sleep(Duration::from_micros(fastrand::u64(0..6_000))).await,
        6 => drop(connection.read(&mut answer).await),
        7 => {
            let mut part = connection.take(fastrand::u64(1..20_000));
            part.read_to_end(&mut answer).await.unwrap();
        }
        8 => {
            connection.read_to_end(&mut answer).await.unwrap();
            return true;
        }
        _ => {}
    }
    false
}
