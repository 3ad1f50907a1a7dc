//! Takes pictures of the example login's pages: `scripts/screenshots FOLDER`.

use std::{env, fs, path::PathBuf};

use cloakroom_test_support::Login;
use cloakroom_tests_browser::{Browser, Result, Setup};

#[tokio::main]
async fn main() -> Result<()> {
    let folder = PathBuf::from(env::args_os().nth(1).expect("it is told a folder"));
    let wide = (760, 840);
    for (name, screen, dark) in [
        ("light", wide, false),
        ("dark", wide, true),
        ("narrow", (320, 1000), false),
    ] {
        let login = Login::start(&[]);
        let setup = Setup {
            telephone: Some(screen),
            dark,
            ..Setup::default()
        };
        let browser = Browser::start_as(&login, setup).await;
        let mut taken = Vec::new();

        browser.open("/").await?;
        taken.push(("welcome", browser.client().screenshot().await?));
        browser.open("/signup").await?;
        taken.push(("sign-up", browser.client().screenshot().await?));
        browser.sign_up("ada", false).await?;
        browser.fill("note", "The umbrella is still there.").await?;
        browser.press("Keep it").await?;
        taken.push(("home", browser.client().screenshot().await?));
        let elsewhere = Browser::start(&login).await;
        elsewhere.log_in("ada", true).await?;
        browser.open("/sessions").await?;
        taken.push(("sessions", browser.client().screenshot().await?));
        browser.press("Sign out").await?;
        browser.open("/login").await?;
        browser
            .submit("ada", "wrong horse", true, "Sign in")
            .await?;
        taken.push(("not-signed-in", browser.client().screenshot().await?));
        browser.open("/no-such-page").await?;
        taken.push(("not-found", browser.client().screenshot().await?));

        for (page, picture) in taken {
            let path = folder.join(format!("{page}-{name}.png"));
            fs::write(&path, picture).expect("the folder can be written");
            println!("{}", path.display());
        }
    }
    Ok(())
}
