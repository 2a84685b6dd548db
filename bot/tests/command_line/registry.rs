//! A registry of tags over HTTP on loopback, as much of one as a scan by version needs.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Repository to tags.
type Content = BTreeMap<String, Vec<String>>;

/// A running registry; its thread ends with the process.
pub(crate) struct Registry {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    /// Serves these repositories with these tags; all else is 404.
    pub(crate) fn serve(content: &[(&str, &[&str])]) -> Self {
        let content: Content = content
            .iter()
            .map(|(name, tags)| ((*name).to_owned(), tags.iter().map(|tag| (*tag).to_owned()).collect()))
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (content, seen) = (Arc::new(content), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (content, log) = (Arc::clone(&content), Arc::clone(&log));
                std::thread::spawn(move || converse(stream, &content, &log));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// The paths that were asked for.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// Answers one request after the other on a connection.
fn converse(stream: TcpStream, content: &Content, log: &Mutex<Vec<String>>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        loop {
            let before = head.len();
            match reader.read_line(&mut head) {
                Ok(0) | Err(_) => return,
                Ok(_) if head[before..].trim().is_empty() => break,
                Ok(_) => {}
            }
        }
        let path = head.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
        log.lock().unwrap().push(path.clone());
        let repository = path.strip_prefix("/v2/").and_then(|rest| rest.strip_suffix("/tags/list"));
        let (status, body) = match repository.and_then(|name| Some((name, content.get(name)?))) {
            Some((name, tags)) => ("200 OK", serde_json::json!({"name": name, "tags": tags}).to_string()),
            None if path == "/v2/" => ("200 OK", "{}".to_owned()),
            None => {
                ("404 Not Found", r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}"#.to_owned())
            }
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
