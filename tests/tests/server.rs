//! The server over real HTTP: who may send and see what, what is answered, and that nothing from outside acts on pages.
//!
//! The cases in `tests/cases/webhooks/<kind>/` are payloads as their sources send them, each with what it wakes.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use hyper::{Method, StatusCode};
use leadsman::server::access::Access;
use leadsman::server::webhooks::parse::Wake;
use leadsman::server::webhooks::{HookAnswer, HookKind, Proof};
use leadsman::server::{CONTENT_SECURITY_POLICY, api, metrics};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use client::{OLD_SECRET, Reply, Running, SECRET, TOKEN, here, proof, request, sign, sources};
use sample::{HEAD, fleet, platform};

#[path = "server/client.rs"]
mod client;
#[path = "server/sample.rs"]
mod sample;

const PULL: &str = "/repositories/local/srv/git/fleet.git/-/pulls/1";

/// A payload and what comes of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[expect(dead_code, reason = "for who reads the case")]
    about: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    host: Option<String>,
    body: Option<serde_json::Value>,
    text: Option<String>,
    base64: Option<String>,
    wakes: Option<Vec<Wake>>,
    unreadable: Option<String>,
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        match (&self.body, &self.text, &self.base64) {
            (Some(body), None, None) => serde_json::to_vec(body).unwrap(),
            (None, Some(text), None) => text.clone().into_bytes(),
            (None, None, Some(text)) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
            _ => panic!("a case has one of `body`, `text`, `base64`"),
        }
    }
}

fn cases(kind: HookKind) -> Vec<(String, Case)> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/webhooks").join(kind.row().name);
    let mut cases: Vec<(String, Case)> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = format!("{}/{}", kind.row().name, path.file_stem().unwrap().to_string_lossy());
            let text = std::fs::read_to_string(&path).unwrap();
            (name.clone(), serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")))
        })
        .collect();
    cases.sort_by(|one, other| one.0.cmp(&other.0));
    cases
}

/// The bytes that a form's value stands for.
fn unquoted(value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    bytes
}

/// A delivery of each kind that wakes something: its headers and body.
fn delivery(kind: HookKind) -> (Vec<(&'static str, &'static str)>, Vec<u8>) {
    let (headers, text): (&[_], _) = match kind {
        HookKind::Gitea => (
            &[("x-gitea-event", "push"), ("content-type", "application/json")],
            r#"{"ref":"refs/heads/main","repository":{"full_name":"acme/fleet","html_url":"https://gitea.example.com/acme/fleet"}}"#,
        ),
        HookKind::Distribution => (
            &[("content-type", "application/vnd.docker.distribution.events.v1+json")],
            r#"{"events":[{"action":"push","request":{"host":"registry.example.com"},"target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","repository":"team/app","tag":"1"}}]}"#,
        ),
        HookKind::Generic => (&[], r#"{"image":"registry.example.com/team/app","tag":"1"}"#),
    };
    (headers.to_vec(), text.as_bytes().to_vec())
}

async fn deliver(server: &Running, kind: HookKind, proof: Option<(&str, &str)>, body: &[u8]) -> Reply {
    let mut all: Vec<(&str, &str)> = delivery(kind).0;
    all.extend(proof);
    server.post(kind.row().route, &all, body).await
}

#[tokio::test]
async fn every_case_wakes_what_it_says_w1_w2() {
    for kind in HookKind::ALL.iter().copied() {
        for (name, case) in cases(kind) {
            let server = Running::with(here(), sources(case.host.as_deref())).await;
            let body = case.bytes();
            // Of a form, the source signs what is in it.
            let form = String::from_utf8_lossy(&body).strip_prefix("payload=").map(unquoted);
            let proof = proof(kind, SECRET, form.as_deref().unwrap_or(&body));
            let mut headers: Vec<(&str, &str)> = case.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            headers.push((proof.0, &proof.1));
            let reply = server.post(kind.row().route, &headers, body).await;
            let mut deliveries = std::mem::take(&mut *server.memory.deliveries.lock().unwrap());
            match (&case.wakes, &case.unreadable) {
                (Some(wakes), None) => {
                    assert_eq!(reply.status, StatusCode::ACCEPTED, "{name}: {}", reply.text);
                    let got = deliveries.pop().map(|delivery| delivery.wakes).unwrap_or_default();
                    assert_eq!(got, *wakes, "{name}");
                }
                (None, Some(why)) => {
                    assert_eq!(reply.status, kind.row().unreadable, "{name}");
                    let said = kind.row().unreadable == StatusCode::ACCEPTED || reply.text.contains(why);
                    assert!(said, "{name}: {} does not say {why}", reply.text);
                }
                _ => panic!("{name}: one of `wakes` and `unreadable`"),
            }
            assert!(deliveries.is_empty(), "{name}");
        }
    }
}

#[test]
fn every_kind_of_hook_and_every_event_has_a_case_and_a_place_in_the_documentation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join("docs/webhooks.md")).unwrap();
    let mut routes = BTreeSet::new();
    for kind in HookKind::ALL.iter().copied() {
        let row = kind.row();
        assert!(routes.insert(row.route), "{kind:?} shares its route");
        assert!(page.contains(&format!("`{}`", row.route)), "docs/webhooks.md does not name {}", row.route);
        assert_eq!(serde_json::to_value(kind).unwrap(), row.name);
        let cases = cases(kind);
        for wanted in ["wakes something", "wakes nothing", "cannot be read"] {
            let found = cases.iter().any(|(_, case)| match wanted {
                "cannot be read" => case.unreadable.is_some(),
                "wakes nothing" => case.wakes.as_ref().is_some_and(Vec::is_empty),
                _ => case.wakes.as_ref().is_some_and(|wakes| !wakes.is_empty()),
            });
            assert!(found, "{}: no case that {wanted}", row.name);
        }
        for event in row.events {
            assert!(page.contains(&format!("`{event}`")), "docs/webhooks.md does not name the event {event}");
            let Some(header) = row.event else { continue };
            let named = |case: &Case| case.headers.get(header).is_some_and(|name| name == event);
            let woken =
                cases.iter().any(|(_, case)| named(case) && case.wakes.as_ref().is_some_and(|it| !it.is_empty()));
            assert!(woken, "{}: no case in which {event} wakes something", row.name);
        }
        for proof in row.proofs {
            let said = match proof {
                Proof::Hmac { header, .. } => page.to_lowercase().contains(header),
                Proof::Authorization => page.contains("`Authorization`"),
                Proof::Path => page.contains(&format!("{}/", row.route)),
            };
            assert!(said, "docs/webhooks.md does not tell of {proof:?}");
        }
    }
    let folders = std::fs::read_dir(root.join("tests/cases/webhooks")).unwrap().count();
    assert_eq!(folders, HookKind::ALL.len(), "a folder of cases is of no kind");
    for answer in HookAnswer::ALL {
        let page = std::fs::read_to_string(root.join("docs/operations.md")).unwrap();
        assert!(page.contains(&format!("`{}`", answer.as_str())), "docs/operations.md does not explain {answer:?}");
    }
}

#[tokio::test]
async fn only_who_knows_a_secret_is_heard() {
    let server = Running::start(here()).await;
    for kind in HookKind::ALL.iter().copied() {
        let (_, body) = delivery(kind);
        for secret in [SECRET, OLD_SECRET] {
            let (name, value) = proof(kind, secret, &body);
            let reply = deliver(&server, kind, Some((name, &value)), &body).await;
            assert_eq!((reply.status, reply.text.as_str()), (StatusCode::ACCEPTED, ""), "{kind:?}");
        }
        assert_eq!(server.memory.deliveries.lock().unwrap().drain(..).count(), 2, "{kind:?}");

        let (name, right) = proof(kind, SECRET, &body);
        let (_, wrong) = proof(kind, "a secret of nobody", &body);
        let cut = &right[..right.len() - 1];
        for proof in [None, Some((name, wrong.as_str())), Some((name, "")), Some((name, cut)), Some((name, "sha256="))]
        {
            let reply = deliver(&server, kind, proof, &body).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{kind:?} {proof:?}");
            assert!(!reply.text.contains(SECRET));
        }
        if matches!(kind.row().proofs[0], Proof::Hmac { .. }) {
            let mut other = body.clone();
            other.push(b' ');
            let reply = deliver(&server, kind, Some((name, &right)), &other).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{kind:?}: another body");
        }
        assert_eq!(server.get(kind.row().route).await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    assert!(server.memory.deliveries.lock().unwrap().is_empty());

    // The other forms of a proof.
    let (_, body) = delivery(HookKind::Gitea);
    let hub = format!("sha256={}", sign(SECRET, &body));
    let reply = deliver(&server, HookKind::Gitea, Some(("x-hub-signature-256", &hub)), &body).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    // Gitea signs what a form holds, and not the form.
    let form = client::form(&[("payload", std::str::from_utf8(&body).unwrap())]);
    let kind = ("content-type", "application/x-www-form-urlencoded");
    for (signed, status) in [(body.as_slice(), StatusCode::ACCEPTED), (form.as_bytes(), StatusCode::UNAUTHORIZED)] {
        let signature = sign(SECRET, signed);
        let headers = [kind, ("x-gitea-event", "push"), ("x-gitea-signature", signature.as_str())];
        assert_eq!(server.post("/webhooks/gitea", &headers, form.clone()).await.status, status);
    }
    let (_, body) = delivery(HookKind::Distribution);
    let reply = deliver(&server, HookKind::Distribution, Some(("authorization", SECRET)), &body).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    let path = |secret: &str| format!("{}/{}", HookKind::Distribution.row().route, secret.replace(' ', "%20"));
    assert_eq!(server.post(&path(SECRET), &[], body.clone()).await.status, StatusCode::ACCEPTED);
    assert_eq!(server.post(&path("a secret of nobody"), &[], body.clone()).await.status, StatusCode::UNAUTHORIZED);
    let elsewhere = format!("{}/{}", HookKind::Generic.row().route, SECRET.replace(' ', "%20"));
    let reply = server.post(&elsewhere, &[], body.clone()).await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::NOT_FOUND, "there is no such webhook\n"));

    let server = Running::with(here(), Vec::new()).await;
    let reply = deliver(&server, HookKind::Distribution, Some(("authorization", SECRET)), &body).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(reply.text.contains("no source of the kind `distribution`"), "{}", reply.text);
}

#[tokio::test]
async fn which_secret_signed_says_which_source_it_is() {
    let mut two = sources(Some("one.example.com"));
    let secrets =
        |secret: &str| leadsman::server::webhooks::secret::Secrets::new("another", vec![secret.into()]).unwrap();
    let mut other = two[0].clone();
    (other.name, other.host, other.secrets) =
        ("another".into(), Some("two.example.com".into()), secrets("a secret of another forge"));
    two.push(other);
    let server = Running::with(here(), two).await;
    let (_, body) = delivery(HookKind::Gitea);
    for (secret, host, name) in
        [(SECRET, "one.example.com", "the gitea"), ("a secret of another forge", "two.example.com", "another")]
    {
        let (header, value) = proof(HookKind::Gitea, secret, &body);
        deliver(&server, HookKind::Gitea, Some((header, &value)), &body).await;
        let delivery = server.memory.deliveries.lock().unwrap().pop().unwrap();
        assert_eq!(delivery.source, name);
        assert!(matches!(&delivery.wakes[0], Wake::Branch { host: got, .. } if got == host), "{delivery:?}");
    }
}

#[tokio::test]
async fn a_delivery_is_stored_once() {
    let server = Running::start(here()).await;
    let (mut headers, body) = delivery(HookKind::Gitea);
    let (name, value) = proof(HookKind::Gitea, SECRET, &body);
    headers.push((name, &value));
    headers.push(("x-gitea-delivery", "f6266f16-1bf3-46a5-9ea4-602e06ead473"));
    for _ in 0..5 {
        let reply = server.post(HookKind::Gitea.row().route, &headers, body.clone()).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED);
    }
    let deliveries = server.memory.deliveries.lock().unwrap();
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].id.as_deref(), Some("f6266f16-1bf3-46a5-9ea4-602e06ead473"));
    assert_eq!(deliveries[0].received_at, client::now());
}

#[tokio::test]
async fn bodies_are_bounded_and_large_ones_are_taken() {
    let server = Running::start(here()).await;
    for kind in HookKind::ALL.iter().copied() {
        let limit = kind.row().limit;
        assert_eq!(limit, if kind == HookKind::Gitea { 25 << 20 } else { 1 << 20 });
        let (_, mut body) = delivery(kind);
        body.resize(limit, b' ');
        let (name, value) = proof(kind, SECRET, &body);
        let reply = deliver(&server, kind, Some((name, &value)), &body).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{kind:?}");

        // Announced too large: answered before a byte of it is read.
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\n{name}: {value}\r\nContent-Length: {}\r\n\r\n",
            kind.row().route,
            limit + 1
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(first_line(&mut stream).await.contains("413"), "{kind:?}");

        // Not announced: answered when it becomes too large.
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\n{name}: {value}\r\nTransfer-Encoding: chunked\r\n\r\n",
            kind.row().route
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let chunk = [format!("{:x}\r\n", 1 << 20).into_bytes(), vec![b' '; 1 << 20], b"\r\n".to_vec()].concat();
        for _ in 0..=limit >> 20 {
            if stream.write_all(&chunk).await.is_err() {
                break;
            }
        }
        assert!(first_line(&mut stream).await.contains("413"), "{kind:?}");
    }
    // One who proves nothing is not read at all.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /webhooks/gitea HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(first_line(&mut stream).await.contains("401"));
}

async fn first_line(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 512];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8_lossy(&bytes[..read]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn where_the_store_fails_the_sender_is_told_to_come_again() {
    let server = Running::start(here()).await;
    let (_, body) = delivery(HookKind::Gitea);
    let (name, value) = proof(HookKind::Gitea, SECRET, &body);
    server.memory.broken.store(true, Ordering::Relaxed);
    let reply = deliver(&server, HookKind::Gitea, Some((name, &value)), &body).await;
    assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "10"));
    assert!(!reply.text.contains("/var/lib"), "{}", reply.text);
    server.memory.broken.store(false, Ordering::Relaxed);
    server.memory.panics.store(true, Ordering::Relaxed);
    let reply = deliver(&server, HookKind::Gitea, Some((name, &value)), &body).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!reply.text.contains("hunter2") && !reply.header("x-request-id").is_empty(), "{}", reply.text);
    server.memory.panics.store(false, Ordering::Relaxed);
    let reply = deliver(&server, HookKind::Gitea, Some((name, &value)), &body).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn health_is_of_the_process_and_readiness_of_its_parts() {
    let server = Running::start(Access::default()).await;
    assert_eq!(server.get("/healthz").await.text, "ok\n");
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::OK);
    assert_eq!(ready.json()["ready"], true);
    let names: Vec<_> = ready.json()["conditions"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["store", "migrations", "workers"]);

    server.memory.broken.store(true, Ordering::Relaxed);
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["conditions"][0], serde_json::json!({"name": "store", "holds": false}));
    assert!(!ready.text.contains("/var/lib"));

    server.memory.slow.store(true, Ordering::Relaxed);
    let ready = tokio::time::timeout(Duration::from_secs(10), server.get("/readyz")).await.unwrap();
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    server.memory.panics.store(true, Ordering::Relaxed);
    assert_eq!(server.get("/readyz").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_tell_of_hooks_and_requests() {
    let server = Running::start(Access::default()).await;
    let (_, body) = delivery(HookKind::Generic);
    let (name, value) = proof(HookKind::Generic, SECRET, &body);
    deliver(&server, HookKind::Generic, Some((name, &value)), &body).await;
    let page = server.get("/metrics").await;
    assert_eq!(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(page.text.contains(r#"leadsman_hooks_total{kind="generic",answer="stored"}"#), "{}", page.text);
    assert!(page.text.contains(r#"leadsman_http_requests_total{part="webhooks",status="2xx"}"#), "{}", page.text);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let document = std::fs::read_to_string(root.join("docs/operations.md")).unwrap();
    for (name, _, _) in metrics::NAMES {
        assert!(document.contains(&format!("`{name}`")), "docs/operations.md does not explain {name}");
    }
}

/// Every page with its twin.
fn pages() -> Vec<String> {
    vec![
        "/".into(),
        "/work".into(),
        "/errors".into(),
        fleet().path,
        platform().path,
        PULL.into(),
        platform().pull_path(1),
    ]
}

fn twin(page: &str) -> String {
    format!("/api/v1{}", if page == "/" { "/repositories" } else { page })
}

/// Every text in a JSON document.
fn texts(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => found.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|item| texts(item, found)),
        _ => {}
    }
}

/// The text of a page as a person reads it: without tags, on one line.
fn readable(page: &str) -> String {
    let mut text = String::new();
    for part in page.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, rest)| rest));
    }
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#x27;", "'");
    let plain = plain.replace("&#x2f;", "/").replace("&amp;", "&");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_twin_says_what_its_page_shows_and_follows_the_schema() {
    let server = Running::start(here()).await;
    let schema = server.get("/api/v1/schema").await.json();
    assert_eq!(schema, api::schema());
    let validator = jsonschema::validator_for(&schema).unwrap();
    for page in pages() {
        let shown = server.get(&page).await;
        let twin_reply = server.get(&twin(&page)).await;
        assert_eq!((shown.status, twin_reply.status), (StatusCode::OK, StatusCode::OK), "{page}");
        let link = format!("href=\"{}\"", twin(&page));
        assert!(shown.text.replace("&#x2f;", "/").contains(&link), "{page} does not link its twin");
        let view = twin_reply.json();
        let name = match page.as_str() {
            "/" => "repositories",
            "/work" => "work",
            "/errors" => "errors",
            it if it.contains("/-/pulls/") => "pull",
            _ => "repository",
        };
        validator.validate(&serde_json::json!({ name: view })).unwrap_or_else(|error| panic!("{page}: {error}"));
        let text = readable(&shown.text);
        let mut said = Vec::new();
        texts(&view, &mut said);
        for part in said {
            // Times are shown as how long ago they were, Markdown as what it means; addresses and ids stand in tags.
            let elsewhere = part.parse::<jiff::Timestamp>().is_ok()
                || part.contains("\n")
                || part.starts_with("http")
                || part.starts_with("/repositories/")
                || part == HEAD;
            // Of the rest all letters and digits, in order: templates set backticks, dashes and spaces as they see fit.
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            // A diff's lines and the kinds of its lines are looked at below.
            let is_line = ["same", "added", "removed", "success"].contains(&part.as_str());
            assert!(
                elsewhere || is_line || letters(&text).contains(&letters(&part)),
                "{page} does not show {part:?}\n{text}"
            );
        }
    }
    let shown = server.get(PULL).await.text;
    let (added, removed) =
        (shown.matches("<tr class=\"added\">").count(), shown.matches("<tr class=\"removed\">").count());
    let file = &server.get(&twin(PULL)).await.json()["diff"][0];
    assert_eq!((added, removed), (2, 2));
    assert_eq!((&file["added"], &file["removed"]), (&added.into(), &removed.into()));
    // Of another repository there is nothing on it.
    assert!(!server.get(&fleet().path).await.text.contains("platform"));
    assert!(!server.get(PULL).await.text.contains("platform"));
}

#[tokio::test]
async fn every_answer_allows_no_script() {
    let server = Running::start(here()).await;
    let mut all = pages();
    all.extend(all.clone().iter().map(|page| twin(page)));
    all.extend(
        ["/nowhere", "/static/style.css", "/healthz", "/metrics", "/webhooks/gitea", "/api/v2/x"].map(str::to_owned),
    );
    for page in all {
        let reply = server.get(&page).await;
        assert_eq!(reply.header("content-security-policy"), CONTENT_SECURITY_POLICY, "{page}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{page}");
        assert_eq!(reply.header("x-frame-options"), "DENY", "{page}");
        assert_eq!(reply.header("referrer-policy"), "same-origin", "{page}");
        assert!(!reply.headers.contains_key("set-cookie"), "{page}");
        for word in ["<script", "style=", " on", "javascript:"] {
            let tags: Vec<&str> = reply.text.split('<').skip(1).filter_map(|it| Some(it.split_once('>')?.0)).collect();
            let html = reply.header("content-type").starts_with("text/html");
            assert!(
                !html || !tags.iter().any(|tag| tag.split('"').step_by(2).any(|it| it.contains(word))),
                "{page}: {word}"
            );
        }
    }
    assert!(CONTENT_SECURITY_POLICY.starts_with("default-src 'none';") && !CONTENT_SECURITY_POLICY.contains("unsafe"));
}

#[tokio::test]
async fn hostile_texts_are_shown_and_do_nothing() {
    let server = Running::start(here()).await;
    server.memory.hostile.store(true, Ordering::Relaxed);
    for page in pages() {
        let reply = server.get(&page).await;
        assert_eq!(reply.status, StatusCode::OK, "{page}");
        for word in ["<script", "<img", "href=\"javascript", "49 `"] {
            assert!(!reply.text.contains(word), "{page}: {word}");
        }
        assert!(!readable(&reply.text).contains(['\u{202e}', '\u{202c}']), "{page} turns its text");
        assert!(page == fleet().path || readable(&reply.text).contains("<script>alert(1)</script>"), "{page}");
        // No value ends its attribute: quotes in tags come in pairs around values that hold no `<`.
        for tag in reply.text.split('<').skip(1).filter_map(|it| Some(it.split_once('>')?.0)) {
            assert_eq!(tag.matches('"').count() % 2, 0, "{page}: <{tag}>");
            assert!(!tag.split('"').step_by(2).any(|it| it.contains("onerror")), "{page}: <{tag}>");
        }
    }
    // In an address.
    let reply = server.get("/repositories/%3Cscript%3E/%22%3E%3Cimg%20src=x%3E/-/pulls/1").await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert!(!reply.text.contains("<script") && !reply.text.contains("<img"));
}

#[tokio::test]
async fn empty_and_failing_stores_have_pages_too() {
    let server = Running::start(here()).await;
    server.memory.empty.store(true, Ordering::Relaxed);
    for (page, says) in [("/", "No repositories yet"), ("/work", "Nothing waits"), ("/errors", "No errors")] {
        let reply = server.get(page).await;
        assert_eq!(reply.status, StatusCode::OK, "{page}");
        assert!(readable(&reply.text).contains(says), "{page}");
    }
    for page in [fleet().path.as_str(), PULL, "/nowhere", "/repositories", "/repositories/x"] {
        assert_eq!(server.get(page).await.status, StatusCode::NOT_FOUND, "{page}");
    }
    let twin = server.get(&twin(PULL)).await;
    assert_eq!(twin.status, StatusCode::NOT_FOUND);
    assert!(twin.json()["error"].as_str().unwrap().contains("no such page"));
    server.memory.broken.store(true, Ordering::Relaxed);
    for page in pages().iter().flat_map(|page| [page.clone(), self::twin(page)]) {
        let reply = server.get(&page).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{page}");
        assert!(!reply.text.contains("/var/lib"), "{page}");
    }
}

/// The token in the form of a page that is sent to `action`.
async fn token(server: &Running, page: &str, action: &str, headers: &[(&str, &str)]) -> String {
    let text = server.get_with(page, headers).await.text.replace("&#x2f;", "/");
    let form =
        text.split_once(&format!("action=\"{action}\"")).unwrap_or_else(|| panic!("no form {action} on {page}")).1;
    let value = form.split_once("name=\"token\" value=\"").unwrap().1;
    value.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn who_sits_here_comments_merges_replays_and_scans() {
    let server = Running::start(here()).await;
    let submit = async |page: &str, action: &str, fields: &[(&str, &str)]| {
        let token = token(&server, page, action, &[]).await;
        let mut all = vec![("token", token.as_str())];
        all.extend_from_slice(fields);
        server.submit(action, &all).await
    };
    let reply = submit(PULL, &format!("{PULL}/comment"), &[("body", "  /hold until tomorrow\r\nfoo & bar é ")]).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (StatusCode::SEE_OTHER, format!("{PULL}#conversation").as_str())
    );
    let reply = submit(PULL, &format!("{PULL}/merge"), &[("head", HEAD)]).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    let reply = submit(&fleet().path, &format!("{}/-/scan", fleet().path), &[]).await;
    assert_eq!((reply.status, reply.header("location")), (StatusCode::SEE_OTHER, fleet().path.as_str()));
    let work = [("kind", "reconcile_pulls"), ("key", "gitea.example.com/acme/platform")];
    let reply = submit("/work", "/work/replay", &work).await;
    assert_eq!((reply.status, reply.header("location")), (StatusCode::SEE_OTHER, "/work"));
    let deeds = std::mem::take(&mut *server.memory.deeds.lock().unwrap());
    assert_eq!(
        deeds,
        [
            "Local comments on /srv/git/fleet.git#1: /hold until tomorrow\r\nfoo & bar é",
            "Local comments on /srv/git/fleet.git#1: /merge 3f2a91c0d4b7",
            "Local scans /srv/git/fleet.git",
            "Local replays reconcile_pulls gitea.example.com/acme/platform",
        ]
    );
    let comment = format!("{PULL}/comment");
    for (fields, status) in
        [(vec![("body", " \n")], StatusCode::UNPROCESSABLE_ENTITY), (vec![("body", "refuse me")], StatusCode::CONFLICT)]
    {
        assert_eq!(submit(PULL, &comment, &fields).await.status, status);
    }
    let long = "x".repeat((64 << 10) + 1);
    assert_eq!(submit(PULL, &comment, &[("body", &long)]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        submit(PULL, &format!("{PULL}/merge"), &[("head", "main")]).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let huge = "x".repeat(300 << 10);
    assert_eq!(submit(PULL, &comment, &[("body", &huge)]).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(server.memory.deeds.lock().unwrap().is_empty());
}

#[tokio::test]
async fn forms_of_others_are_refused() {
    let server = Running::start(here()).await;
    let action = format!("{PULL}/comment");
    let good = token(&server, PULL, &action, &[]).await;
    let merge = token(&server, PULL, &format!("{PULL}/merge"), &[]).await;
    let origin = format!("http://{}", server.address);
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let body = client::form(&[("token", &good), ("body", "hi")]);
    for headers in [
        vec![kind],
        vec![kind, ("origin", "https://evil.example")],
        vec![kind, ("origin", "null")],
        vec![kind, ("origin", origin.as_str()), ("sec-fetch-site", "cross-site")],
        vec![kind, ("origin", "http://evil.example"), ("host", "evil.example")],
    ] {
        let reply = server.post(&action, &headers, body.clone()).await;
        assert!(matches!(reply.status.as_u16(), 403 | 421), "{headers:?}: {}", reply.status);
    }
    for token in ["", "1.2", &merge, &good[..good.len() - 1], &format!("9{good}")] {
        let reply = server.submit(&action, &[("token", token), ("body", "hi")]).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{token}");
    }
    let reply = server.submit(&action, &[("body", "hi")]).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    let reply = server.post(&action, &[("origin", &origin), ("content-type", "text/plain")], body).await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(server.memory.deeds.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_may_not_sees_nothing_and_who_may_read_writes_nothing() {
    let closed = Running::start(Access::default()).await;
    for page in pages().iter().flat_map(|page| [page.clone(), twin(page)]).chain(["/nowhere".into()]) {
        assert_eq!(closed.get(&page).await.status, StatusCode::FORBIDDEN, "{page}");
    }
    assert_eq!(closed.get("/healthz").await.status, StatusCode::OK);

    let access = Access { token: Some(TOKEN.into()), public: false, ..here() };
    let server = Running::start(access.clone()).await;
    let proxied = ("x-forwarded-for", "192.0.2.1");
    let reply = server.get_with("/", &[proxied]).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(reply.header("www-authenticate").starts_with("Basic "));
    let reply = server.get_with("/", &[("host", "evil.example")]).await;
    assert_eq!(reply.status, StatusCode::MISDIRECTED_REQUEST);

    // The operator scans and replays; comments would be nobody's.
    let bearer = format!("Bearer {TOKEN}");
    let operator = [proxied, ("authorization", bearer.as_str())];
    assert_eq!(server.get_with("/api/v1/work", &operator).await.status, StatusCode::OK);
    let page = server.get_with(PULL, &operator).await;
    assert!(!page.text.contains("<textarea") && readable(&page.text).contains("you are operator"));
    let token = token(&server, "/work", "/work/replay", &operator).await;
    let origin = format!("http://{}", server.address);
    let headers =
        [&operator[..], &[("origin", &origin), ("content-type", "application/x-www-form-urlencoded")]].concat();
    let body = client::form(&[("token", &token), ("kind", "list_image"), ("key", "docker.io/library/nginx")]);
    assert_eq!(server.post("/work/replay", &headers, body.clone()).await.status, StatusCode::SEE_OTHER);
    assert_eq!(*server.memory.deeds.lock().unwrap(), ["Operator replays list_image docker.io/library/nginx"]);

    // Readers read; what they may not know of is not there.
    let server = Running::start(Access { public: true, ..access }).await;
    let page = server.get_with(&platform().path, &[proxied]).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("<form") && readable(&page.text).contains("read-only"));
    assert_eq!(server.get_with(PULL, &[proxied]).await.status, StatusCode::NOT_FOUND);
    let headers = [&headers[3..], &headers[2..3], &[proxied]].concat();
    assert_eq!(server.post("/work/replay", &headers, body).await.status, StatusCode::FORBIDDEN);
    assert!(server.memory.deeds.lock().unwrap().is_empty());
}

#[tokio::test]
async fn requests_have_ids_and_only_harmless_ones_are_taken_over() {
    let server = Running::start(here()).await;
    let reply = server.get_with("/healthz", &[("x-request-id", "req-7.a_B")]).await;
    assert_eq!(reply.header("x-request-id"), "req-7.a_B");
    let long = "a".repeat(65);
    for odd in ["", "a b", "\u{e9}", &long, "a\"b"] {
        let reply = server.send(request(Method::GET, "/healthz", &[("x-request-id", odd)], Vec::new())).await;
        let id = reply.header("x-request-id");
        assert!(!id.is_empty() && id != odd && id.len() < 40, "{odd:?}: {id:?}");
    }
}

#[tokio::test]
async fn ending_lets_open_requests_end_and_takes_no_new_ones() {
    let mut server = Running::start(here()).await;
    let (_, body) = delivery(HookKind::Generic);
    let (name, value) = proof(HookKind::Generic, SECRET, &body);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /webhooks/registry/generic HTTP/1.1\r\nHost: localhost\r\n{name}: {value}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..10]).await.unwrap();
    // The server has accepted this connection once it answers on a later one.
    server.get("/healthz").await;
    server.stop();
    let mut refused = false;
    for _ in 0..1000 {
        refused = TcpStream::connect(server.address).await.is_err();
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(refused, "it still accepts connections");
    assert!(!server.ended.is_finished());
    stream.write_all(&body[10..]).await.unwrap();
    assert!(first_line(&mut stream).await.contains("202"));
    drop(stream);
    tokio::time::timeout(Duration::from_secs(10), &mut server.ended).await.unwrap().unwrap();
    assert_eq!(server.memory.deliveries.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn without_pages_there_are_webhooks_and_probes_only() {
    let server = Running::start(None).await;
    for page in pages().iter().flat_map(|page| [page.clone(), twin(page)]).chain(["/static/style.css".into()]) {
        let reply = server.get(&page).await;
        assert_eq!((reply.status, reply.text.as_str()), (StatusCode::NOT_FOUND, ""), "{page}");
    }
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    let (_, body) = delivery(HookKind::Generic);
    let (name, value) = proof(HookKind::Generic, SECRET, &body);
    let reply = deliver(&server, HookKind::Generic, Some((name, &value)), &body).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
}

/// Lines of a log, to be read by a test.
#[derive(Clone, Default)]
struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_names_requests_and_holds_no_secret_and_no_payload() {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .json()
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(log);

    let server = Running::start(Access { token: Some(TOKEN.into()), ..here() }).await;
    let payload = r#"{"events":[],"note":"a word of the payload"}"#;
    let path = |secret: &str| format!("/webhooks/registry/distribution/{}", secret.replace(' ', "%20"));
    let bearer = format!("Bearer {TOKEN}");
    for (path, headers) in [
        (path(SECRET), vec![("x-request-id", "known-by-its-id")]),
        (path("a wrong secret of somebody"), vec![]),
        ("/webhooks/registry/distribution".into(), vec![("authorization", SECRET)]),
        ("/webhooks/registry/distribution".into(), vec![("authorization", "a wrong secret of somebody")]),
        ("/webhooks/gitea".into(), vec![("x-gitea-signature", "a wrong secret of somebody")]),
        ("/webhooks/nothing/a wrong secret of somebody".replace(' ', "%20"), vec![]),
        (PULL.into(), vec![("authorization", bearer.as_str()), ("x-forwarded-for", "192.0.2.1")]),
    ] {
        server.post(&path, &headers, payload).await;
    }
    server.memory.panics.store(true, Ordering::Relaxed);
    server.get("/work").await;
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for secret in [SECRET, TOKEN, "a wrong secret", "a word of the payload", "%20secret"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(
        text.contains("\"hook.kind\":\"distribution\"") && text.contains("\"hook.answer\":\"unauthorized\""),
        "{text}"
    );
    let known = text.lines().find(|line| line.contains("known-by-its-id") && line.contains("hook.kind")).unwrap();
    assert!(known.contains("\"http.request.id\":\"known-by-its-id\"") && known.contains("elapsed_ms"), "{known}");
}

/// Serves the sample pages at `LEADSMAN_SAMPLE_PAGES` (`127.0.0.1:8089`, say) for an hour, to look at them. With
/// `LEADSMAN_SAMPLE_EMPTY` set, as they are before anything is there.
#[tokio::test]
#[ignore = "serves the sample pages, to be looked at"]
async fn look_at_pages() {
    let address = std::env::var("LEADSMAN_SAMPLE_PAGES").unwrap_or_else(|_| "127.0.0.1:8089".into());
    let server = Running::on(TcpListener::bind(&address).await.unwrap(), here(), sources(None));
    server.memory.empty.store(std::env::var_os("LEADSMAN_SAMPLE_EMPTY").is_some(), Ordering::Relaxed);
    println!("http://{}", server.address);
    tokio::time::sleep(Duration::from_secs(3600)).await;
}
