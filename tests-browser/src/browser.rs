use std::{
    fs,
    future::Future,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use cloakroom_test_support::Login;
use fantoccini::{Client, ClientBuilder, Locator, cookies::Cookie, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{Result, driver::Driver};

/// The cookie's name, which is the default.
const COOKIE: &str = "__Host-id";

/// The password of everybody.
const PASSWORD: &str = "correct horse";

/// How long a page may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A browser without a window, in front of the example login, with a profile of its own.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    site: String,
    setup: Setup,
    driver: Driver,
    profile: TempDir,
}

/// How a browser is set up. By default as a computer's, with everything as it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// Whether it opens the tabs again that were open when it ended.
    pub restores_tabs: bool,
    /// A screen of this width and height, in CSS pixels, as a telephone has it.
    pub telephone: Option<(u32, u32)>,
    /// Whether it prefers dark pages.
    pub dark: bool,
}

impl Browser {
    /// Starts a browser with an empty profile.
    pub async fn start(login: &Login) -> Self {
        Self::start_as(login, Setup::default()).await
    }

    /// Starts a browser that is set up like this, with an empty profile.
    pub async fn start_as(login: &Login, setup: Setup) -> Self {
        let driver = Driver::start();
        let profile = tempfile::tempdir().expect("there is room for a profile");
        Self {
            client: connect(&driver, profile.path(), setup).await,
            site: format!("http://{}", login.address()),
            setup,
            driver,
            profile,
        }
    }

    /// Ends the browser, and starts it again with the same profile.
    pub async fn restart(self) -> Result<Self> {
        self.client.close().await?;
        let client = connect(&self.driver, self.profile.path(), self.setup).await;
        Ok(Self { client, ..self })
    }

    /// The connection to the driver, for what only one test does.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Opens a page of the login.
    pub async fn open(&self, path: &str) -> Result<()> {
        self.client.goto(&format!("{}{path}", self.site)).await
    }

    /// Where it is, without the host.
    pub async fn path(&self) -> Result<String> {
        Ok(self.client.current_url().await?.path().to_owned())
    }

    /// All the text that the page shows.
    pub async fn text(&self) -> Result<String> {
        self.client.find(Locator::Css("body")).await?.text().await
    }

    /// Signs up, which signs in.
    pub async fn sign_up(&self, name: &str, remember: bool) -> Result<()> {
        self.open("/signup").await?;
        self.submit(name, PASSWORD, remember, "Sign up").await
    }

    /// Signs in who has signed up.
    pub async fn log_in(&self, name: &str, remember: bool) -> Result<()> {
        self.open("/login").await?;
        self.submit(name, PASSWORD, remember, "Sign in").await
    }

    /// Fills in the form of an account, and sends it.
    pub async fn submit(
        &self,
        name: &str,
        password: &str,
        remember: bool,
        button: &str,
    ) -> Result<()> {
        self.fill("username", name).await?;
        self.fill("password", password).await?;
        if remember {
            self.field("remember").await?.click().await?;
        }
        self.press(button).await
    }

    /// Types into an empty field.
    pub async fn fill(&self, name: &str, text: &str) -> Result<()> {
        self.field(name).await?.send_keys(text).await
    }

    /// The form's field of this name.
    pub async fn field(&self, name: &str) -> Result<Element> {
        let selector = format!("[name={name}]");
        self.client.find(Locator::Css(&selector)).await
    }

    /// Presses the button that reads so, and waits for the page that it leads to.
    pub async fn press(&self, button: &str) -> Result<()> {
        let path = format!("//button[normalize-space()='{button}']");
        let button = self.client.find(Locator::XPath(&path)).await?;
        self.leaving(button.click()).await
    }

    /// Goes back by one page.
    pub async fn back(&self) -> Result<()> {
        // The driver waits for a page to load, which one that was kept does not do.
        self.leaving(async { self.run("setTimeout(() => history.back())").await.map(drop) })
            .await
    }

    /// Does what leads to another page, and waits until that is there.
    pub async fn leaving(&self, act: impl Future<Output = Result<()>>) -> Result<()> {
        // One that was kept has a mark of its own from when it was left. Whole numbers, since a
        // fraction may have changed by the time it is back.
        let mark = self
            .run("return window.mark = Math.floor(Math.random() * 2 ** 32)")
            .await?;
        act.await?;
        let until = Instant::now() + PATIENCE;
        let arrived =
            format!("return window.mark !== {mark} && document.readyState === 'complete'");
        // Between two pages there is none that could answer.
        while !matches!(self.run(&arrived).await, Ok(Value::Bool(true))) {
            assert!(Instant::now() < until, "no other page has come");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// What the server says of the session, in place of the page that was open.
    pub async fn whoami(&self) -> Result<Value> {
        self.open("/whoami").await?;
        Ok(serde_json::from_str(&self.text().await?)?)
    }

    /// The session's cookie, if the browser has one for the page that is open.
    pub async fn cookie(&self) -> Result<Option<Cookie<'static>>> {
        let cookies = self.client.get_all_cookies().await?;
        Ok(cookies.into_iter().find(|cookie| cookie.name() == COOKIE))
    }

    /// What a script answers; it `return`s it.
    pub async fn run(&self, script: &str) -> Result<Value> {
        self.client.execute(script, Vec::new()).await
    }
}

async fn connect(driver: &Driver, profile: &Path, setup: Setup) -> Client {
    let Setup {
        restores_tabs,
        telephone,
        dark,
    } = setup;
    let mut args = vec![
        "--headless=new".to_owned(),
        format!("--user-data-dir={}", profile.display()),
        // Containers have little shared memory.
        "--disable-dev-shm-usage".to_owned(),
        "--disable-breakpad".to_owned(),
    ];
    if is_root() {
        args.push("--no-sandbox".to_owned());
    }
    if dark {
        args.push("--blink-settings=preferredColorScheme=0".to_owned());
    }
    let mut options = json!({ "args": args });
    if restores_tabs {
        options["prefs"] = json!({ "session": { "restore_on_startup": 1 } });
    }
    if let Some((width, height)) = telephone {
        options["mobileEmulation"] =
            json!({ "deviceMetrics": { "width": width, "height": height, "pixelRatio": 1.0 } });
    }
    let wanted = json!({
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "timeouts": { "pageLoad": 30_000, "script": 10_000 },
    });
    let Value::Object(wanted) = wanted else {
        unreachable!("it is an object");
    };
    ClientBuilder::new(HttpConnector::new())
        .capabilities(wanted)
        .connect(&driver.url())
        .await
        .unwrap_or_else(|error| panic!("Chromium does not start: {error}"))
}

/// Chromium's sandbox refuses to work for root.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
