use cloakroom::{SessionLayer, store::SessionToken};
use cloakroom_test_support::rounds;

use super::{ask, body, set_cookie};
use crate::support::{COOKIE, Spy, routes};

/// M14: among 2 to 50 cookies of our name the live one is found wherever it stands, unless four
/// well-formed ones stand before it; and no request costs more than four loads.
#[tokio::test]
async fn among_many_cookies_of_our_name_the_live_one_is_found() {
    let store = Spy::new();
    let application = routes().layer(SessionLayer::new(store.clone()));
    let stored = ask(&application, "POST", "/set/a/mine", None).await;
    let live = set_cookie(&stored).unwrap();
    let (mut requests, mut wrong, mut most_loads) = (0, 0, 0);
    for others in 1..50_usize.min(rounds(50) as usize) {
        for at in 0..=others {
            for well_formed in [false, true] {
                let other = |n: usize| match well_formed {
                    true => SessionToken::generate().unwrap().expose(),
                    false => format!("{n:0>44}"),
                };
                let mut values: Vec<_> = (0..others).map(other).collect();
                values.insert(at, live.clone());
                let pairs: Vec<_> = values.iter().map(|v| format!("{COOKIE}={v}")).collect();
                store.calls();
                let cookie = pairs.join("; ");
                let answer = ask(&application, "GET", "/get/a", Some(&cookie)).await;
                most_loads = most_loads.max(store.calls().len());
                assert_eq!(set_cookie(&answer), None);
                let is_found = body(answer).await == "mine";
                wrong += u32::from(is_found != (at < 4 || !well_formed));
                requests += 1;
            }
        }
    }
    println!("requests={requests} wrong={wrong} most_loads={most_loads}");
    assert_eq!((wrong, most_loads), (0, 4));
}

/// M6, M12: signing out with many cookies ends each session that the next request could find,
/// and sets one cookie.
#[tokio::test]
async fn signing_out_with_many_cookies_leaves_no_session_to_find() {
    let store = Spy::new();
    let application = routes().layer(SessionLayer::new(store.clone()));
    for sessions in 2..=50 {
        let mut pairs = Vec::new();
        for _ in 0..sessions {
            let signed_in = ask(&application, "POST", "/sign-in/ann", None).await;
            pairs.push(format!("{COOKIE}={}", set_cookie(&signed_in).unwrap()));
        }
        let cookie = pairs.join("; ");
        let answer = ask(&application, "POST", "/end", Some(&cookie)).await;
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 1);
        let after = ask(&application, "GET", "/whoami", Some(&cookie)).await;
        assert_eq!(body(after).await, r#"["","Browser"]"#, "{sessions}");
    }
}
