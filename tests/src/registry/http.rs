//! A small HTTP/1.1 server whose answers a test writes itself, down to the bytes: what real servers never do, or not
//! when a test needs it. And a client for filling real registries.
//!
//! Must not be clever: it speaks just enough HTTP for what is tested, and never mends an answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `HEAD`, `POST`.
    pub method: String,
    /// The path with its query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Request {
    /// A header's value, given its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The path without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A parameter of the query, as written.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Sends these bytes and keeps the connection.
    Send(Vec<u8>),
    /// Sends these bytes and closes the connection.
    SendAndClose(Vec<u8>),
    /// Sends these bytes and then nothing more.
    SendAndHang(Vec<u8>),
    /// Sends these bytes one by one.
    Trickle(Vec<u8>, Duration),
    /// Sends these bytes, and then this many times the same megabyte.
    Flood(Vec<u8>, usize),
}

/// An answer of a status, headers and a body.
#[must_use]
pub fn reply(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
    Answer::Send(raw(status, headers, body))
}

/// The bytes of such an answer.
#[must_use]
pub fn raw(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut text = format!("HTTP/1.1 {status} Status\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A list of tags.
#[must_use]
pub fn tags<S: AsRef<str>>(tags: &[S]) -> String {
    let tags: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
    serde_json::json!({ "name": "x", "tags": tags }).to_string()
}

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<Mutex<usize>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Starts a server that answers each request by the function, which gets the request and its number from 0.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn start(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let seen = Arc::<Mutex<Vec<Request>>>::default();
        let connections = Arc::<Mutex<usize>>::default();
        let (answer, log, count) = (Arc::new(answer), Arc::clone(&seen), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                *count.lock().expect("no test panics here") += 1;
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                open.spawn(async move {
                    let _ = converse(stream, &*answer, &log).await;
                });
            }
        });
        Ok(Self { address, seen, connections, task })
    }

    /// The host by which images name this server.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// All requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("no test panics here").clone()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.connections.lock().expect("no test panics here")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    mut stream: TcpStream,
    answer: &(dyn Fn(&Request, usize) -> Answer + Send + Sync),
    log: &Mutex<Vec<Request>>,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await? {
        let number = {
            let mut log = log.lock().expect("no test panics here");
            log.push(request.clone());
            log.len() - 1
        };
        match answer(&request, number) {
            Answer::Send(bytes) => stream.write_all(&bytes).await?,
            Answer::SendAndClose(bytes) => {
                stream.write_all(&bytes).await?;
                return Ok(());
            }
            Answer::SendAndHang(bytes) => {
                stream.write_all(&bytes).await?;
                std::future::pending::<()>().await;
            }
            Answer::Trickle(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Answer::Flood(bytes, times) => {
                stream.write_all(&bytes).await?;
                let megabyte = vec![b' '; 1 << 20];
                for _ in 0..times {
                    stream.write_all(&megabyte).await?;
                }
            }
        }
    }
    Ok(())
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Option<Request>> {
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            break std::mem::replace(buffer, rest);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8(head)?;
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next().context("no request line")?.split(' ');
    let (method, target) = (first.next().unwrap_or_default().into(), first.next().unwrap_or_default().into());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, target, headers, body: String::new() };
    let length: usize = request.header("content-length").unwrap_or("0").parse()?;
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the request's body was cut");
        }
    }
    let rest = buffer.split_off(length);
    request.body = String::from_utf8(std::mem::replace(buffer, rest))?;
    Ok(Some(request))
}

/// What a real server answered.
#[derive(Debug)]
pub struct Received {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends one request on a connection of its own.
///
/// # Errors
/// Where there is no answer.
pub fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Received> {
    send_within(Duration::from_secs(10), address, method, target, headers, body)
}

/// Sends one request on a connection of its own, and waits this long for each part of the answer.
///
/// # Errors
/// Where there is no answer in time.
pub fn send_within(
    patience: Duration,
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Received> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(patience))?;
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            bail!("the answer has no head");
        }
    }
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?.parse()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    // Not every server closes the connection that it was asked to close.
    let length = headers.iter().find(|(name, _)| name == "content-length").filter(|_| method != "HEAD");
    let length = length.map_or(Ok(u64::MAX), |(_, length)| length.parse())?;
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body)?;
    Ok(Received { status, headers, body })
}
