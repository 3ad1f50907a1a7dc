//! What other sites may not do.

use crate::server::Server;

#[test]
fn another_site_cannot_post() {
    let server = Server::start(&[]);
    let mut browser = server.browser();
    browser.sign_up("ada");
    let cross = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "http://127.0.0.1:1"),
        ("origin", "null"),
    ];
    for path in [
        "/signup",
        "/login",
        "/logout",
        "/note",
        "/remember",
        "/sessions/end-others",
        "/no-such-page",
    ] {
        for header in cross {
            let answer = browser.post_with(path, &[("note", "theirs")], &[header]);
            assert_eq!(answer.status, 403, "{path} {header:?}");
        }
    }
    assert_eq!(browser.user().as_deref(), Some("ada"));
    assert!(!browser.get("/").body.contains("theirs"));
}

#[test]
fn this_site_can_post_and_so_can_who_says_nothing() {
    let server = Server::start(&[]);
    let mut browser = server.browser();
    let origin = format!("http://{}", server.address());
    for headers in [
        &[][..],
        &[("origin", &*origin)],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "same-origin"), ("origin", &*origin)],
        &[("sec-fetch-site", "none")],
    ] {
        let answer = browser.post_with("/note", &[("note", "ours")], headers);
        assert_eq!(answer.status, 303, "{headers:?}");
    }
}

#[test]
fn an_origin_is_compared_by_host_and_port() {
    let server = Server::start(&[]);
    let status = |origin, host| {
        let headers = [("origin", origin), ("host", host)];
        let note = [("note", "ours")];
        server.browser().post_with("/note", &note, &headers).status
    };
    for (origin, host) in [
        ("http://127.0.0.1:3000", "127.0.0.1:3000"),
        ("http://[::1]:3000", "[::1]:3000"),
        ("http://example.org", "example.org:80"),
        ("https://example.org", "Example.org"),
    ] {
        assert_eq!(status(origin, host), 303, "{origin} {host}");
    }
    for (origin, host) in [
        ("http://127.0.0.1:3001", "127.0.0.1:3000"),
        ("http://localhost:3000", "127.0.0.1:3000"),
        ("https://example.org:80", "example.org"),
        ("https://evil.example.org", "example.org"),
        ("https://example.org.evil", "example.org"),
        ("file://example.org", "example.org"),
    ] {
        assert_eq!(status(origin, host), 403, "{origin} {host}");
    }
}

#[test]
fn either_header_alone_refuses() {
    let server = Server::start(&[]);
    let origin = format!("http://{}", server.address());
    for (place, origin) in [
        ("cross-site", &*origin),
        ("same-site", &*origin),
        ("same-origin, cross-site", &*origin),
        ("same-origin", "https://evil.example"),
        ("same-origin", "null"),
    ] {
        let headers = [("sec-fetch-site", place), ("origin", origin)];
        let answer = server
            .browser()
            .post_with("/note", &[("note", "theirs")], &headers);
        assert_eq!(answer.status, 403, "{headers:?}");
    }
}

#[test]
fn a_sign_in_leads_to_no_other_site() {
    let server = Server::start(&[]);
    server.browser().sign_up("ada");
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "\t//evil.example",
        "/\n/evil.example",
        "/a\r\nset-cookie: a=1",
        "evil.example",
        "javascript:alert(1)",
        "/ö",
        "/\0",
        "",
    ] {
        let answer = server.browser().log_in("ada", &[("next", next)]);
        assert_eq!(answer.redirect(), (303, "/"), "{next:?}");
        assert!(!answer.body.contains("evil"));
    }
    for next in ["/sessions", "/?a=b#c", "/a//b"] {
        let answer = server.browser().log_in("ada", &[("next", next)]);
        assert_eq!(answer.redirect(), (303, next));
    }
}

#[test]
fn pages_are_neither_cached_nor_framed() {
    let server = Server::start(&[]);
    let mut browser = server.browser();
    browser.sign_up("ada");
    for path in ["/", "/login", "/signup", "/sessions", "/whoami"] {
        let answer = browser.get(path);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("vary"), Some("Cookie"), "{path}");
        if path != "/whoami" {
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.contains("frame-ancestors 'none'"));
        }
    }
    let missing = browser.get("/no-such-page");
    assert_eq!(missing.status, 404);
    assert_eq!(browser.get("/logout").status, 405);
}

#[test]
fn the_health_check_needs_no_session() {
    let server = Server::start(&[]);
    let answer = server.browser().get("/healthz");
    assert_eq!((answer.status, &*answer.body), (200, "ok\n"));
    assert_eq!(answer.header("vary"), None);
}
