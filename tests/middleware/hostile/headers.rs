use std::collections::BTreeSet;

use cloakroom::{SessionLayer, store::SessionToken};
use tokio::io::AsyncReadExt;

use crate::support::{COOKIE, Server, Spy};

/// Whatever a client writes into its headers and paths, no response gets a header from it.
#[tokio::test]
async fn no_header_of_a_response_comes_from_a_request() {
    let store = Spy::new();
    let server = Server::with(SessionLayer::new(store.clone())).await;
    let mut browser = server.browser();
    browser.post("/sign-in/ann").await;
    let live = browser.token().to_owned();
    let chosen = SessionToken::generate().unwrap().expose();
    let ends = [
        "\r\nx-evil: 1",
        "\nx-evil: 1",
        "\rx-evil: 1",
        "%0d%0ax-evil:%201",
        "%0ax-evil:%201",
        "\u{2028}x-evil: 1",
        "\\r\\nx-evil: 1",
        "\0x-evil: 1",
        "; x-evil=1",
        ", x-evil=1",
        "\tx-evil: 1",
        "\"; x-evil=1; \"",
        "; Domain=evil.example",
        "; Max-Age=0",
        "\u{e5}\u{98}\u{8a}",
    ];
    let mut headers = Vec::new();
    for end in ends {
        for token in [&live, &chosen, ""] {
            headers.push(format!("Cookie: {COOKIE}={token}{end}\r\n"));
            headers.push(format!("Cookie: {COOKIE}{end}={token}\r\n"));
            headers.push(format!("Cookie: x={end}; {COOKIE}={token}\r\n"));
        }
    }
    let paths = ends.map(percent);
    let (mut requests, mut injected, mut refused) = (0, 0, 0);
    let known: BTreeSet<_> = [
        "set-cookie",
        "vary",
        "cache-control",
        "content-length",
        "content-type",
        "date",
        "connection",
        "allow",
    ]
    .into();
    for header in &headers {
        for path in [
            "/get/a",
            "/whoami",
            "/rotate",
            "/set/a/1",
            "/remember/true",
            "/sign-in/eve",
        ] {
            let method = if path == "/get/a" || path == "/whoami" {
                "GET"
            } else {
                "POST"
            };
            let answer = answer(&server, method, path, header).await;
            injected += strange(&answer, &known);
            refused += u32::from(answer.starts_with("HTTP/1.1 400"));
            requests += 1;
        }
    }
    for path in &paths {
        for act in ["/set/a/", "/sign-in/", "/count/"] {
            let answer = answer(&server, "POST", &format!("{act}{path}"), "").await;
            injected += strange(&answer, &known);
            requests += 1;
        }
    }
    println!("requests={requests} refused_by_http={refused} injected={injected}");
    assert!(refused > 0 && refused < requests, "both kinds are tried");
    assert_eq!(injected, 0);
}

async fn answer(server: &Server, method: &str, path: &str, headers: &str) -> String {
    let mut stream = server.browser().send(method, path, headers).await;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How much of a response head is not as we write it.
fn strange(answer: &str, known: &BTreeSet<&str>) -> u32 {
    let (head, _) = answer.split_once("\r\n\r\n").expect("a response head");
    let mut strange = 0;
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").expect("a header");
        strange += u32::from(!known.contains(name));
        if name == "set-cookie" {
            let (token, attributes) = value.split_once("; ").expect("attributes");
            let token = token
                .strip_prefix(COOKIE)
                .and_then(|rest| rest.strip_prefix('='));
            strange += u32::from(SessionToken::parse(token.unwrap_or_default()).is_none());
            let is_ours = attributes.split("; ").all(|found| {
                [
                    "HttpOnly",
                    "SameSite=Lax",
                    "Secure",
                    "Path=/",
                    "Max-Age=1209600",
                ]
                .contains(&found)
            });
            strange += u32::from(!is_ours);
        }
    }
    strange
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
