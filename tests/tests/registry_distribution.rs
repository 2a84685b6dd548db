//! The registry side against the real CNCF distribution, with each way of authentication.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeMap;

use base64::Engine;
use jiff::Timestamp;
use leadsman_scanner::reference::{ImageName, KnownHosts};
use leadsman_scanner::registry::{
    Access as Asks, Credentials, DockerConfig, HostOptions, Platform, Registry, RegistryErrorKind, RegistryOptions,
};
use leadsman_tests::registry::distribution::{Access, Distribution, PASSWORD, USER};
use leadsman_tests::registry::push::{Format, Pusher, Times};
use leadsman_tests::registry::token::TokenServer;

const OLD: &str = "2024-01-01T00:00:00Z";
const NEW: &str = "2025-01-01T00:00:00Z";

fn image(host: &str, repository: &str) -> ImageName {
    ImageName::parse(&format!("{host}/{repository}"), &KnownHosts::default()).unwrap()
}

fn options(host: &str, own: HostOptions) -> RegistryOptions {
    let hosts = BTreeMap::from([(host.to_owned(), own)]);
    RegistryOptions { hosts, docker_config: DockerConfig::Off, ..RegistryOptions::default() }
}

fn with_password(password: &str) -> HostOptions {
    let credentials = Credentials { username: USER.into(), password: password.to_owned().into() };
    HostOptions { credentials: Some(credentials), ..HostOptions::default() }
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn every_kind_of_image_is_read_s6_2() {
    let server = Distribution::start(Access::Anonymous).unwrap();
    let pusher = Pusher::new(server.address, None);
    let push = |tag: &str, format, times| pusher.image("a/b", Some(tag), format, times).unwrap();
    let (annotation, label, config) = (Some(OLD), Some(OLD), Some(NEW));
    push("docker-config", Format::Docker, Times { config, ..Times::default() });
    push("docker-label", Format::Docker, Times { label, config: Some("2023-05-05T00:00:00Z"), ..Times::default() });
    push("oci-annotation", Format::Oci, Times { annotation, label: Some(NEW), config });
    push("oci-later", Format::Oci, Times { label, config, ..Times::default() });
    push("oci-nothing", Format::Oci, Times::default());
    push("oci-zero", Format::Oci, Times { config: Some("1970-01-01T00:00:00Z"), ..Times::default() });
    let amd = pusher.image("a/b", None, Format::Oci, Times { config, ..Times::default() }).unwrap();
    let arm = pusher.image("a/b", None, Format::Docker, Times { config: Some(OLD), ..Times::default() }).unwrap();
    let entries = [("linux/arm64", &arm), ("linux/amd64", &amd)];
    let index = pusher.index("a/b", "oci-index", Format::Oci, None, &entries).unwrap();
    let annotated = pusher.index("a/b", "annotated-index", Format::Oci, Some(OLD), &entries).unwrap();
    let list = pusher.index("a/b", "docker-list", Format::Docker, None, &[("linux/arm64", &arm)]).unwrap();

    let name = image(&server.host(), "a/b");
    let registry = Registry::new(options("", HostOptions::default())).unwrap();
    let tags = registry.tags(&name).await.unwrap();
    assert_eq!(tags.len(), 9);
    assert!(tags.contains("oci-index"));
    assert_eq!((tags.dropped, registry.requests()), (0, 1));

    for (tag, created, requests) in [
        ("docker-config", Some(NEW), 2),
        ("docker-label", Some(OLD), 2),
        ("oci-annotation", Some(OLD), 2),
        ("oci-later", Some(NEW), 2),
        ("oci-nothing", None, 2),
        ("oci-zero", None, 2),
        ("oci-index", Some(NEW), 3),
        ("annotated-index", Some(OLD), 3),
        ("docker-list", Some(OLD), 3),
    ] {
        let before = registry.requests();
        let metadata = registry.metadata(&name, tag, &Platform::default()).await.unwrap();
        assert_eq!(metadata.created.at(now()), created.map(|time| time.parse().unwrap()), "{tag}");
        assert_eq!(metadata.labels["org.opencontainers.image.source"], "https://example.com/source", "{tag}");
        assert_eq!(registry.requests() - before, requests, "{tag}");
        // The tag's own digest, by HEAD, is that of the index where there is one (S2.6).
        assert_eq!(registry.digest(&name, tag).await.unwrap(), metadata.digest, "{tag}");
        let again = registry.metadata(&name, metadata.digest.as_str(), &Platform::default()).await.unwrap();
        assert_eq!(again, metadata, "{tag}");
    }
    assert_eq!(registry.digest(&name, "oci-index").await.unwrap(), index.digest);
    assert_eq!(registry.digest(&name, "annotated-index").await.unwrap(), annotated.digest);
    assert_eq!(registry.digest(&name, "docker-list").await.unwrap(), list.digest);
    let on_arm = registry.metadata(&name, "oci-index", &"linux/arm64".parse().unwrap()).await.unwrap();
    assert_eq!(on_arm.created.at(now()), Some(OLD.parse().unwrap()));

    let error = registry.metadata(&name, "gone", &Platform::default()).await.unwrap_err();
    assert!(error.is_lasting(), "{error}");
    let error = registry.tags(&image(&server.host(), "a/none")).await.unwrap_err();
    assert!(matches!(error.kind, RegistryErrorKind::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("repository name not known"), "{error}");
}

#[tokio::test]
async fn basic_authentication() {
    let server = Distribution::start(Access::Basic).unwrap();
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let pusher = Pusher::new(server.address, Some(format!("Basic {pair}")));
    let times = Times { config: Some(NEW), ..Times::default() };
    pusher.image("a/b", Some("1.0.0"), Format::Oci, times).unwrap();
    let host = server.host();
    let name = image(&host, "a/b");

    let registry = Registry::new(options(&host, with_password(PASSWORD))).unwrap();
    assert!(registry.tags(&name).await.unwrap().contains("1.0.0"));
    assert_eq!(registry.requests(), 2, "one 401 teaches the host's way");
    assert!(registry.metadata(&name, "1.0.0", &Platform::default()).await.unwrap().created.config.is_some());
    assert_eq!(registry.requests(), 4);

    let registry = Registry::new(options(&host, with_password("wrong"))).unwrap();
    let error = registry.tags(&name).await.unwrap_err();
    assert!(matches!(error.kind, RegistryErrorKind::Denied { with_credentials: true, .. }), "{error:?}");
    assert!(!error.to_string().contains("wrong"), "{error}");

    let registry = Registry::new(options(&host, HostOptions::default())).unwrap();
    let error = registry.tags(&name).await.unwrap_err().to_string();
    assert!(error.contains(&format!("docker login {host}")), "{error}");

    // The same from docker's configuration.
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    std::fs::write(&config, format!(r#"{{"auths": {{"{host}": {{"auth": "{pair}"}}}}}}"#)).unwrap();
    let options = RegistryOptions { docker_config: DockerConfig::At(config), ..RegistryOptions::default() };
    assert!(Registry::new(options).unwrap().tags(&name).await.unwrap().contains("1.0.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_authentication_takes_two_requests_per_image_and_one_401() {
    let tokens = TokenServer::start(true).await.unwrap();
    let server = Distribution::start(Access::Token(&tokens)).unwrap();
    let host = server.host();
    let names: Vec<ImageName> = (0..20).map(|number| image(&host, &format!("a/b{number}"))).collect();
    for name in &names {
        let authorization = tokens.push_authorization(name.repository()).unwrap();
        let pusher = Pusher::new(server.address, Some(authorization));
        let times = Times { config: Some(NEW), ..Times::default() };
        pusher.image(name.repository(), Some("1.0.0"), Format::Docker, times).unwrap();
    }
    let registry = Registry::new(options(&host, with_password(PASSWORD))).unwrap();
    let asked: Vec<_> = names
        .iter()
        .map(|name| {
            let (registry, name) = (registry.clone(), name.clone());
            tokio::spawn(async move { registry.tags(&name).await })
        })
        .collect();
    for list in asked {
        assert!(list.await.unwrap().unwrap().contains("1.0.0"));
    }
    assert_eq!(registry.requests(), 2 * 20 + 1);
    assert_eq!(tokens.seen().len(), 20);

    // The token serves what follows.
    registry.metadata(&names[0], "1.0.0", &Platform::default()).await.unwrap();
    assert_eq!(registry.requests(), 2 * 20 + 1 + 2);

    let registry = Registry::new(options(&host, with_password("wrong"))).unwrap();
    let error = registry.tags(&names[0]).await.unwrap_err();
    assert!(error.to_string().contains("wrong password") && error.to_string().contains("credentials"), "{error}");
}

#[tokio::test]
async fn tls_with_an_authority_of_its_own() {
    let server = Distribution::start_tls().unwrap();
    let host = server.host();
    let name = image(&host, "a/b");
    let own = HostOptions { ca: Some(server.ca()), ..HostOptions::default() };
    let error = Registry::new(options(&host, own)).unwrap().tags(&name).await.unwrap_err();
    assert!(matches!(error.kind, RegistryErrorKind::NotFound { .. }), "the registry is empty, but it answers: {error}");

    // Without TLS the registry says so, and the error says what to set.
    let error = Registry::new(options("", HostOptions::default())).unwrap().tags(&name).await.unwrap_err();
    assert!(error.to_string().contains("set `ca`"), "{error}");
    // With another authority it is not trusted.
    let other = Distribution::start_tls().unwrap();
    let own = HostOptions { ca: Some(other.ca()), ..HostOptions::default() };
    let registry = Registry::new(RegistryOptions { attempts: 1, ..options(&host, own) }).unwrap();
    let error = registry.tags(&name).await.unwrap_err();
    assert!(matches!(error.kind, RegistryErrorKind::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_host_says_what_it_is() {
    let tokens = TokenServer::start(true).await.unwrap();
    let servers = [
        (Distribution::start(Access::Anonymous).unwrap(), Asks::Open),
        (Distribution::start(Access::Basic).unwrap(), Asks::Basic),
        (Distribution::start(Access::Token(&tokens)).unwrap(), Asks::Token),
    ];
    for (server, expected) in &servers {
        let host = server.host();
        let probe = async |options| Registry::new(options).unwrap().probe(&host).await.unwrap();
        let found = probe(options(&host, with_password(PASSWORD))).await;
        assert_eq!((found.access, found.error.as_ref()), (Some(*expected), None));
        assert_eq!((found.has_credentials, found.secure), (*expected != Asks::Open, false));
        assert!(found.date.is_some());
        let found = probe(options("", HostOptions::default())).await;
        assert_eq!((found.access, found.error.is_none()), (Some(*expected), *expected == Asks::Open));
        let wrong = probe(options(&host, with_password("wrong"))).await;
        assert_eq!(wrong.error.is_none(), *expected == Asks::Open);
    }
}
