//! What the real forge refuses, and what kind of error that is.

use leadsman::forge::{
    Answer, Conversation, ErrorKind, Hooks, Issues, MergeMethod, Merging, PullEdit, Pulls, Repositories,
};
use leadsman_tests::gitea::Gitea;
use serde_json::{Value, json};

use super::{BRANCH, client, client_as, id, name, new_pull, person, proposed};

fn kind<T: std::fmt::Debug>(answer: Answer<T>) -> ErrorKind {
    let error = answer.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&error.host) && !error.message.is_empty(), "{text}");
    error.kind
}

#[tokio::test]
async fn a_wrong_token_is_told_on_every_kind_of_call() {
    let server = Gitea::shared();
    let full = server.repository("wrong-token", &[("a.yaml", "x: 1\n")]);
    let repository = name(&full);
    let token = "0123456789012345678901234567890123456789";
    let (client, _) = client_as(&server, token);
    let error = client.repository(&repository).await.unwrap_err();
    assert!(!error.to_string().contains(token), "{error}");
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert_eq!(kind(client.myself().await), ErrorKind::Unauthorized);
    assert_eq!(kind(client.open_pulls(&repository).await), ErrorKind::Unauthorized);
    assert_eq!(kind(client.comment(&repository, 1, "x").await), ErrorKind::Unauthorized);
    let merge = client.merge(&repository, 1, id(&"0".repeat(40)), MergeMethod::Merge, None).await;
    assert_eq!(kind(merge), ErrorKind::Unauthorized);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Gitea::shared();
    let (client, _) = client(&server);
    let missing = name("owner/there-is-none");
    assert_eq!(kind(client.repository(&missing).await), ErrorKind::NotFound);
    assert_eq!(kind(client.open_pulls(&missing).await), ErrorKind::NotFound);
    let full = server.repository("not-found", &[("a.yaml", "x: 1\n")]);
    let repository = name(&full);
    assert_eq!(kind(client.pull(&repository, 99).await), ErrorKind::NotFound);
    assert_eq!(kind(client.rules(&repository, "no/such").await), ErrorKind::NotFound);
    assert_eq!(kind(client.reviews(&repository, 99).await), ErrorKind::NotFound);
    assert_eq!(kind(client.edit_comment(&repository, 99_999, "x").await), ErrorKind::NotFound);
    assert_eq!(kind(client.checks(&repository, id(&"1".repeat(40))).await), ErrorKind::NotFound);
    assert_eq!(kind(client.open_pull(&repository, &new_pull("x", "", &[])).await), ErrorKind::NotFound);
    // A private repository that the token may not know of is the same.
    let (stranger, _) = client_as(&server, &server.stranger.token);
    assert_eq!(kind(stranger.repository(&repository).await), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_not_allowed_is_forbidden() {
    let server = Gitea::shared();
    let (repository, _) = proposed(&server, "forbidden");
    let (bot, _) = client(&server);
    let number = bot.open_pull(&repository, &new_pull("x", "", &[])).await.unwrap().number;
    let (reader, _) = client_as(&server, &server.reader.token);
    assert_eq!(kind(reader.permission(&repository, &person(&server.admin)).await), ErrorKind::Forbidden);
    assert_eq!(kind(reader.hooks(&repository).await), ErrorKind::Forbidden);
    let edit = PullEdit { title: Some("mine".into()), ..PullEdit::default() };
    assert_eq!(kind(reader.edit_pull(&repository, number, &edit).await), ErrorKind::Forbidden);

    // A token that may do less than its account.
    let token = server.make_token("leadsman", &["read:repository", "read:user"]).unwrap();
    let (narrow, _) = client_as(&server, &token);
    narrow.repository(&repository).await.unwrap();
    assert_eq!(kind(narrow.edit_pull(&repository, number, &edit).await), ErrorKind::Forbidden);
    assert_eq!(kind(narrow.comment(&repository, number, "x").await), ErrorKind::Forbidden);
}

#[tokio::test]
async fn an_archived_repository_takes_nothing() {
    let server = Gitea::shared();
    let (repository, _) = proposed(&server, "archived");
    let (client, _) = client(&server);
    let number = client.open_pull(&repository, &new_pull("x", "", &[])).await.unwrap().number;
    server.call(&server.admin, "PATCH", &format!("/repos/{repository}"), &json!({ "archived": true }));
    let error = client.comment(&repository, number, "x").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden, "{error}");
    assert!(error.message.contains("archived"), "{error}");
    assert_eq!(kind(client.open_issue(&repository, "x", "x").await), ErrorKind::Forbidden);
    assert_eq!(client.open_pulls(&repository).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_forge_cannot_take_is_invalid() {
    let server = Gitea::shared();
    let (repository, _) = proposed(&server, "invalid");
    let (client, sent) = client(&server);
    let mut same = new_pull("x", "", &[]);
    same.branch.clone_from(&same.base);
    assert_eq!(kind(client.open_pull(&repository, &same).await), ErrorKind::Invalid);
    assert_eq!(kind(client.comment(&repository, 1, "").await), ErrorKind::Invalid);
    sent.take();
    // Names that would lead elsewhere are not sent at all.
    for odd in ["acme", "acme/fleet/more", "../admin", "acme/..", "acme/a b", "/", "acme/fleet?x=1", "acme/fl%2Feet"] {
        assert_eq!(kind(client.repository(&name(odd)).await), ErrorKind::Invalid, "{odd}");
    }
    let mut walking = person(&server.admin);
    walking.login = "..".into();
    assert_eq!(kind(client.permission(&repository, &walking).await), ErrorKind::Invalid);
    assert!(sent.take().is_empty());
}

#[tokio::test]
async fn a_renamed_repository_is_followed_and_its_new_name_told() {
    let server = Gitea::shared();
    let (repository, head) = proposed(&server, "before");
    let (client, sent) = client(&server);
    server.call(&server.admin, "PATCH", &format!("/repos/{repository}"), &json!({ "name": "after" }));
    let info = client.repository(&repository).await.unwrap();
    assert_eq!(info.name.0, "owner/after");
    assert_eq!(sent.take(), ["GET repos 301", "GET repos 200"]);
    // What writes goes to a name that was read, or not at all.
    assert_eq!(kind(client.open_pull(&repository, &new_pull("x", "body", &[])).await), ErrorKind::Conflict);
    assert!(client.open_pulls(&info.name).await.unwrap().is_empty());
    let opened = client.open_pull(&info.name, &new_pull("x", "body", &[])).await.unwrap();
    assert_eq!((opened.head, opened.body.as_str()), (head, "body"));
    assert_eq!(client.open_pulls(&info.name).await.unwrap().len(), 1);
}

#[tokio::test]
async fn hostile_texts_come_back_as_they_were_written() {
    let server = Gitea::shared();
    let (client, _) = client(&server);
    let (repository, _) = proposed(&server, "hostile");
    let texts = [
        "<script>alert(1)</script>\r\n/merge\n@everyone fixes #1",
        "\u{202e}txt.exe \u{0}\u{7} \u{1f600} e\u{301} ${{ secrets.TOKEN }} {{ x }} %2F..%00",
        "]( javascript:alert(1) ) ``` <!-- -- --> \"' OR 1=1; --",
    ];
    let number = client.open_pull(&repository, &new_pull("x", "", &[])).await.unwrap().number;
    for text in texts {
        let title: String = text.chars().filter(|c| !c.is_control()).collect();
        let edit = PullEdit { title: Some(title.clone()), body: Some(text.into()), ..PullEdit::default() };
        client.edit_pull(&repository, number, &edit).await.unwrap();
        let pull = client.pull(&repository, number).await.unwrap();
        assert_eq!(
            (pull.title.trim(), pull.body.replace('\r', "")),
            (title.trim(), text.replace('\r', "")),
            "{text:?}"
        );
        let comment = client.comment(&repository, number, text).await.unwrap();
        assert_eq!(comment.body.replace('\r', ""), text.replace('\r', ""));
    }
    let long = "é".repeat(client_max_body() / 2);
    let edit = PullEdit { body: Some(long.clone()), ..PullEdit::default() };
    client.edit_pull(&repository, number, &edit).await.unwrap();
    assert_eq!(client.pull(&repository, number).await.unwrap().body, long);
    let found = client.pull_of_branch(&repository, BRANCH, "main").await.unwrap().unwrap();
    assert_eq!(found.body, long);
    assert_eq!(server.call(&server.admin, "GET", "/version", &Value::Null)["version"], json!("1.26.0"));
}

fn client_max_body() -> usize {
    leadsman::forge::gitea::CAPABILITIES.max_body
}
