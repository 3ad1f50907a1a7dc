//! The two kinds of session, and a browser that is ended and started again.

use std::time::Duration;

use cloakroom_test_support::Login;
use cloakroom_tests_browser::{Browser, Result, Setup};
use serde_json::Value;
use tokio::time::sleep;

#[tokio::test]
async fn unticked_the_cookie_is_gone_when_the_browser_has_restarted() -> Result<()> {
    let login = Login::start(&[]);
    let browser = Browser::start(&login).await;
    browser.sign_up("ada", false).await?;
    assert!(browser.text().await?.contains("Hello, ada"));
    assert_eq!(browser.cookie().await?.unwrap().expires(), None);

    let browser = browser.restart().await?;
    browser.open("/").await?;
    assert_eq!(browser.cookie().await?, None);
    assert!(browser.text().await?.contains("You are not signed in."));
    Ok(())
}

#[tokio::test]
async fn ticked_the_user_is_still_signed_in_when_the_browser_has_restarted() -> Result<()> {
    let login = Login::start(&[]);
    let browser = Browser::start(&login).await;
    browser.sign_up("ada", true).await?;
    let before = browser.cookie().await?.unwrap();
    assert!(before.expires().is_some());

    let browser = browser.restart().await?;
    browser.open("/").await?;
    assert_eq!(browser.cookie().await?.unwrap().value(), before.value());
    assert!(browser.text().await?.contains("Hello, ada"));
    Ok(())
}

#[tokio::test]
async fn remember_me_can_be_changed_both_ways_while_signed_in() -> Result<()> {
    let login = Login::start(&[]);
    let browser = Browser::start(&login).await;
    browser.sign_up("ada", false).await?;
    let id = browser.whoami().await?["session_id"].clone();

    switch(&browser).await?;
    assert!(browser.cookie().await?.unwrap().expires().is_some());
    let browser = browser.restart().await?;
    let session = browser.whoami().await?;
    assert_eq!(session["persistence"], "persistent");
    assert_eq!(session["session_id"], id);

    switch(&browser).await?;
    assert_eq!(browser.cookie().await?.unwrap().expires(), None);
    let session = browser.whoami().await?;
    assert_eq!(session["persistence"], "browser");
    assert_eq!(session["session_id"], id);
    let browser = browser.restart().await?;
    assert_eq!(browser.whoami().await?["user"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn an_idle_session_is_over_though_the_browser_still_has_its_cookie() -> Result<()> {
    let login = Login::start(&["--browser-idle", "2s"]);
    let browser = Browser::start(&login).await;
    browser.sign_up("ada", false).await?;
    assert!(browser.text().await?.contains("Hello, ada"));
    let before = browser.cookie().await?.unwrap();

    sleep(Duration::from_millis(2100)).await;
    browser.open("/").await?;
    assert_eq!(browser.cookie().await?, Some(before));
    assert!(browser.text().await?.contains("You are not signed in."));
    Ok(())
}

#[tokio::test]
async fn a_browser_that_restores_its_tabs_brings_back_a_cookie_that_the_server_has_ended()
-> Result<()> {
    let login = Login::start(&["--browser-idle", "1s"]);
    let setup = Setup {
        restores_tabs: true,
        ..Setup::default()
    };
    let browser = Browser::start_as(&login, setup).await;
    browser.sign_up("ada", false).await?;
    let before = browser.cookie().await?.unwrap();
    assert_eq!(before.expires(), None);

    let browser = browser.restart().await?;
    // The restored tab is loaded in the meantime, which may be a use of the session.
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(browser.whoami().await?["user"], Value::Null);
    assert_eq!(browser.cookie().await?, Some(before));
    Ok(())
}

/// Ticks the box that is not ticked, or the other way round.
async fn switch(browser: &Browser) -> Result<()> {
    browser.open("/").await?;
    browser.field("remember").await?.click().await?;
    browser.press("Change it").await
}
