//! What a browser shows of a session that has ended.

use cloakroom_test_support::Login;
use cloakroom_tests_browser::{Browser, Result};
use serde_json::Value;

#[tokio::test]
async fn signing_out_everywhere_else_signs_out_the_other_browser() -> Result<()> {
    let login = Login::start(&[]);
    let here = Browser::start(&login).await;
    let there = Browser::start(&login).await;
    here.sign_up("ada", false).await?;
    there.log_in("ada", true).await?;
    assert!(there.text().await?.contains("Hello, ada"));

    here.open("/sessions").await?;
    here.press("Sign out everywhere else").await?;
    assert!(
        here.text()
            .await?
            .contains("You are signed in nowhere else.")
    );
    assert_eq!(here.whoami().await?["user"], "ada");
    there.open("/").await?;
    assert!(there.text().await?.contains("You are not signed in."));
    assert!(
        there.cookie().await?.is_some(),
        "nobody has told the browser"
    );
    Ok(())
}

#[tokio::test]
async fn back_after_signing_out_shows_nothing_private() -> Result<()> {
    let login = Login::start(&[]);
    let browser = Browser::start(&login).await;
    assert!(keeps_pages(&browser).await?);
    browser.sign_up("ada", true).await?;
    keep_a_secret(&browser).await?;

    browser.press("Sign out").await?;
    for step in ["sign-out", "back", "back again"] {
        assert_nothing_private(&browser, step).await?;
        browser.back().await?;
    }
    Ok(())
}

#[tokio::test]
async fn back_after_signing_out_in_another_tab_shows_nothing_private() -> Result<()> {
    let login = Login::start(&[]);
    let browser = Browser::start(&login).await;
    assert!(keeps_pages(&browser).await?);
    browser.sign_up("ada", true).await?;
    keep_a_secret(&browser).await?;
    browser.open(CACHEABLE).await?;

    let first = browser.client().window().await?;
    let second = browser.client().new_window(true).await?.handle;
    browser.client().switch_to_window(second).await?;
    browser.open("/").await?;
    browser.press("Sign out").await?;
    browser.client().switch_to_window(first).await?;
    browser.back().await?;
    assert_eq!(browser.path().await?, "/");
    assert_nothing_private(&browser, "back").await
}

/// A page that has nothing to do with sessions.
const CACHEABLE: &str = "/healthz";

/// Whether the browser shows a page as it was when it goes back to it; else a test that it does not
/// would say nothing.
async fn keeps_pages(browser: &Browser) -> Result<bool> {
    browser.open(CACHEABLE).await?;
    browser.run("window.asItWas = true").await?;
    browser.open("/login").await?;
    browser.back().await?;
    Ok(browser.run("return window.asItWas === true").await? == Value::Bool(true))
}

/// Writes a note, and leaves the browser at the page that shows it.
async fn keep_a_secret(browser: &Browser) -> Result<()> {
    browser.fill("note", "my secret").await?;
    browser.press("Keep it").await?;
    assert!(browser.client().source().await?.contains("my secret"));
    browser.run("window.asItWas = true").await?;
    Ok(())
}

async fn assert_nothing_private(browser: &Browser, step: &str) -> Result<()> {
    let page = browser.client().source().await?;
    for private in ["my secret", "Hello, ada", "Signed in as"] {
        assert!(!page.contains(private), "{private:?} after {step}: {page}");
    }
    let as_it_was = browser.run("return window.asItWas === true").await?;
    assert_eq!(as_it_was, Value::Bool(false), "{step}");
    Ok(())
}
