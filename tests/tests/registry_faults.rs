//! The registry side against everything that goes wrong: what can be had is read whole, what cannot is an error of that
//! one image that names the host, and nothing lasts longer than its time limit.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use leadsman_scanner::reference::{Digest, ImageName, KnownHosts};
use leadsman_scanner::registry::{
    Credentials, DockerConfig, HostOptions, Listing, Platform, Registry, RegistryError, RegistryErrorKind as Kind,
    RegistryOptions, TagList,
};
use leadsman_tests::registry::http::{Answer, Request, Server, raw, reply, tags};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// The time limit of the tests, and what a slow machine may add to it.
const LIMIT: Duration = Duration::from_millis(900);
const SLACK: Duration = Duration::from_millis(1_500);

fn options() -> RegistryOptions {
    RegistryOptions {
        docker_config: DockerConfig::Off,
        timeout: LIMIT,
        connect_timeout: LIMIT / 3,
        idle_timeout: LIMIT / 3,
        jitter: || 1.0,
        ..RegistryOptions::default()
    }
}

fn registry() -> Registry {
    Registry::new(options()).unwrap()
}

fn with_credentials(host: &str) -> RegistryOptions {
    let credentials = Credentials { username: "robot".into(), password: "hunter2".to_owned().into() };
    let own = HostOptions { credentials: Some(credentials), ..HostOptions::default() };
    RegistryOptions { hosts: BTreeMap::from([(host.to_owned(), own)]), ..options() }
}

fn image(host: &str, repository: &str) -> ImageName {
    ImageName::parse(&format!("{host}/{repository}"), &KnownHosts::default()).unwrap()
}

async fn list(server: &Server) -> Result<TagList, RegistryError> {
    let start = Instant::now();
    let result = registry().tags(&image(&server.host(), "a/b")).await;
    assert!(start.elapsed() < LIMIT + SLACK, "it took {:?}", start.elapsed());
    if let Err(error) = &result {
        let text = error.to_string();
        assert!(text.contains(&server.host()) && text.contains("a/b"), "{text}");
    }
    result
}

async fn server(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(answer).await.unwrap()
}

async fn always(answer: Answer) -> Server {
    server(move |_, _| answer.clone()).await
}

fn ok(list: &[&str]) -> Answer {
    reply(200, &[JSON], tags(list))
}

/// Serves this many tags in pages of at most `most`, with links made by the function from the next target.
async fn paged(total: usize, most: usize, link: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> Server {
    let all: Vec<String> = (0..total).map(|number| format!("{number:05}")).collect();
    server(move |request, _| {
        let size = request.query("n").map_or(most, |n| n.parse().unwrap()).min(most);
        let start = request.query("last").map_or(0, |last| last.parse::<usize>().unwrap() + 1);
        let page = &all[start..(start + size).min(all.len())];
        let target = format!("{}?last={}&n={size}", request.path(), page.last().unwrap());
        let link = link(request.header("host").unwrap(), &target);
        let headers = [JSON, ("Link", link.as_str())];
        let more = start + size < all.len();
        reply(200, if more { &headers } else { &headers[..1] }, tags(page))
    })
    .await
}

#[tokio::test]
async fn pages_are_followed_by_relative_and_absolute_links() {
    let relative = paged(10_000, 1_000, |_, target| format!("<{target}>; rel=\"next\"")).await;
    assert_eq!(list(&relative).await.unwrap().len(), 10_000);
    assert_eq!(relative.seen().len(), 10);
    assert_eq!(relative.connections(), 1);
    let absolute = paged(2_500, 1_000, |host, target| format!("<http://{host}{target}>; rel=next")).await;
    let tags = list(&absolute).await.unwrap();
    assert_eq!(tags.iter().last(), Some("02499"));
    assert_eq!(absolute.seen().len(), 3);
}

#[tokio::test]
async fn pages_cut_at_100_are_followed() {
    let server = paged(1_050, 100, |_, target| format!("<{target}>; rel=\"next\"")).await;
    assert_eq!(list(&server).await.unwrap().len(), 1_050);
    assert_eq!(server.seen().len(), 11);
}

#[tokio::test]
async fn a_refused_page_size_shrinks_for_the_whole_host() {
    let server = server(|request, _| match request.query("n").map(|n| n.parse::<usize>().unwrap()) {
        Some(n) if n > 100 => reply(400, &[JSON], r#"{"errors":[{"code":"PAGINATION_NUMBER_INVALID"}]}"#),
        _ => ok(&["1"]),
    })
    .await;
    let registry = registry();
    for repository in ["a", "b"] {
        assert_eq!(registry.tags(&image(&server.host(), repository)).await.unwrap().len(), 1);
    }
    assert_eq!(registry.requests(), 3);

    let none = self::server(|request, _| match request.query("n") {
        Some(_) => reply(400, &[], ""),
        None => ok(&["1"]),
    })
    .await;
    assert_eq!(list(&none).await.unwrap().len(), 1);
    assert_eq!(none.seen().len(), 3);
    // What is refused in any size is refused, and costs the host's other images nothing.
    let broken = self::server(|request, _| match request.path() {
        "/v2/bad/tags/list" => reply(400, &[JSON], r#"{"errors":[{"code":"NAME_INVALID","message":"bad name"}]}"#),
        _ => ok(&["1"]),
    })
    .await;
    let error = registry.tags(&image(&broken.host(), "bad")).await.unwrap_err();
    assert!(matches!(&error.kind, Kind::Unexpected { status: 400, message } if message == "bad name"), "{error:?}");
    registry.tags(&image(&broken.host(), "good")).await.unwrap();
    assert_eq!(broken.seen().last().unwrap().query("n"), Some("1000"));
}

#[tokio::test]
async fn an_endless_chain_of_pages_is_stopped() {
    let fresh = server(|request, number| {
        let link = format!("<{}?n=1&last={number}>; rel=next", request.path());
        reply(200, &[JSON, ("Link", &link)], tags(&[format!("t{number}")]))
    })
    .await;
    let patient = Registry::new(RegistryOptions { timeout: Duration::from_secs(20), ..options() }).unwrap();
    let error = patient.tags(&image(&fresh.host(), "a")).await.unwrap_err();
    assert!(error.to_string().contains("more than 1000 pages"), "{error}");
    assert_eq!(fresh.seen().len(), 1_000);

    let repeated = server(|request, _| {
        let link = format!("<{}?n=1000&last=x>; rel=next", request.path());
        reply(200, &[JSON, ("Link", &link)], tags(&["x"]))
    })
    .await;
    let error = list(&repeated).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Paging { .. }), "{error}");
    assert!(repeated.seen().len() <= 3);

    let elsewhere = server(|_, _| reply(200, &[JSON, ("Link", "<http://127.0.0.2/x>; rel=next")], tags(&["x"]))).await;
    assert!(list(&elsewhere).await.unwrap_err().to_string().contains("another host"));
    let many = always(reply(200, &[JSON], tags(&vec!["a"; 100_001]))).await;
    assert!(matches!(list(&many).await.unwrap_err().kind, Kind::TooManyTags { limit: 100_000 }));
}

#[tokio::test]
async fn an_etag_saves_the_list() {
    let server = server(|request, _| match request.header("if-none-match") {
        Some("\"v1\"") => reply(304, &[("ETag", "\"v1\"")], ""),
        _ => reply(200, &[JSON, ("ETag", "\"v1\"")], tags(&["1"])),
    })
    .await;
    let (registry, name) = (registry(), image(&server.host(), "a"));
    let tags = registry.tags(&name).await.unwrap();
    assert_eq!(tags.etag.as_deref(), Some("\"v1\""));
    assert_eq!(registry.tags_unless(&name, tags.etag.as_deref()).await.unwrap(), Listing::Unchanged);
    assert!(matches!(registry.tags_unless(&name, Some("\"v0\"")).await.unwrap(), Listing::Tags(_)));
}

#[tokio::test]
async fn tags_are_checked_and_texts_escaped_s5_4() {
    let odd = always(reply(200, &[JSON], r#"{"tags":["1","a b","\u001b]0;x\u0007","-a","2"]}"#)).await;
    let tags = list(&odd).await.unwrap();
    assert_eq!((tags.iter().collect::<Vec<_>>(), tags.dropped), (vec!["1", "2"], 3));
    let rude = always(reply(403, &[JSON], r#"{"errors":[{"message":"\u001b[2J\u202eevil"}]}"#)).await;
    let text = list(&rude).await.unwrap_err().to_string();
    assert!(text.contains("\\u{1b}[2J\\u{202e}evil"), "{text}");
}

#[tokio::test]
async fn statuses_become_errors_with_advice() {
    for (status, lasting, attempts, expected) in [
        (403, false, 1, "access was denied"),
        (404, true, 1, "not found"),
        (418, false, 1, "status 418"),
        (500, false, 3, "try again later"),
        (502, false, 3, "status 502"),
        (429, false, 3, "fewer requests"),
    ] {
        let server = always(reply(status, &[JSON], "{}")).await;
        let error = list(&server).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.is_lasting(), lasting, "{error}");
        assert_eq!(server.seen().len(), attempts, "{error}");
    }
}

#[tokio::test]
async fn a_passing_fault_is_tried_again() {
    let server = server(|_, number| match number {
        0 => reply(500, &[], ""),
        1 => Answer::SendAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"tags\":[".to_vec()),
        _ => ok(&["1"]),
    })
    .await;
    assert_eq!(list(&server).await.unwrap().len(), 1);
}

#[tokio::test]
async fn retry_after_is_waited_for_only_if_it_fits_and_holds_the_host() {
    let dated = server(|_, number| match number {
        0 => reply(
            503,
            &[("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")],
            "",
        ),
        _ => ok(&["1"]),
    })
    .await;
    assert_eq!(list(&dated).await.unwrap().len(), 1);

    let patient = Registry::new(RegistryOptions { timeout: Duration::from_secs(10), ..options() }).unwrap();
    let brief =
        server(|_, number| if number == 0 { reply(429, &[("Retry-After", "1")], "") } else { ok(&["1"]) }).await;
    let start = Instant::now();
    let name = image(&brief.host(), "a");
    assert_eq!(patient.tags(&name).await.unwrap().len(), 1);
    assert!(start.elapsed() >= Duration::from_secs(1));

    let long =
        server(|_, number| if number == 0 { ok(&["1"]) } else { reply(429, &[("Retry-After", "3600")], "") }).await;
    let registry = registry();
    registry.tags(&image(&long.host(), "a")).await.unwrap();
    for repository in ["b", "c", "d"] {
        let start = Instant::now();
        let error = registry.tags(&image(&long.host(), repository)).await.unwrap_err();
        assert!(error.to_string().contains("try again in 3"), "{error}");
        assert!(start.elapsed() < LIMIT);
    }
    assert_eq!(long.seen().len(), 2, "the host is left alone by its other images");
}

#[tokio::test]
async fn slow_and_silent_hosts_end_in_time() {
    let silent = always(Answer::SendAndHang(Vec::new())).await;
    assert!(matches!(list(&silent).await.unwrap_err().kind, Kind::TimedOut { .. }));
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec();
    let half = always(Answer::SendAndHang(head.clone())).await;
    assert!(matches!(list(&half).await.unwrap_err().kind, Kind::TimedOut { .. }));
    let body = [head, vec![b' '; 99]].concat();
    let trickle = always(Answer::Trickle(body, Duration::from_millis(50))).await;
    assert!(matches!(list(&trickle).await.unwrap_err().kind, Kind::TimedOut { .. }));
    let slow = always(Answer::Trickle(raw(200, &[JSON], tags(&["1"])), Duration::from_millis(2))).await;
    assert_eq!(list(&slow).await.unwrap().len(), 1, "slow is no fault while it is in time");
}

#[tokio::test]
async fn cut_odd_and_huge_bodies_are_errors() {
    let cut =
        always(Answer::SendAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"tags\":[\"1\"]}".to_vec()));
    let error = list(&cut.await).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Cut { .. }) && !error.is_lasting(), "{error}");
    let page = always(reply(200, &[("Content-Type", "text/html")], "<html>log in</html>")).await;
    let error = list(&page).await.unwrap_err();
    assert!(error.to_string().contains("login page"), "{error}");
    for body in [r#"{"tags":["1""#, "[]", "{}", r#"{"tags":[["1"]]}"#, ""] {
        let server = always(reply(200, &[JSON], body)).await;
        assert!(matches!(list(&server).await.unwrap_err().kind, Kind::Malformed { .. }), "{body}");
    }
    let garbage = always(Answer::SendAndClose(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())).await;
    assert!(matches!(list(&garbage).await.unwrap_err().kind, Kind::Cut { .. }));

    let announced = b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n".to_vec();
    let server = always(Answer::Flood(announced, 1_024)).await;
    assert!(matches!(list(&server).await.unwrap_err().kind, Kind::TooLarge { .. }));
    let unannounced = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    let server = always(Answer::Flood(unannounced, 1_024)).await;
    assert!(matches!(list(&server).await.unwrap_err().kind, Kind::TooLarge { .. }));
    let refusal = b"HTTP/1.1 403 No\r\nConnection: close\r\n\r\n".to_vec();
    let server = always(Answer::Flood(refusal, 1_024)).await;
    assert!(matches!(list(&server).await.unwrap_err().kind, Kind::Denied { .. }));
}

#[tokio::test]
async fn a_host_that_is_down_fails_its_images_at_once() {
    // A port on which nobody listens.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let registry = registry();
    let start = Instant::now();
    let first = registry.tags(&image(&address.to_string(), "a")).await.unwrap_err();
    assert!(matches!(&first.kind, Kind::Connect { reason } if reason.contains("refused")), "{first}");
    assert_eq!(registry.requests(), 3);
    for number in 0..100 {
        let error = registry.tags(&image(&address.to_string(), &format!("b{number}"))).await.unwrap_err();
        assert!(matches!(error.kind, Kind::HostDown { .. }), "{error}");
    }
    assert_eq!(registry.requests(), 3);
    assert!(start.elapsed() < LIMIT + SLACK);

    // Silence counts as well, and all who wait hear of it within one time limit.
    let silent = always(Answer::SendAndHang(Vec::new())).await;
    let start = Instant::now();
    let asked: Vec<_> = (0..50)
        .map(|number| {
            let (registry, name) = (registry.clone(), image(&silent.host(), &format!("c{number}")));
            tokio::spawn(async move { registry.tags(&name).await })
        })
        .collect();
    for answer in asked {
        assert!(answer.await.unwrap().is_err());
    }
    assert!(start.elapsed() < LIMIT + SLACK, "{:?}", start.elapsed());
    // Other hosts are asked all the same.
    assert_eq!(registry.tags(&image(&always(ok(&["1"])).await.host(), "a")).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_request_runs_alone_and_few_connections_serve_all() {
    let server = server(|request, _| {
        if request.header("authorization").is_some() {
            return ok(&["1"]);
        }
        reply(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], "")
    })
    .await;
    let registry = Registry::new(with_credentials(&server.host())).unwrap();
    let asked: Vec<_> = (0..200)
        .map(|number| {
            let (registry, name) = (registry.clone(), image(&server.host(), &format!("c{number}")));
            tokio::spawn(async move { registry.tags(&name).await })
        })
        .collect();
    for answer in asked {
        answer.await.unwrap().unwrap();
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 201);
    assert_eq!(seen.iter().filter(|request| request.header("authorization").is_none()).count(), 1);
    // One that is needed while another is just being given back is made anew; what is left over stays in the pool.
    assert!(server.connections() <= 32, "{}", server.connections());
}

/// A token server and registry in one: tokens are `t0`, `t1` and so on, and only the newest is good.
async fn with_tokens(expires_in: u64) -> Server {
    let newest = std::sync::atomic::AtomicUsize::new(0);
    let calls = std::sync::atomic::AtomicUsize::new(0);
    server(move |request, _| {
        use std::sync::atomic::Ordering::SeqCst;
        if request.path() == "/token" {
            let number = newest.fetch_add(1, SeqCst) + 1;
            let body = format!(r#"{{"access_token":"t{number}","expires_in":{expires_in}}}"#);
            return reply(200, &[JSON], body);
        }
        let current = format!("Bearer t{}", newest.load(SeqCst));
        if request.header("authorization") == Some(&current) {
            // From the third page on, the token is found to have lapsed.
            if calls.fetch_add(1, SeqCst) == 2 {
                newest.fetch_add(1, SeqCst);
            }
            let page: usize = request.query("last").map_or(0, |last| last.parse().unwrap());
            let link = format!("<{}?last={}&n=1>; rel=next", request.path(), page + 1);
            let headers = [JSON, ("Link", link.as_str())];
            return reply(200, if page < 4 { &headers } else { &headers[..1] }, tags(&[page.to_string()]));
        }
        let host = request.header("host").unwrap();
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"s\",scope=\"repository:a/b:pull\"");
        reply(401, &[("WWW-Authenticate", &challenge)], "")
    })
    .await
}

#[tokio::test]
async fn a_token_that_lapses_in_the_middle_is_renewed_once() {
    let server = with_tokens(300).await;
    assert_eq!(list(&server).await.unwrap().len(), 5);
    let seen = server.seen();
    assert_eq!(seen.iter().filter(|request| request.path() == "/token").count(), 2);
    let token = seen.iter().find(|request| request.path() == "/token").unwrap();
    assert_eq!(token.query("service"), Some("s"));
    assert_eq!(token.query("scope"), Some("repository%3Aa%2Fb%3Apull"));
    assert_eq!(token.header("authorization"), None);

    // A token that lapses at once is asked for each time, and never for ever.
    let brief = with_tokens(0).await;
    assert_eq!(list(&brief).await.unwrap().len(), 5);
    let never = self::server(|request, _| match request.path() {
        "/token" => reply(200, &[JSON], r#"{"token":"x"}"#),
        _ => {
            let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host").unwrap());
            reply(401, &[("WWW-Authenticate", &realm)], "")
        }
    })
    .await;
    assert!(matches!(list(&never).await.unwrap_err().kind, Kind::Denied { status: 401, .. }));
    assert!(never.seen().len() <= 5, "{:?}", never.seen().len());
}

#[tokio::test]
async fn identity_tokens_are_exchanged() {
    let server = server(|request, _| match request.path() {
        "/token" if request.method == "POST" && request.body.contains("refresh_token=hunter2") => {
            reply(200, &[JSON], r#"{"access_token":"good"}"#)
        }
        "/token" => reply(401, &[], ""),
        _ if request.header("authorization") == Some("Bearer good") => ok(&["1"]),
        _ => {
            let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host").unwrap());
            reply(401, &[("WWW-Authenticate", &realm)], "")
        }
    })
    .await;
    let mut options = with_credentials(&server.host());
    let own = options.hosts.get_mut(&server.host()).unwrap();
    own.credentials.as_mut().unwrap().username = "<token>".into();
    assert_eq!(Registry::new(options).unwrap().tags(&image(&server.host(), "a")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn broken_token_servers_are_errors() {
    for (answer, expected) in [
        (reply(200, &[JSON], "{}"), "no usable token"),
        (reply(200, &[JSON], "<html>"), "no JSON"),
        (reply(200, &[JSON], format!("{{\"token\":\"{}\"}}", "x".repeat(70_000))), "larger than 65536"),
        (reply(200, &[JSON], r#"{"token":"a\r\nX: y"}"#), "no usable token"),
        (reply(403, &[JSON], r#"{"errors":[{"message":"go away"}]}"#), "go away"),
        (reply(500, &[JSON], ""), "status 500"),
    ] {
        let server = server(move |request, _| {
            if request.path() == "/token" {
                return answer.clone();
            }
            let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host").unwrap());
            reply(401, &[("WWW-Authenticate", &realm)], "")
        })
        .await;
        let error = list(&server).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    for challenge in ["Negotiate", "Bearer", "Bearer realm=\"::\"", "Bearer realm=\"ftp://x/\"", ""] {
        let server = always(reply(401, &[("WWW-Authenticate", challenge)], "")).await;
        let error = list(&server).await.unwrap_err();
        assert!(matches!(error.kind, Kind::Denied { .. } | Kind::Refused { .. }), "{challenge}: {error}");
    }
}

#[tokio::test]
async fn credentials_do_not_follow_redirects_to_another_host() {
    let other = always(ok(&["1"])).await;
    let there = format!("http://{}/elsewhere", other.host());
    let server = server(move |request, _| match request.header("authorization") {
        None => reply(401, &[("WWW-Authenticate", "Basic realm=x")], ""),
        Some(_) if request.path().ends_with("/same") => ok(&["same"]),
        Some(_) if request.path().starts_with("/v2/local/") => reply(307, &[("Location", "/v2/same")], ""),
        Some(_) => reply(307, &[("Location", &there)], ""),
    })
    .await;
    let registry = Registry::new(with_credentials(&server.host())).unwrap();
    let tags = registry.tags(&image(&server.host(), "a")).await.unwrap();
    assert_eq!(tags.len(), 1);
    let seen = other.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("authorization"), None);
    assert!(!format!("{seen:?}").contains("hunter2"));
    // On the same host they stay.
    assert!(registry.tags(&image(&server.host(), "local")).await.unwrap().contains("same"));

    let circle = always(reply(302, &[("Location", "/v2/x")], "")).await;
    assert!(list(&circle).await.unwrap_err().to_string().contains("redirects"));
    let metadata = always(reply(302, &[("Location", "http://169.254.169.254/latest")], "")).await;
    let error = list(&metadata).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Refused { .. }), "{error}");
    let plain = always(reply(302, &[("Location", "http://registry.invalid/v2/x")], "")).await;
    assert!(list(&plain).await.unwrap_err().to_string().contains("without TLS"));
}

#[tokio::test]
async fn credentials_do_not_go_to_token_servers_in_plain_http() {
    let server =
        server(|_, _| reply(401, &[("WWW-Authenticate", "Bearer realm=\"http://tokens.invalid/token\"")], "")).await;
    let error = Registry::new(with_credentials(&server.host())).unwrap();
    let error = error.tags(&image(&server.host(), "a")).await.unwrap_err();
    assert!(error.to_string().contains("without TLS"), "{error}");
}

#[tokio::test]
async fn the_address_guard_holds_for_hosts_redirects_and_token_servers() {
    let server = always(ok(&["1"])).await;
    let strict = RegistryOptions { allow_private: false, ..options() };
    for host in [server.host(), format!("localhost:{}", server.address.port())] {
        let error = Registry::new(strict.clone()).unwrap().tags(&image(&host, "a")).await.unwrap_err();
        assert!(matches!(error.kind, Kind::Refused { .. }), "{error}");
    }
    assert_eq!(server.connections(), 0);
    let allowed = |host: &str| RegistryOptions { allowed_private: BTreeSet::from([host.to_owned()]), ..strict.clone() };
    Registry::new(allowed("127.0.0.1")).unwrap().tags(&image(&server.host(), "a")).await.unwrap();

    let by_name = image(&format!("localhost:{}", server.address.port()), "a");
    Registry::new(allowed("localhost")).unwrap().tags(&by_name).await.unwrap();
    // What is allowed leads nowhere else.
    let port = server.address.port();
    let to_other = always(reply(302, &[("Location", &format!("http://127.0.0.2:{port}/"))], "")).await;
    let error = Registry::new(allowed("127.0.0.1")).unwrap().tags(&image(&to_other.host(), "a")).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Refused { .. }), "{error}");
    let realm = format!("Bearer realm=\"http://127.0.0.2:{port}/token\"");
    let to_realm = always(reply(401, &[("WWW-Authenticate", &realm)], "")).await;
    let error = Registry::new(allowed("127.0.0.1")).unwrap().tags(&image(&to_realm.host(), "a")).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Refused { .. }), "{error}");

    for host in ["169.254.169.254", "[fe80::1]:5000", "100.100.100.200"] {
        let own = HostOptions { insecure: true, ..HostOptions::default() };
        let hosts = BTreeMap::from([(host.to_owned(), own)]);
        let error = Registry::new(RegistryOptions { hosts, ..options() }).unwrap();
        let error = error.tags(&image(host, "a")).await.unwrap_err();
        assert!(error.to_string().contains("never asked"), "{error}");
    }
}

#[tokio::test]
async fn mirrors_are_asked_instead_with_their_own_credentials() {
    let mirror = server(|request, _| match request.header("authorization") {
        None => reply(401, &[("WWW-Authenticate", "Basic realm=x")], ""),
        Some(_) => ok(&["1"]),
    })
    .await;
    let mut options = with_credentials(&mirror.host());
    let secret = Credentials { username: "hub".into(), password: "origin-secret".to_owned().into() };
    let url = format!("http://{}/hub", mirror.host()).parse().unwrap();
    let own = HostOptions { mirror: Some(url), credentials: Some(secret), ..HostOptions::default() };
    options.hosts.insert("docker.io".into(), own);
    let name = image("docker.io", "nginx");
    Registry::new(options.clone()).unwrap().tags(&name).await.unwrap();
    let seen = mirror.seen();
    assert_eq!(seen[1].path(), "/v2/hub/library/nginx/tags/list");
    assert_eq!(seen[1].header("authorization"), Some("Basic cm9ib3Q6aHVudGVyMg=="));

    options.hosts.get_mut("docker.io").unwrap().mirror = Some("http://mirror.invalid".parse().unwrap());
    assert!(Registry::new(options).unwrap_err().to_string().contains("insecure: true"));
}

#[tokio::test]
async fn a_rate_is_kept() {
    let server = always(ok(&["1"])).await;
    let own = HostOptions { rate: Some(20), ..HostOptions::default() };
    let hosts = BTreeMap::from([(server.host(), own)]);
    let registry = Registry::new(RegistryOptions { hosts, ..options() }).unwrap();
    let start = Instant::now();
    let asked: Vec<_> = (0..11)
        .map(|number| {
            let (registry, name) = (registry.clone(), image(&server.host(), &format!("a{number}")));
            tokio::spawn(async move { registry.tags(&name).await })
        })
        .collect();
    for answer in asked {
        answer.await.unwrap().unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(490), "{:?}", start.elapsed());
}

#[tokio::test]
async fn content_is_what_its_digest_says_s2_6() {
    let manifest = r#"{"schemaVersion":2,"manifests":[]}"#;
    let right = Digest::of(manifest.as_bytes());
    let wrong = Digest::of(b"other");
    for (announced, lasting, expected) in [
        (Some(wrong.as_str()), false, "another content"),
        (Some(right.as_str()), true, "an index without images"),
        (None, true, "an index without images"),
        (Some("sha256:nonsense\u{1}"), true, "an index without images"),
    ] {
        let headers: Vec<(&str, &str)> =
            announced.map(|digest| ("Docker-Content-Digest", digest)).into_iter().collect();
        let headers = if announced.is_some_and(|digest| digest.contains('\u{1}')) { Vec::new() } else { headers };
        let server = always(reply(200, &headers, manifest)).await;
        let name = image(&server.host(), "a");
        let error = registry().metadata(&name, "1", &Platform::default()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.is_lasting(), lasting, "{error}");
    }
    // Asked by digest, other content is never taken.
    let server = always(reply(200, &[], manifest)).await;
    let error =
        registry().metadata(&image(&server.host(), "a"), wrong.as_str(), &Platform::default()).await.unwrap_err();
    assert!(matches!(error.kind, Kind::DigestMismatch { .. }), "{error}");
    // A registry that does not say the digest, or knows no HEAD, is asked for the content.
    for no_head in [reply(405, &[], ""), raw_head(manifest.len())] {
        let server = self::server(move |request, _| match request.method.as_str() {
            "HEAD" => no_head.clone(),
            _ => reply(200, &[], manifest),
        })
        .await;
        assert_eq!(registry().digest(&image(&server.host(), "a"), "1").await.unwrap(), right);
    }
}

/// A success without body that announces a length, as answers to HEAD do.
fn raw_head(length: usize) -> Answer {
    reply(200, &[("Content-Length", &length.to_string())], "")
}

#[tokio::test]
async fn metadata_that_cannot_be_read_is_lasting_only_where_it_is_whole_s6_3() {
    let body = "no JSON";
    let digest = Digest::of(body.as_bytes());
    let whole = always(reply(200, &[("Docker-Content-Digest", digest.as_str())], body)).await;
    let error = registry().metadata(&image(&whole.host(), "a"), "1", &Platform::default()).await.unwrap_err();
    assert!(error.is_lasting(), "{error}");
    let unknown = always(reply(200, &[], body)).await;
    let error = registry().metadata(&image(&unknown.host(), "a"), "1", &Platform::default()).await.unwrap_err();
    assert!(!error.is_lasting(), "{error}");
}
