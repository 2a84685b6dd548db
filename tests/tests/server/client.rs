//! A server on a port of the loopback address, and a client that sends exactly what a test says.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hmac::{Hmac, Mac};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use leadsman::server::access::Access;
use leadsman::server::webhooks::secret::Secrets;
use leadsman::server::webhooks::{HookKind, Source};
use leadsman::server::{Parts, Server, metrics};
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::sample::Memory;

/// The secret of all sources.
pub(crate) const SECRET: &str = "a secret of the tests";

/// The secret before it, which is still taken.
pub(crate) const OLD_SECRET: &str = "the secret of last year";

/// The token that makes an operator.
pub(crate) const TOKEN: &str = "the token of the operator";

/// The time of all pages.
pub(crate) fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) memory: Arc<Memory>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) ended: JoinHandle<()>,
}

/// An answer, read to its end.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// One source of each kind; `host` is what it is known by.
pub(crate) fn sources(host: Option<&str>) -> Vec<Source> {
    let secrets = || Secrets::new("a test", vec![OLD_SECRET.into(), SECRET.into()]).unwrap();
    let source = |kind: &HookKind| Source {
        name: format!("the {}", kind.row().name),
        kind: *kind,
        host: host.map(str::to_owned),
        secrets: secrets(),
    };
    HookKind::ALL.iter().map(source).collect()
}

/// Everything allowed to who sits here.
pub(crate) fn here() -> Access {
    Access { loopback: true, ..Access::default() }
}

impl Running {
    pub(crate) async fn start(access: impl Into<Option<Access>>) -> Self {
        Self::with(access, sources(None)).await
    }

    pub(crate) async fn with(access: impl Into<Option<Access>>, sources: Vec<Source>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), access, sources)
    }

    pub(crate) fn on(listener: TcpListener, access: impl Into<Option<Access>>, sources: Vec<Source>) -> Self {
        let memory = Arc::new(Memory::default());
        let parts = Parts {
            inbox: Arc::clone(&memory) as _,
            views: Arc::clone(&memory) as _,
            actions: Arc::clone(&memory) as _,
            readiness: Arc::clone(&memory) as _,
            sources,
            access: access.into(),
            metrics: metrics::install([]).unwrap(),
            clock: now,
            form_key: [7; 32],
        };
        let server = Server::new(parts).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(async move {
            let shutdown = async move {
                let _ = stopped.await;
            };
            server.serve(listener, shutdown).await;
        });
        Self { address, memory, stop: Some(stop), ended }
    }

    /// Asks the server to end.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Sends a request as it is; `Host` is added where the test names none.
    pub(crate) async fn send(&self, mut request: Request<Full<Bytes>>) -> Reply {
        if !request.headers().contains_key("host") {
            request.headers_mut().insert("host", self.address.to_string().parse().unwrap());
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        drop(sender);
        let _ = connection.await;
        Reply { status: head.status, headers: head.headers, text: String::from_utf8(bytes.into()).unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(request(Method::GET, path, headers, Vec::new())).await
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Reply {
        self.send(request(Method::POST, path, headers, body.into())).await
    }

    /// Sends a form as a browser does from a page of this server.
    pub(crate) async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let origin = format!("http://{}", self.address);
        let body = form(fields);
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin.as_str())];
        self.post(path, &headers, body).await
    }
}

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}

pub(crate) fn request(method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::from(body))).unwrap()
}

/// The signature of a body, in hexadecimal.
pub(crate) fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The header by which a kind proves the secret for a body.
pub(crate) fn proof(kind: HookKind, secret: &str, body: &[u8]) -> (&'static str, String) {
    match kind {
        HookKind::Gitea => ("x-gitea-signature", sign(secret, body)),
        HookKind::Distribution => ("authorization", format!("Bearer {secret}")),
        HookKind::Generic => ("x-leadsman-signature-256", format!("sha256={}", sign(secret, body))),
    }
}
