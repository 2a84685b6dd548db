//! `leadsman demo --stay` as people run it: a sample fleet, its registry, and the pages.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::program::leadsman;
use crate::registry::http::send;
use crate::serve::eventually;

/// The sample, up and served; it is killed when dropped.
#[derive(Debug)]
pub struct Demo {
    /// Where its pages are: `http://127.0.0.1:…/`.
    pub pages: String,
    /// The bare repository of its fleet.
    pub fleet: PathBuf,
    registry: SocketAddr,
    process: Child,
}

impl Demo {
    /// Starts the demo with `folder` as its home, and waits until it says what to try.
    ///
    /// # Panics
    /// Where it does not come to that; with what it said.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        let log = folder.join("demo.log");
        let out = File::create(&log).unwrap();
        let mut process = Command::new(leadsman())
            .args(["demo", "--stay"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            // The sample's own folder goes with the test's, even where it is killed.
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .spawn()
            .unwrap();
        let said = eventually("the demo says what to try", 60, || {
            let said = std::fs::read_to_string(&log).unwrap();
            let is_over = process.try_wait().unwrap().is_some();
            assert!(!is_over, "`leadsman demo --stay` ended:\n{said}");
            said.contains("Ctrl-C\n").then_some(said)
        });
        let after = |start: &str| {
            let found = said.lines().find_map(|line| line.split_once(start)).map(|(_, rest)| rest.trim());
            found.unwrap_or_else(|| panic!("no `{start}` in:\n{said}")).to_owned()
        };
        let registry = after("curl -X POST http://");
        let registry = registry.split_once("/push/").unwrap().0.parse().unwrap();
        Self { pages: after("look around "), fleet: after("git clone ").into(), registry, process }
    }

    /// Has its registry take in a new image: `shop/worker:2.3.11`.
    ///
    /// # Panics
    /// Where it does not.
    pub fn push(&self, image: &str) {
        let reply = send(self.registry, "POST", &format!("/push/{image}"), &[], b"").unwrap();
        assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
    }

    /// A file of the fleet's base branch.
    ///
    /// # Panics
    /// Where git does not give it.
    #[must_use]
    pub fn file(&self, path: &str) -> String {
        let shown = Command::new("git").arg("-C").arg(&self.fleet).args(["show", &format!("HEAD:{path}")]).output();
        let shown = shown.unwrap();
        assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
        String::from_utf8(shown.stdout).unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
