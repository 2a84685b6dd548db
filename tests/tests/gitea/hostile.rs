//! What no good forge answers, and how the shared HTTP policy takes it.

use std::time::Duration;

use jiff::Timestamp;
use leadsman::forge::gitea::Gitea as Client;
use leadsman::forge::http::HttpOptions;
use leadsman::forge::{Conversation, ErrorKind, MergeAnswer, MergeMethod, Merging, Pulls, Repositories};
use leadsman_tests::registry::http::{Answer, Server, raw, reply};
use serde_json::json;

use super::{id, name, new_pull};

const NOW: i64 = 1_800_000_000;
const TOKEN: &str = "a-token-that-must-not-be-seen";

fn client_of(server: &Server) -> Client {
    let url = format!("http://{}/sub/folder/", server.address);
    let mut options = HttpOptions::new(url.parse().unwrap(), TOKEN.to_owned().into());
    options.clock = || Timestamp::from_second(NOW).unwrap();
    options.timeout = Duration::from_millis(700);
    Client::new(options).unwrap()
}

/// The error of reading a repository from a forge that answers so, once.
async fn error_of(answer: Answer) -> (ErrorKind, String) {
    let server = Server::start(move |_, _| answer.clone()).await.unwrap();
    let error = client_of(&server).repository(&name("acme/fleet")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot read acme/fleet on `{}`: ", server.address)), "{text}");
    assert!(!text.contains(TOKEN) && !text.contains('\n') && text.len() < 800, "{text}");
    assert_eq!(server.seen().len(), 1, "repeated: {text}");
    assert_eq!(server.seen()[0].path(), "/sub/folder/api/v1/repos/acme/fleet");
    (error.kind, error.message)
}

fn good() -> String {
    let url = "https://x.example.com";
    json!({ "id": 1, "full_name": "acme/fleet", "default_branch": "main", "html_url": url }).to_string()
}

#[tokio::test]
async fn answers_that_cannot_be_read_are_protocol_errors() {
    for (answer, words) in [
        (reply(200, &[], "{\"id\": 1, \"full_na"), "cannot be read"),
        (reply(200, &[], "<html>Sign in</html>"), "cannot be read"),
        (reply(200, &[], ""), "cannot be read"),
        (reply(200, &[], "null"), "cannot be read"),
        (reply(200, &[], good().replace(":1", ":\"one\"")), "cannot be read"),
        (reply(200, &[], "[".repeat(100_000)), "cannot be read"),
        (reply(200, &[], vec![0xff; 1000]), "cannot be read"),
        (Answer::SendAndClose(raw(200, &[("Content-Length", "9999")], good())), "ended early"),
        (reply(200, &[("Content-Length", "99999999999")], "{"), "larger than"),
        (Answer::Flood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), 20), "larger than"),
        (reply(302, &[("Location", "https://evil.example.com/")], ""), "another host"),
        (reply(302, &[("Location", "http://[")], ""), "cannot be read"),
        (reply(302, &[("Location", "http://\u{0}")], ""), "invalid HTTP header"),
        (reply(418, &[], "short and stout"), "short and stout"),
    ] {
        let (kind, message) = error_of(answer).await;
        assert_eq!(kind, ErrorKind::Protocol, "{message}");
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[tokio::test]
async fn faults_of_the_forge_put_its_host_off() {
    let at = |seconds| Timestamp::from_second(NOW + seconds).unwrap();
    let limited = |seconds| ErrorKind::Limited { until: at(seconds) };
    for (answer, kind) in [
        (reply(500, &[], "{\"message\":\"\"}"), ErrorKind::Unavailable),
        (reply(502, &[], "<html>bad gateway</html>"), ErrorKind::Unavailable),
        (reply(503, &[], ""), ErrorKind::Unavailable),
        (reply(503, &[("Retry-After", "120")], ""), limited(120)),
        (reply(429, &[], ""), limited(60)),
        (reply(429, &[("Retry-After", "0")], ""), limited(1)),
        (reply(429, &[("Retry-After", "99999999999")], ""), limited(86_400)),
        (reply(429, &[("Retry-After", "Fri, 15 Jan 2027 08:01:40 GMT")], ""), limited(100)),
        (reply(403, &[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1800000300")], ""), limited(300)),
        (reply(403, &[("X-RateLimit-Remaining", "5"), ("X-RateLimit-Reset", "1800000300")], ""), ErrorKind::Forbidden),
        (Answer::SendAndHang(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), ErrorKind::Unavailable),
        (Answer::SendAndHang(raw(200, &[("Content-Length", "99")], "{")), ErrorKind::Unavailable),
        (Answer::SendAndClose(Vec::new()), ErrorKind::Unavailable),
    ] {
        let shown = format!("{answer:?}");
        let (found, message) = error_of(answer).await;
        assert_eq!(found, kind, "{shown}: {message}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = HttpOptions::new(format!("http://{nobody}").parse().unwrap(), TOKEN.to_owned().into());
    let error = Client::new(options).unwrap().repository(&name("acme/fleet")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert_eq!(error.put_off(), Some(None));
}

#[tokio::test]
async fn what_a_forge_says_is_shortened_and_holds_no_token() {
    let said = json!({ "message": format!("no {TOKEN}\n\u{1b}[31m{}", "x".repeat(10_000)) }).to_string();
    let (kind, message) = error_of(reply(422, &[], said)).await;
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(message.starts_with("no ***") && message.ends_with("… (422)"), "{message}");
    assert!(!message.contains('\u{1b}'), "{message:?}");
}

#[tokio::test]
async fn the_token_goes_to_the_configured_origin_only() {
    let other = Server::start(|_, _| reply(200, &[], "{}")).await.unwrap();
    let target = format!("http://{}/x", other.address);
    let server = Server::start(move |_, number| match number {
        0 => reply(307, &[("Location", "/sub/folder/api/v1/repos/acme/renamed")], ""),
        _ => reply(307, &[("Location", &target)], ""),
    })
    .await
    .unwrap();
    let error = client_of(&server).repository(&name("acme/fleet")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
    assert!(other.seen().is_empty());
    let seen = server.seen();
    assert!(seen.iter().all(|request| request.header("authorization") == Some(&format!("token {TOKEN}"))));
    assert_eq!((seen.len(), seen[1].path()), (2, "/sub/folder/api/v1/repos/acme/renamed"));

    // In a circle.
    let circle = Server::start(|request, _| reply(308, &[("Location", &request.target)], "")).await.unwrap();
    let error = client_of(&circle).repository(&name("acme/fleet")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
    assert_eq!(circle.seen().len(), 4);
}

#[tokio::test]
async fn a_call_that_writes_is_sent_once() {
    for answer in [
        Answer::SendAndClose(Vec::new()),
        reply(502, &[], ""),
        reply(302, &[("Location", "/elsewhere")], ""),
        reply(429, &[("Retry-After", "1")], ""),
    ] {
        let server = Server::start(move |_, _| answer.clone()).await.unwrap();
        let client = client_of(&server);
        client.comment(&name("acme/fleet"), 1, "x").await.unwrap_err();
        client.open_pull(&name("acme/fleet"), &new_pull("x", "", &[])).await.unwrap_err();
        assert_eq!(server.seen().len(), 2);
        assert!(server.seen().iter().all(|request| request.method == "POST"));
    }
}

#[tokio::test]
async fn merging_tells_limits_from_refusals_c3_3() {
    let merge = async |answer: Answer| {
        let server = Server::start(move |_, _| answer.clone()).await.unwrap();
        let head = id("1111111111111111111111111111111111111111");
        let answer = client_of(&server).merge(&name("acme/fleet"), 1, head, MergeMethod::Merge, Some("a\nb\nc")).await;
        let sent = server.seen();
        assert_eq!(sent.len(), 1);
        let body: serde_json::Value = serde_json::from_str(&sent[0].body).unwrap();
        let expected = json!({
            "Do": "merge", "head_commit_id": head.to_string(), "MergeTitleField": "a", "MergeMessageField": "b\nc",
        });
        assert_eq!(body, expected);
        answer
    };
    assert_eq!(merge(reply(200, &[], "")).await.unwrap(), MergeAnswer::Merged);
    assert!(matches!(merge(reply(403, &[], "")).await.unwrap(), MergeAnswer::Drop(_)));
    assert!(matches!(merge(reply(500, &[], "")).await.unwrap(), MergeAnswer::Again(_)));
    let error = merge(reply(403, &[("Retry-After", "5")], "")).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Limited { .. }), "{error}");
    assert_eq!(merge(reply(502, &[], "")).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(merge(reply(401, &[], "")).await.unwrap_err().kind, ErrorKind::Unauthorized);
}

#[tokio::test]
async fn endless_lists_end() {
    let user = json!({ "id": 1, "login": "leadsman" });
    let label = json!([{ "id": 1, "name": "x" }]).to_string();
    let server = Server::start(move |request, _| match request.path().ends_with("/user") {
        true => reply(200, &[], user.to_string()),
        false => reply(200, &[("Link", "<http://x/?page=2>; rel=\"next\"")], &label),
    })
    .await
    .unwrap();
    let mut options = HttpOptions::new(format!("http://{}", server.address).parse().unwrap(), TOKEN.to_owned().into());
    options.timeout = Duration::from_secs(10);
    let client = Client::new(options).unwrap();
    let error = client.open_pull(&name("acme/fleet"), &new_pull("x", "", &["x"])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol, "{error}");
    assert_eq!(server.seen().len(), 100);
    assert!(server.seen().iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn older_forges_are_understood() {
    // No `poster` filter, no counts, no labels by name, no flags that came later.
    let pull = json!({
        "number": 3, "user": { "id": 1, "login": "leadsman" }, "title": "x", "body": null, "labels": null,
        "state": "open", "mergeable": true, "html_url": "http://x", "updated_at": "2026-01-02T03:04:05+02:00",
        "head": { "ref": "leadsman/a-1", "label": "leadsman/a-1", "sha": "1".repeat(40), "repo_id": 7 },
        "base": { "ref": "main", "label": "main", "sha": "2".repeat(40), "repo_id": 7 },
    });
    let page = json!([pull]).to_string();
    let server = Server::start(move |request, _| match (request.path(), request.query("page")) {
        ("/sub/folder/api/v1/user", _) => reply(200, &[], "{\"id\": 1, \"login\": \"leadsman\"}"),
        (_, Some("1")) => reply(200, &[], &page),
        _ => reply(200, &[], "null"),
    })
    .await
    .unwrap();
    let pulls = client_of(&server).open_pulls(&name("acme/fleet")).await.unwrap();
    assert_eq!((pulls.len(), pulls[0].number, pulls[0].body.as_str()), (1, 3, ""));
    assert_eq!(pulls[0].updated_at.as_second(), 1_767_315_845);
}

#[test]
fn addresses_that_the_token_must_not_go_to_are_refused() {
    for (url, insecure, works) in [
        ("https://gitea.example.com", false, true),
        ("http://localhost:3000", false, true),
        ("http://127.0.0.1:3000", false, true),
        ("http://[::1]:3000", false, true),
        ("http://gitea.example.com", false, false),
        ("http://gitea.example.com", true, true),
        ("http://127.0.0.1.example.com", false, false),
        ("ftp://gitea.example.com", true, false),
    ] {
        let mut options = HttpOptions::new(url.parse().unwrap(), TOKEN.to_owned().into());
        options.insecure = insecure;
        let client = Client::new(options);
        assert_eq!(client.is_ok(), works, "{url}");
        assert!(client.err().is_none_or(|error| error.kind == ErrorKind::Invalid));
    }
    let options = HttpOptions::new("https://x.example.com".parse().unwrap(), "a\nb".to_owned().into());
    assert!(!Client::new(options).unwrap_err().to_string().contains("a\nb"));
}
