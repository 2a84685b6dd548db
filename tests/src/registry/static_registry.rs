//! A registry that costs next to nothing, to measure others against: all answers are made beforehand and kept in
//! memory, and a request costs one look into a map.
//!
//! Images are `apps/app-00000`, `apps/app-00001` and so on; tags `1.0.0`, `1.0.1` and so on. With metadata, each tag
//! has an OCI manifest and a configuration; tag `1.0.n` was made `n` hours after 2025-01-01.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use leadsman_scanner::reference::Digest;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::http::raw;

/// The most tags in one page.
const PAGE: usize = 1_000;

/// What a static registry holds.
#[derive(Debug, Clone, Copy)]
pub struct Content {
    /// How many images.
    pub images: usize,
    /// How many tags each has.
    pub tags: usize,
    /// Whether tags can be looked into, or only listed.
    pub metadata: bool,
    /// The time that every answer takes.
    pub latency: Duration,
}

/// The name of an image, without host.
#[must_use]
pub fn repository(image: usize) -> String {
    format!("apps/app-{image:05}")
}

/// The name of a tag.
#[must_use]
pub fn tag(number: usize) -> String {
    format!("1.0.{number}")
}

/// A running registry; it ends when dropped.
#[derive(Debug)]
pub struct StaticRegistry {
    /// Where it listens.
    pub address: SocketAddr,
    counts: Arc<Counts>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    connections: AtomicU64,
}

impl StaticRegistry {
    /// Starts a registry on a thread of its own.
    ///
    /// # Errors
    /// Where no port is free.
    pub fn start(content: Content) -> Result<Self> {
        let counts = Arc::<Counts>::default();
        let own = Arc::clone(&counts);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (tell, told) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await;
                let Ok(listener) = listener else { return };
                let answers = Arc::new(answers(content));
                if tell.send(listener.local_addr()).is_err() {
                    return;
                }
                tokio::select! {
                    () = serve(listener, answers, own, content.latency) => {}
                    _ = stopped => {}
                }
            });
        });
        let address = told.recv().context("the static registry did not start")??;
        Ok(Self { address, counts, stop: Some(stop), thread: Some(thread) })
    }

    /// The host by which images name this registry.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// How many requests came so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Waits until the registry's thread ends, which it does by itself only when the program does.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for StaticRegistry {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whole answers by `METHOD path`.
type Answers = HashMap<Vec<u8>, Arc<[u8]>>;

fn answers(content: Content) -> Answers {
    let mut answers = Answers::new();
    let tags: Vec<String> = (0..content.tags).map(tag).collect();
    let json = ("Content-Type", "application/json");
    answers.insert(b"GET /v2/".to_vec(), raw(200, &[json], "{}").into());
    let mut shared = Vec::new();
    if content.metadata {
        for (number, tag) in tags.iter().enumerate() {
            metadata_answers(number, tag, &mut shared);
        }
    }
    for image in 0..content.images {
        let name = repository(image);
        let pages = tags.chunks(PAGE).count().max(1);
        for page in 0..pages {
            let part = tags.chunks(PAGE).nth(page).unwrap_or_default();
            let body = json!({"name": name, "tags": part}).to_string();
            let last = part.last().map(String::as_str).unwrap_or_default();
            let next = format!("</v2/{name}/tags/list?last={last}&n={PAGE}>; rel=\"next\"");
            let mut headers = vec![json];
            if page + 1 < pages {
                headers.push(("Link", &next));
            }
            let answer: Arc<[u8]> = raw(200, &headers, body).into();
            if page == 0 {
                for query in ["", "?n=1000"] {
                    answers.insert(format!("GET /v2/{name}/tags/list{query}").into_bytes(), Arc::clone(&answer));
                }
            } else {
                let before = &tags[page * PAGE - 1];
                answers.insert(format!("GET /v2/{name}/tags/list?last={before}&n={PAGE}").into_bytes(), answer);
            }
        }
        for (method, kind, answer) in &shared {
            answers.insert(format!("{method} /v2/{name}/{kind}").into_bytes(), Arc::clone(answer));
        }
    }
    answers
}

/// The answers about one tag, which are the same for every image.
fn metadata_answers(number: usize, tag: &str, answers: &mut Vec<(&'static str, String, Arc<[u8]>)>) {
    let start = jiff::civil::date(2025, 1, 1).at(0, 0, 0, 0);
    let created = start.saturating_add(jiff::Span::new().hours(i64::try_from(number).unwrap_or(0)));
    let config = json!({"created": format!("{created}Z"), "os": "linux", "architecture": "amd64",
        "config": {"Labels": {"org.opencontainers.image.version": tag}}})
    .to_string();
    let config_digest = Digest::of(config.as_bytes());
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest.as_str(),
            "size": config.len()}})
    .to_string();
    let digest = Digest::of(manifest.as_bytes());
    let length = manifest.len().to_string();
    let headers = [("Content-Type", kind), ("Docker-Content-Digest", digest.as_str()), ("Content-Length", &length)];
    for reference in [tag, digest.as_str()] {
        answers.push(("GET", format!("manifests/{reference}"), raw(200, &headers, &manifest).into()));
        answers.push(("HEAD", format!("manifests/{reference}"), raw(200, &headers, "").into()));
    }
    answers.push((
        "GET",
        format!("blobs/{config_digest}"),
        raw(200, &[("Content-Type", "application/json")], config).into(),
    ));
}

async fn serve(listener: TcpListener, answers: Arc<Answers>, counts: Arc<Counts>, latency: Duration) {
    while let Ok((stream, _)) = listener.accept().await {
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let (answers, counts) = (Arc::clone(&answers), Arc::clone(&counts));
        tokio::spawn(async move {
            let _ = converse(stream, &answers, &counts, latency).await;
        });
    }
}

async fn converse(mut stream: TcpStream, answers: &Answers, counts: &Counts, latency: Duration) -> Result<()> {
    stream.set_nodelay(true)?;
    let missing: Arc<[u8]> = raw(404, &[("Content-Type", "application/json")], r#"{"errors":[]}"#).into();
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        counts.requests.fetch_add(1, Ordering::Relaxed);
        // The method and the path, as the keys are written.
        let line = buffer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let key = line.strip_suffix(b" HTTP/1.1").unwrap_or(line);
        let answer = Arc::clone(answers.get(key).unwrap_or(&missing));
        buffer.drain(..end);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        stream.write_all(&answer).await?;
    }
}

/// The list of all images, one a line, with host; for making manifests from.
#[must_use]
pub fn image_list(host: &str, content: Content) -> String {
    let mut text = String::new();
    for image in 0..content.images {
        let _ = writeln!(text, "{host}/{}", repository(image));
    }
    text
}
