//! The pages without a mouse, on a small screen, and for who does not see them.

use cloakroom_test_support::Login;
use cloakroom_tests_browser::{Browser, Result, Setup};
use fantoccini::{
    Locator,
    actions::{InputSource, KeyAction, KeyActions},
    key::Key,
};
use serde_json::{Value, json};

/// The longest name there may be, without a place to break the line.
const LONG_NAME: &str = "Pneumonoultramicroscopicsilico";

/// What can be focused, in the order of the page.
const CONTROLS: &str = "a[href], button, input:not([type=hidden]), textarea";

#[tokio::test]
async fn everything_can_be_done_by_keyboard() -> Result<()> {
    let login = Login::start(&[]);
    let browser = Browser::start(&login).await;
    browser.open("/signup").await?;
    go_to(&browser, "[name=username]").await?;
    write(&browser, "ada").await?;
    go_to(&browser, "[name=password]").await?;
    write(&browser, "correct horse").await?;
    go_to(&browser, "[name=remember]").await?;
    write(&browser, " ").await?;
    go_to(&browser, "main button").await?;
    browser.leaving(press(&browser, Key::Enter)).await?;
    assert!(browser.text().await?.contains("Hello, ada"));
    assert!(browser.cookie().await?.unwrap().expires().is_some());

    go_to(&browser, "[name=note]").await?;
    write(&browser, "umbrella").await?;
    go_to(&browser, "[action='/note'] button").await?;
    browser.leaving(press(&browser, Key::Enter)).await?;
    assert!(browser.client().source().await?.contains("umbrella"));

    go_to(&browser, "[name=remember]").await?;
    write(&browser, " ").await?;
    go_to(&browser, "[action='/remember'] button").await?;
    browser.leaving(write(&browser, " ")).await?;
    assert_eq!(browser.cookie().await?.unwrap().expires(), None);

    go_to(&browser, "a[href='/sessions']").await?;
    browser.leaving(press(&browser, Key::Enter)).await?;
    assert_eq!(browser.path().await?, "/sessions");
    go_to(&browser, "[action='/logout'] button").await?;
    browser.leaving(press(&browser, Key::Enter)).await?;
    assert!(browser.text().await?.contains("You are not signed in."));
    assert_eq!(browser.cookie().await?, None);
    Ok(())
}

#[tokio::test]
async fn the_tab_key_reaches_everything_in_order_and_shows_where_it_is() -> Result<()> {
    let login = Login::start(&[]);
    let browser = Browser::start(&login).await;
    for page in every_page(&browser).await? {
        page.show(&browser).await?;
        let controls = browser
            .client()
            .find_all(Locator::Css(CONTROLS))
            .await?
            .len();
        for expected in 0..controls {
            press(&browser, Key::Tab).await?;
            let (at, outline) = focused(&browser).await?;
            assert_eq!(at, Some(expected as u64), "{page:?}");
            assert_eq!(outline, "solid", "{page:?}: {expected}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_page_is_wider_than_a_screen_of_320_pixels() -> Result<()> {
    let login = Login::start(&[]);
    let setup = Setup {
        telephone: Some((320, 640)),
        ..Setup::default()
    };
    let browser = Browser::start_as(&login, setup).await;
    for page in every_page(&browser).await? {
        page.show(&browser).await?;
        let widths = "return [innerWidth, document.documentElement.scrollWidth]";
        assert_eq!(browser.run(widths).await?, json!([320, 320]), "{page:?}");
        let too_wide = "return [...document.querySelectorAll('body *')]
            .filter(it => it.getBoundingClientRect().right > 320)
            .map(it => it.outerHTML)";
        assert_eq!(browser.run(too_wide).await?, json!([]), "{page:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_page_and_field_has_a_name_that_is_read_out() -> Result<()> {
    let login = Login::start(&[]);
    let browser = Browser::start(&login).await;
    for page in every_page(&browser).await? {
        page.show(&browser).await?;
        let outline =
            "return [document.documentElement.lang, document.querySelectorAll('h1').length,
            document.querySelectorAll('main').length, document.title.endsWith(' · Cloakroom')]";
        assert_eq!(
            browser.run(outline).await?,
            json!(["en", 1, 1, true]),
            "{page:?}"
        );
        let nameless = "return [...document.querySelectorAll('input:not([type=hidden]), textarea')]
            .filter(it => ![...it.labels].some(label => label.innerText.trim())
                && !document.getElementById(it.getAttribute('aria-labelledby')))
            .map(it => it.outerHTML)";
        assert_eq!(browser.run(nameless).await?, json!([]), "{page:?}");
        let unread = "return [...document.querySelectorAll('form [id$=rule], form [id$=hint]')]
            .filter(it => !document.querySelector(`[aria-describedby~=${it.id}]`))
            .map(it => it.id)";
        assert_eq!(browser.run(unread).await?, json!([]), "{page:?}");
        let dangling = "return [...document.querySelectorAll('[aria-describedby], [aria-labelledby]')]
            .flatMap(it => [it.getAttribute('aria-describedby'), it.getAttribute('aria-labelledby')])
            .filter(ids => ids).flatMap(ids => ids.split(' '))
            .filter(id => !document.getElementById(id)?.innerText.trim())";
        assert_eq!(browser.run(dangling).await?, json!([]), "{page:?}");
    }
    Ok(())
}

/// A page that people see, and how it comes about.
#[derive(Clone, Copy, Debug)]
enum Page {
    /// At this address.
    At(&'static str),
    /// After a sign-in with a wrong password.
    NotSignedIn,
    /// After a sign-up with a name that somebody has.
    NameTaken,
    /// After a sign-out.
    SignedOut,
}

/// All of them, in their order for who has just signed up.
async fn every_page(browser: &Browser) -> Result<[Page; 9]> {
    browser.sign_up(LONG_NAME, true).await?;
    Ok([
        Page::At("/"),
        Page::At("/sessions"),
        Page::At("/signup"),
        Page::At("/login"),
        Page::At("/login?next=/sessions"),
        Page::At("/no-such-page"),
        Page::NotSignedIn,
        Page::NameTaken,
        Page::SignedOut,
    ])
}

impl Page {
    async fn show(self, browser: &Browser) -> Result<()> {
        match self {
            Self::At(path) => browser.open(path).await,
            Self::NotSignedIn => {
                browser.open("/login").await?;
                let name = LONG_NAME;
                browser.submit(name, "wrong horse", true, "Sign in").await?;
                assert!(browser.text().await?.contains("Not signed in"));
                Ok(())
            }
            Self::NameTaken => {
                browser.sign_up(LONG_NAME, false).await?;
                assert!(browser.text().await?.contains("This name is taken."));
                Ok(())
            }
            Self::SignedOut => {
                browser.press("Sign out").await?;
                assert!(browser.text().await?.contains("You are not signed in."));
                Ok(())
            }
        }
    }
}

/// Presses the Tab key until this is focused.
async fn go_to(browser: &Browser, selector: &str) -> Result<()> {
    for _ in 0..20 {
        press(browser, Key::Tab).await?;
        let script = format!("return document.activeElement.matches({})", json!(selector));
        if browser.run(&script).await? == Value::Bool(true) {
            return Ok(());
        }
    }
    panic!("the Tab key does not reach {selector}");
}

/// The place of what is focused among what can be, and its outline's style.
async fn focused(browser: &Browser) -> Result<(Option<u64>, String)> {
    let script = format!(
        "const it = document.activeElement;
        const all = [...document.querySelectorAll({})];
        return [all.indexOf(it), getComputedStyle(it).outlineStyle]",
        json!(CONTROLS)
    );
    let answer = browser.run(&script).await?;
    let outline = answer[1].as_str().unwrap_or_default().to_owned();
    Ok((answer[0].as_u64(), outline))
}

async fn write(browser: &Browser, text: &str) -> Result<()> {
    for letter in text.chars() {
        strike(browser, letter).await?;
    }
    Ok(())
}

async fn press(browser: &Browser, key: Key) -> Result<()> {
    strike(browser, key.into()).await
}

/// A key goes down and up, wherever the focus is.
async fn strike(browser: &Browser, value: char) -> Result<()> {
    let strike = KeyActions::new("keyboard".to_owned())
        .then(KeyAction::Down { value })
        .then(KeyAction::Up { value });
    browser.client().perform_actions(strike).await
}
