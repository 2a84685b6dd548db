//! A small registry in memory, on a free port of the loopback address.
//!
//! Speaks as much of the OCI distribution protocol as finding updates needs: tag lists, manifests, configurations. Images
//! are made up by `POST /push/<repository>:<tag>`, which whoever asked for it is told of.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};

use leadsman_scanner::reference::is_tag;

use crate::clock;
use crate::plan::hex;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A running registry. It ends with the runtime that it was started on.
pub struct SampleRegistry {
    address: SocketAddr,
    shelf: Arc<RwLock<Shelf>>,
}

/// Is told the repository and tag of what was pushed.
pub type OnPush = Box<dyn Fn(&str, &str) + Send + Sync>;

/// What the registry holds.
#[derive(Default)]
struct Shelf {
    on_push: Option<OnPush>,
    /// The digest that each tag of each repository points at.
    tags: BTreeMap<String, BTreeMap<String, String>>,
    /// Manifests and configurations by digest, with their media types.
    blobs: BTreeMap<String, (&'static str, Vec<u8>)>,
}

impl SampleRegistry {
    /// Starts an empty registry.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn start() -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shelf = Arc::<RwLock<Shelf>>::default();
        let service = Router::new().fallback(answer).with_state(Arc::clone(&shelf));
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, service).await {
                tracing::warn!(%error, "the sample registry stopped");
            }
        });
        Ok(Self { address, shelf })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has `told` be told of each push over HTTP.
    pub fn on_push(&self, told: OnPush) {
        self.shelf.write().unwrap_or_else(PoisonError::into_inner).on_push = Some(told);
    }

    /// Adds an image of `repository` under `tag`, made at `created` from the sources at `source`.
    pub fn publish(&self, repository: &str, tag: &str, created: Timestamp, source: &str) {
        self.shelf.write().unwrap_or_else(PoisonError::into_inner).publish(repository, tag, created, source);
    }
}

impl Shelf {
    fn publish(&mut self, repository: &str, tag: &str, created: Timestamp, source: &str) {
        let revision = &hex(&Sha256::digest(format!("{repository}:{tag}")))[..40];
        let config = json!({
            "architecture": "amd64", "os": "linux", "created": created.to_string(),
            "config": {"Labels": {
                "org.opencontainers.image.source": source, "org.opencontainers.image.revision": revision,
            }},
            "rootfs": {"type": "layers", "diff_ids": []},
        })
        .to_string();
        let config_digest = digest(config.as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": {"mediaType": CONFIG, "digest": config_digest, "size": config.len()},
        })
        .to_string();
        let manifest_digest = digest(manifest.as_bytes());
        self.blobs.insert(config_digest, (CONFIG, config.into_bytes()));
        self.blobs.insert(manifest_digest.clone(), (MANIFEST, manifest.into_bytes()));
        self.tags.entry(repository.to_owned()).or_default().insert(tag.to_owned(), manifest_digest);
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Makes up an image, and tells of it.
fn push(shelf: &RwLock<Shelf>, name: &str) -> Response<Body> {
    let image = name.rsplit_once(':').filter(|(repository, tag)| is_repository(repository) && is_tag(tag));
    let Some((repository, tag)) = image else {
        return reply(StatusCode::BAD_REQUEST, "text/plain", None, b"write /push/<repository>:<tag>\n".into());
    };
    let mut shelf = shelf.write().unwrap_or_else(PoisonError::into_inner);
    let source = format!("https://github.com/example/{}", repository.replace('/', "-"));
    shelf.publish(repository, tag, clock::now(), &source);
    if let Some(told) = &shelf.on_push {
        told(repository, tag);
    }
    reply(StatusCode::CREATED, "text/plain", None, format!("pushed {repository}:{tag}\n").into_bytes())
}

fn is_repository(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
    };
    name.len() <= 100 && name.split('/').all(is_part)
}

async fn answer(State(shelf): State<Arc<RwLock<Shelf>>>, request: Request) -> Response<Body> {
    if let (&Method::POST, Some(name)) = (request.method(), request.uri().path().strip_prefix("/push/")) {
        return push(&shelf, name);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", None, b"this registry is read-only".into());
    }
    let shelf = shelf.read().unwrap_or_else(PoisonError::into_inner);
    let path = request.uri().path().strip_prefix("/v2/").unwrap_or_default();
    if path.is_empty() {
        return reply(StatusCode::OK, "application/json", None, b"{}".into());
    }
    let found = if let Some(name) = path.strip_suffix("/tags/list") {
        shelf.tags.get(name).map(|tags| {
            let list = json!({"name": name, "tags": tags.keys().collect::<Vec<_>>()}).to_string();
            ("application/json", None, list.into_bytes())
        })
    } else {
        let by_digest = |digest: &str| {
            let (kind, bytes) = shelf.blobs.get(digest)?;
            Some((*kind, Some(digest.to_owned()), bytes.clone()))
        };
        match (path.split_once("/manifests/"), path.split_once("/blobs/")) {
            (Some((name, reference)), _) => {
                let tagged = shelf.tags.get(name).and_then(|tags| tags.get(reference));
                by_digest(tagged.map_or(reference, String::as_str))
            }
            (None, Some((_, digest))) => by_digest(digest),
            (None, None) => None,
        }
    };
    match found {
        Some((kind, digest, bytes)) => reply(StatusCode::OK, kind, digest, bytes),
        None => {
            let error = json!({"errors": [{"code": "NAME_UNKNOWN", "message": "there is no such thing"}]});
            reply(StatusCode::NOT_FOUND, "application/json", None, error.to_string().into_bytes())
        }
    }
}

fn reply(status: StatusCode, kind: &str, digest: Option<String>, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
    if let Some(digest) = digest {
        response = response.header("docker-content-digest", digest);
    }
    // Names and types are our own, so that a header can always be made.
    response.body(Body::from(bytes)).unwrap_or_default()
}
