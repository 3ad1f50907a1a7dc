use std::time::Instant;

use tokio::time::timeout;

use super::*;

/// A server that answers each request with its name and the request, and counts them.
struct Echo {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Echo {
    async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    let mut request = [0; 64];
                    while let Ok(length @ 1..) = client.read(&mut request).await {
                        counter.fetch_add(1, SeqCst);
                        client.write_all(name.as_bytes()).await?;
                        client.write_all(&request[..length]).await?;
                    }
                    Result::Ok(())
                });
            }
        });
        Self { address, requests }
    }
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

/// The reply to a request; `None` if the connection has ended.
async fn ask(connection: &mut TcpStream, request: &str) -> Option<String> {
    connection.write_all(request.as_bytes()).await.ok()?;
    let mut reply = String::new();
    while !reply.ends_with(request) {
        let mut chunk = [0; 64];
        let read = connection.read(&mut chunk).await;
        reply.push_str(std::str::from_utf8(some(&chunk, read).ok()?).unwrap());
    }
    Some(reply)
}

#[tokio::test]
async fn what_is_asked_is_answered() {
    let server = Echo::start("a:").await;
    let proxy = Proxy::start(server.address).await;
    let mut connection = connect(&proxy).await;
    assert_eq!(ask(&mut connection, "1").await.unwrap(), "a:1");
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn a_slow_way_delays_each_request() {
    let server = Echo::start("a:").await;
    let proxy = Proxy::start(server.address).await;
    proxy.set(Way::Slow(Duration::from_millis(20)));
    let mut connection = connect(&proxy).await;
    let began = Instant::now();
    for _ in 0..3 {
        ask(&mut connection, "1").await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn what_a_silent_way_kept_goes_on_later() {
    let server = Echo::start("a:").await;
    let proxy = Proxy::start(server.address).await;
    let mut known = connect(&proxy).await;
    ask(&mut known, "1").await.unwrap();
    proxy.set(Way::Silent);
    let mut new = connect(&proxy).await;
    for connection in [&mut known, &mut new] {
        connection.write_all(b"2").await.unwrap();
        let mut reply = [0; 1];
        let silence = timeout(Duration::from_millis(50), connection.read(&mut reply)).await;
        assert!(silence.is_err(), "{silence:?}");
    }
    assert_eq!(server.requests.load(SeqCst), 1);
    proxy.set(Way::Open);
    for mut connection in [known, new] {
        let mut reply = [0; 3];
        connection.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"a:2");
    }
}

#[tokio::test]
async fn a_cut_before_the_request_keeps_it_from_the_server() {
    let server = Echo::start("a:").await;
    let proxy = Proxy::start(server.address).await;
    let mut connection = connect(&proxy).await;
    ask(&mut connection, "1").await.unwrap();
    proxy.cut_next(Cut::BeforeRequest);
    assert_eq!(ask(&mut connection, "2").await, None);
    assert_eq!(server.requests.load(SeqCst), 1);
    assert!(ask(&mut connect(&proxy).await, "3").await.is_some());
}

#[tokio::test]
async fn a_cut_before_the_reply_lets_the_server_have_the_request() {
    let server = Echo::start("a:").await;
    let proxy = Proxy::start(server.address).await;
    proxy.cut_next(Cut::BeforeReply);
    assert_eq!(ask(&mut connect(&proxy).await, "1").await, None);
    assert_eq!(server.requests.load(SeqCst), 1);
    assert!(ask(&mut connect(&proxy).await, "2").await.is_some());
}

#[tokio::test]
async fn a_cut_that_is_taken_back_does_not_come() {
    let server = Echo::start("a:").await;
    let proxy = Proxy::start(server.address).await;
    proxy.cut_next(Cut::BeforeReply);
    proxy.spare();
    assert!(ask(&mut connect(&proxy).await, "1").await.is_some());
}

#[tokio::test]
async fn all_connections_can_be_cut_silent_or_not() {
    let server = Echo::start("a:").await;
    let proxy = Proxy::start(server.address).await;
    for way in [Way::Open, Way::Silent] {
        let mut connections = [connect(&proxy).await, connect(&proxy).await];
        for connection in &mut connections {
            ask(connection, "1").await.unwrap();
        }
        proxy.set(way);
        proxy.cut_all();
        for connection in &mut connections {
            assert_eq!(ask(connection, "2").await, None);
        }
        proxy.set(Way::Open);
    }
    assert!(ask(&mut connect(&proxy).await, "3").await.is_some());
}

#[tokio::test]
async fn it_leads_new_connections_elsewhere() {
    let servers = [Echo::start("a:").await, Echo::start("b:").await];
    let proxy = Proxy::start(servers[0].address).await;
    let mut old = connect(&proxy).await;
    ask(&mut old, "1").await.unwrap();
    proxy.lead_to(servers[1].address);
    let mut new = connect(&proxy).await;
    assert_eq!(ask(&mut new, "1").await.unwrap(), "b:1");
    assert_eq!(ask(&mut old, "1").await.unwrap(), "a:1");
}

#[tokio::test]
async fn clients_do_not_hear_what_is_said_aside() {
    let server = Echo::start("a:").await;
    let proxy = Proxy::start(server.address).await;
    let mut connection = connect(&proxy).await;
    ask(&mut connection, "1").await.unwrap();
    assert_eq!(proxy.say_aside(b"psst", b"psst").await, 1);
    assert_eq!(ask(&mut connection, "2").await.unwrap(), "a:2");
    assert_eq!(server.requests.load(SeqCst), 3);
}
