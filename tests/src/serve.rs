//! `leadsman serve` as people run it: the program, a configuration file, a data folder.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::leadsman;

/// A running service; it is killed when dropped.
#[derive(Debug)]
pub struct Serve {
    /// Where it listens: `http://127.0.0.1:…`.
    pub url: String,
    process: Child,
    log: PathBuf,
}

/// A port that was free just now.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Serve {
    /// Starts the service with this configuration, to which the address to listen at and the data folder are added,
    /// both below `folder`, and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not become ready; with its log.
    #[must_use]
    pub fn start(folder: &Path, port: u16, configuration: &str) -> Self {
        let config = folder.join("leadsman.yaml");
        let data = folder.join("data");
        let text = format!(
            "{configuration}\ndata_dir: {}\nserver:\n  listen: 127.0.0.1:{port}\n  public_url: http://127.0.0.1:{port}\n",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        let log = folder.join("log");
        let process = Command::new(leadsman())
            .args(["serve", "--config"])
            .arg(&config)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("LEADSMAN_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::options().create(true).append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        let mut serve = Self { url: format!("http://127.0.0.1:{port}"), process, log };
        let end = Instant::now() + Duration::from_secs(30);
        while !serve.is_ready() {
            let is_over = serve.process.try_wait().unwrap().is_some() || Instant::now() > end;
            assert!(!is_over, "`leadsman serve` did not become ready:\n{}", serve.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        serve
    }

    fn is_ready(&self) -> bool {
        let address = self.url.trim_start_matches("http://").parse().unwrap();
        crate::registry::http::send(address, "GET", "/readyz", &[], b"").is_ok_and(|reply| reply.status == 200)
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it as a terminal's interrupt does, and returns its exit code; none where a signal ended it.
    ///
    /// # Panics
    /// Where it does not end within 30 seconds.
    pub fn stop(mut self) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it where it stands.
    ///
    /// # Panics
    /// Where it cannot be killed.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until `told` is some, looking often, for at most `seconds`; says what it waited for where it never is.
///
/// # Panics
/// Where it never is.
pub fn eventually<T>(what: &str, seconds: u64, mut told: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(told) = told() {
            return told;
        }
        assert!(Instant::now() < end, "{what}: not within {seconds} s");
        std::thread::sleep(Duration::from_millis(25));
    }
}
