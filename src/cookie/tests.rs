use super::*;
use crate::store::Timestamp;

fn stamp(remaining: Duration) -> Stamp {
    Stamp {
        created_at: Timestamp::from_millis(0).into(),
        expires_at: Timestamp::from_millis(0).into(),
        remaining,
    }
}

fn text(header: &HeaderValue) -> &str {
    header.to_str().unwrap()
}

#[test]
fn the_default_cookie_is_as_strict_as_browsers_know() {
    let token = SessionToken::generate().unwrap();
    let cookies = CookieConfig::default();
    let hour = stamp(Duration::from_hours(1));
    assert_eq!(
        text(&cookies.session(&token, Lifetime::BROWSER, hour)),
        format!(
            "__Host-id={}; HttpOnly; SameSite=Lax; Secure; Path=/",
            token.expose()
        )
    );
    let persistent = cookies.session(&token, Lifetime::PERSISTENT, hour);
    assert!(
        text(&persistent).ends_with("; Path=/; Max-Age=3600"),
        "{persistent:?}"
    );
}

#[test]
fn an_age_is_rounded_up_and_at_most_400_days() {
    let token = SessionToken::generate().unwrap();
    let cookies = CookieConfig::default();
    for (remaining, seconds) in [
        (Duration::from_millis(1), 1),
        (Duration::from_millis(1000), 1),
        (Duration::from_millis(1001), 2),
        (Lifetime::LIMIT, 400 * 24 * 60 * 60),
    ] {
        let cookie = cookies.session(&token, Lifetime::PERSISTENT, stamp(remaining));
        assert!(
            text(&cookie).ends_with(&format!("Max-Age={seconds}")),
            "{cookie:?}"
        );
    }
}

#[test]
fn the_prefix_follows_from_where_the_cookie_is_valid() {
    let name = |cookies: &CookieConfig| cookies.full_name().to_owned();
    let cookies = CookieConfig::default().name("sid".parse().unwrap());
    assert_eq!(name(&cookies), "__Host-sid");
    assert_eq!(
        name(&cookies.clone().domain("example.org".parse().unwrap())),
        "__Secure-sid"
    );
    assert_eq!(
        name(&cookies.clone().path("/admin".parse().unwrap())),
        "__Secure-sid"
    );
    assert_eq!(
        name(&cookies.clone().path("/".parse().unwrap())),
        "__Host-sid"
    );
    assert_eq!(name(&cookies.plain_http()), "sid");
}

/// Every combination of settings, checked by the browsers' rules (RFC 6265bis, 4.1.3 and 5.7).
#[test]
fn no_combination_is_one_that_browsers_refuse() {
    let mut combinations = 0;
    for bits in 0..16 {
        for same_site in [SameSite::Strict, SameSite::Lax, SameSite::None] {
            let mut cookies = CookieConfig::default().same_site(same_site);
            if bits & 1 > 0 {
                cookies = cookies.domain("example.org".parse().unwrap());
            }
            if bits & 2 > 0 {
                cookies = cookies.path("/a".parse().unwrap());
            }
            if bits & 4 > 0 {
                cookies = cookies.partitioned();
            }
            if bits & 8 > 0 {
                cookies = cookies.plain_http();
            }
            for header in [cookies.removal(), cookies.probe()] {
                let cookie = Cookie::parse(text(&header).to_owned()).unwrap();
                let secure = cookie.secure() == Some(true);
                let (domain, path) = (cookie.domain(), cookie.path());
                if cookie.name().starts_with("__Host-") {
                    assert!(
                        secure && domain.is_none() && path == Some("/"),
                        "{header:?}"
                    );
                }
                assert!(secure || !cookie.name().starts_with("__"), "{header:?}");
                assert!(secure || cookie.same_site() != Some(cookie::SameSite::None));
                assert!(secure || cookie.partitioned() != Some(true));
                combinations += 1;
            }
        }
    }
    println!("combinations={combinations} refused=0");
}

#[test]
fn a_removal_repeats_the_attributes() {
    let cookies = CookieConfig::default()
        .domain("example.org".parse().unwrap())
        .path("/a".parse().unwrap())
        .same_site(SameSite::None)
        .partitioned();
    let header = cookies.removal();
    let removal = text(&header);
    for part in [
        "__Secure-id=;",
        "HttpOnly",
        "SameSite=None",
        "Partitioned",
        "Secure",
        "Path=/a",
        "Domain=example.org",
        "Max-Age=0",
    ] {
        assert!(removal.contains(part), "{part} in {removal}");
    }
}

#[test]
fn at_most_four_distinct_well_formed_tokens_are_candidates() {
    let tokens: Vec<_> = (0..6).map(|_| SessionToken::generate().unwrap()).collect();
    let pairs: Vec<_> = tokens
        .iter()
        .map(|token| format!("__Host-id={}", token.expose()))
        .collect();
    let headers = [
        HeaderValue::try_from(format!("a=b; __Host-id=short; {}; {}", pairs[0], pairs[0])).unwrap(),
        HeaderValue::from_bytes(
            format!("x=\u{fc}; {}; id={}", pairs[1], tokens[5].expose()).as_bytes(),
        )
        .unwrap(),
        HeaderValue::try_from(pairs[2..].join("; ")).unwrap(),
    ];
    let cookies = CookieConfig::default();
    let ids: Vec<_> = cookies
        .candidates(headers.iter())
        .map(|(id, _)| id)
        .collect();
    assert_eq!(ids, [0, 1, 2, 3].map(|n| tokens[n].id()));
}

#[test]
fn a_cookie_is_ours_by_its_name_whatever_its_value() {
    let cookies = CookieConfig::default();
    for (text, has_session, has_any) in [
        ("id=1; =; ;;, __Host-idx=1; __Host-id", false, false),
        ("__Host-id-probe=1", false, true),
        ("a=b;\t__Host-id = short", true, true),
        ("a=__Host-id=1; __Host-id==", true, true),
    ] {
        let header = [HeaderValue::from_static(text)];
        assert_eq!(cookies.candidates(header.iter()).count(), 0, "{text}");
        assert_eq!(cookies.has_session(header.iter()), has_session, "{text}");
        assert_eq!(cookies.has_any(header.iter()), has_any, "{text}");
    }
}
