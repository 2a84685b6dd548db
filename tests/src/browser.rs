//! A real Chromium, led through pages as a person would go: clicking, typing, reading what is shown.
//!
//! Speaks as much WebDriver with `chromedriver` as that needs. Every call blocks, and a call that fails ends the test.
//! The browser reaches the loopback address only by what it is told to open, and leaves nothing outside its folder.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::program::leadsman;
use crate::registry::http::send_within;
use crate::serve::eventually;

/// The key that the WebDriver protocol gives elements under.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long a call may take: a first start on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--lang=en",
    "--window-size=1280,900",
];

/// An open window of a browser, which ends when dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    /// `/session/<id>`; empty until there is one.
    session: String,
}

impl Browser {
    /// Starts a browser that keeps its files below `folder`.
    ///
    /// # Panics
    /// Where Debian's `chromium` or `chromium-driver` is missing, or does not start.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        let said = folder.join("chromedriver.log");
        let home = folder.join("browser");
        std::fs::create_dir(&home).unwrap();
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .process_group(0)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &home)
            .env("TMPDIR", &home)
            .stdin(Stdio::null())
            .stdout(File::create(&said).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .expect("`chromedriver` starts; `apt-get install chromium chromium-driver` gets it");
        let mut browser = Self { driver, address: ([127, 0, 0, 1], 0).into(), session: String::new() };
        let port = eventually("chromedriver names its port", 30, || {
            let said = std::fs::read_to_string(&said).ok()?;
            said.split_once("successfully on port ")?.1.split_once('.')?.0.parse().ok()
        });
        browser.address.set_port(port);
        let mut flags: Vec<String> = FLAGS.iter().map(|&flag| flag.into()).collect();
        flags.push(format!("--user-data-dir={}", home.join("profile").display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let given = browser.call("POST", "/session", &wanted);
        browser.session = format!("/session/{}", given["sessionId"].as_str().unwrap());
        browser
    }

    /// Sends a command, and returns its `value`.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let target = format!("{}{path}", self.session);
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let headers = [("Content-Type", "application/json; charset=utf-8")];
        let reply = send_within(PATIENCE, self.address, method, &target, &headers, body.as_bytes());
        let reply = reply.unwrap_or_else(|error| panic!("{method} {target}: {error:#}"));
        let mut answer: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        let value = answer["value"].take();
        assert_eq!(reply.status, 200, "{method} {target} {body}: {}: {}", value["error"], value["message"]);
        value
    }

    /// Opens a page, and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    /// Loads the page anew.
    pub fn reload(&self) {
        self.call("POST", "/refresh", &json!({}));
    }

    /// The address of the page.
    #[must_use]
    pub fn url(&self) -> String {
        self.call("GET", "/url", &Value::Null).as_str().unwrap().to_owned()
    }

    /// The title of the page.
    #[must_use]
    pub fn title(&self) -> String {
        self.call("GET", "/title", &Value::Null).as_str().unwrap().to_owned()
    }

    /// Runs a script in the page, as a script of the page's own would run, and returns what it returns.
    pub fn run(&self, script: &str, arguments: &[&str]) -> Value {
        self.call("POST", "/execute/sync", &json!({"script": script, "args": arguments}))
    }

    /// What is shown of every element that a CSS selector picks, in the order of the page.
    #[must_use]
    pub fn texts(&self, css: &str) -> Vec<String> {
        let script = "return Array.from(document.querySelectorAll(arguments[0]), element => element.innerText.trim())";
        serde_json::from_value(self.run(script, &[css])).unwrap()
    }

    /// What is shown of the one element that a CSS selector picks.
    ///
    /// # Panics
    /// Where there is none, or more than one.
    #[must_use]
    pub fn text(&self, css: &str) -> String {
        let mut found = self.texts(css);
        assert_eq!(found.len(), 1, "`{css}` on {}: {found:?}", self.url());
        found.remove(0)
    }

    /// The path of the one element that a CSS selector picks.
    fn element(&self, using: &str, value: &str) -> String {
        let found = self.call("POST", "/element", &json!({"using": using, "value": value}));
        format!("/element/{}", found[ELEMENT].as_str().unwrap())
    }

    fn press(&self, using: &str, value: &str) {
        self.call("POST", &format!("{}/click", self.element(using, value)), &json!({}));
    }

    /// Clicks on the first element that a CSS selector picks; what it leads to is loaded afterwards.
    pub fn click(&self, css: &str) {
        self.press("css selector", css);
    }

    /// Clicks on the first link that has this in its text.
    pub fn follow(&self, text: &str) {
        self.press("partial link text", text);
    }

    /// Presses the button that says this.
    pub fn button(&self, text: &str) {
        self.press("xpath", &format!("//button[normalize-space()='{text}']"));
    }

    /// Types into the first element that a CSS selector picks.
    pub fn write(&self, css: &str, text: &str) {
        self.call("POST", &format!("{}/value", self.element("css selector", css)), &json!({ "text": text }));
    }

    /// Loads the page anew until `told` is some of it, for at most `seconds`.
    ///
    /// # Panics
    /// Where it never is; with what the page shows then.
    pub fn reload_until<T>(&self, what: &str, seconds: u64, mut told: impl FnMut(&Self) -> Option<T>) -> T {
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(what, seconds, || {
                self.reload();
                told(self)
            })
        }));
        told.unwrap_or_else(|_| panic!("{what}: not within {seconds} s; {} shows:\n{}", self.url(), self.text("main")))
    }

    /// Everything that stands on the browser's console since it was last asked for: violated policies, failed requests,
    /// faults of scripts.
    #[must_use]
    pub fn console(&self) -> Vec<String> {
        let lines = self.call("POST", "/se/log", &json!({"type": "browser"}));
        let lines = lines.as_array().unwrap().iter();
        lines.map(|line| format!("{} {}", line["level"].as_str().unwrap_or("?"), line["message"])).collect()
    }

    /// Keeps a picture of the whole page as `target/screenshots/<name>.png`, and returns where.
    pub fn picture(&self, name: &str) -> PathBuf {
        let folder = leadsman().ancestors().nth(2).unwrap().join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.call("POST", "/goog/cdp/execute", &json!({"cmd": "Page.captureScreenshot", "params": params}));
        let path = folder.join(format!("{name}.png"));
        std::fs::write(&path, STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()).unwrap();
        path
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = send_within(Duration::from_secs(10), self.address, "DELETE", &self.session, &[], b"");
        }
        // A browser outlives its driver, but stays in the group that the driver leads.
        if let Ok(group) = i32::try_from(self.driver.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.driver.wait();
    }
}
