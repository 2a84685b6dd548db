//! Every call but merging, as it is when all goes well: what comes back, and how many requests it takes.

use leadsman::forge::{
    CheckState, Conversation, ErrorKind, Forge, Hooks, Issues, Merging, PullEdit, PullState, Pulls, Reaction,
    Repositories,
};
use leadsman_tests::gitea::Gitea;
use serde_json::{Value, json};

use super::{BRANCH, client, id, name, new_pull, person, proposed};

#[tokio::test]
async fn a_repository_and_the_bot_are_told_in_one_call_each() {
    let server = Gitea::shared();
    let (client, sent) = client(&server);
    let full = server.repository("told", &[("a.yaml", "x: 1\n")]);
    let info = client.repository(&name(&full)).await.unwrap();
    assert_eq!((info.name.0.as_str(), info.default_branch.as_str()), (full.as_str(), "main"));
    assert_eq!((info.archived, info.empty), (false, false));
    assert_eq!((info.clone_url, info.url), (server.clone_url(&full), format!("{}/{full}", server.url())));
    assert_eq!(client.myself().await.unwrap(), person(&server.bot));
    assert_eq!(sent.take(), ["GET repos 200", "GET user 200"]);
    assert_eq!((client.host(), client.capabilities().name), (server.address.to_string().as_str(), "Gitea"));

    let empty = server.empty_repository("without-a-commit");
    let info = client.repository(&name(&empty)).await.unwrap();
    assert!(info.empty && !info.archived);
    // Gitea has no pull requests of a repository without a commit: who asks looks at `empty` first.
    assert_eq!(client.open_pulls(&name(&empty)).await.unwrap_err().kind, ErrorKind::NotFound);
    server.call(&server.admin, "PATCH", &format!("/repos/{full}"), &json!({ "archived": true }));
    assert!(client.repository(&name(&full)).await.unwrap().archived);
}

#[tokio::test]
async fn a_pull_request_is_opened_found_changed_closed_and_opened_again() {
    let server = Gitea::shared();
    let (client, sent) = client(&server);
    let (repository, head) = proposed(&server, "life");
    assert_eq!(client.pull_of_branch(&repository, BRANCH, "main").await.unwrap(), None);
    assert_eq!(sent.take(), ["GET user 200", "GET repos/pulls/branch 404"]);

    let opened = client.open_pull(&repository, &new_pull("podinfo 1.1.0", "What and why", &[])).await.unwrap();
    assert_eq!(sent.take(), ["POST repos/pulls 201"]);
    assert_eq!(
        (opened.state, opened.title.as_str(), opened.body.as_str()),
        (PullState::Open, "podinfo 1.1.0", "What and why")
    );
    assert_eq!((opened.branch.as_str(), opened.base.as_str(), opened.same_repository), (BRANCH, "main", true));
    assert_eq!((opened.head, &opened.author), (head, &person(&server.bot)));
    assert_eq!(opened.url, format!("{}/{repository}/pulls/{}", server.url(), opened.number));
    let number = opened.number;
    sent.take();

    // Two calls at most where there is one: looked up, and read.
    let found = client.pull_of_branch(&repository, BRANCH, "main").await.unwrap().unwrap();
    assert_eq!((found.number, sent.take().len()), (number, 1));
    let listed = client.open_pulls(&repository).await.unwrap();
    assert_eq!(listed.iter().map(|pull| pull.number).collect::<Vec<_>>(), [number]);
    assert_eq!(sent.take(), ["GET repos/pulls 200"]);

    let again = client.open_pull(&repository, &new_pull("x", "x", &[])).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::Conflict, "{again}");
    sent.take();

    client.edit_pull(&repository, number, &PullEdit::default()).await.unwrap();
    assert!(sent.take().is_empty());
    let edit = PullEdit { title: Some("podinfo 1.2.0".into()), body: Some(String::new()), ..PullEdit::default() };
    client.edit_pull(&repository, number, &edit).await.unwrap();
    assert_eq!(sent.take(), ["PATCH repos/pulls/one 201"]);
    client.edit_pull(&repository, number, &PullEdit { open: Some(false), ..PullEdit::default() }).await.unwrap();
    let closed = client.pull(&repository, number).await.unwrap();
    assert_eq!((closed.state, closed.title.as_str(), closed.body.as_str()), (PullState::Closed, "podinfo 1.2.0", ""));
    assert_eq!((closed.merge_commit, closed.closed_by), (None, None));
    assert!(client.open_pulls(&repository).await.unwrap().is_empty());
    let found = client.pull_of_branch(&repository, BRANCH, "main").await.unwrap().unwrap();
    assert_eq!((found.number, found.state), (number, PullState::Closed));

    client.edit_pull(&repository, number, &PullEdit { open: Some(true), ..PullEdit::default() }).await.unwrap();
    assert_eq!(client.pull(&repository, number).await.unwrap().state, PullState::Open);
}

#[tokio::test]
async fn of_several_pull_requests_of_a_branch_the_newest_is_told() {
    let server = Gitea::shared();
    let (client, _) = client(&server);
    let (repository, _) = proposed(&server, "several");
    let close = PullEdit { open: Some(false), ..PullEdit::default() };
    let mut last = 0;
    for title in ["first", "second", "third"] {
        last = client.open_pull(&repository, &new_pull(title, "", &[])).await.unwrap().number;
        client.edit_pull(&repository, last, &close).await.unwrap();
    }
    // Another branch, and another base, do not count.
    server.commit(&server.bot, &repository.0, "leadsman/other-00000000", "Other", &[("b.yaml", "x: 2\n")]);
    server.pull(&server.bot, &repository.0, "leadsman/other-00000000", "other");
    let found = client.pull_of_branch(&repository, BRANCH, "main").await.unwrap().unwrap();
    assert_eq!((found.number, found.title.as_str()), (last, "third"));
    assert_eq!(client.pull_of_branch(&repository, BRANCH, "release/1.x").await.unwrap(), None);
}

#[tokio::test]
async fn only_pull_requests_of_the_bot_from_its_branches_are_listed() {
    let server = Gitea::shared();
    let (client, _) = client(&server);
    let (repository, _) = proposed(&server, "mine");
    let full = &repository.0;
    let ours = client.open_pull(&repository, &new_pull("ours", "", &[])).await.unwrap();
    // The bot's, from another kind of branch; a person's, from one of ours; a fork's with the same name of the branch.
    server.commit(&server.bot, full, "feature", "x", &[("b.yaml", "x: 1\n")]);
    server.pull(&server.bot, full, "feature", "the bot's own");
    server.commit(&server.admin, full, "leadsman/forged-00000000", "x", &[("c.yaml", "x: 1\n")]);
    server.pull(&server.admin, full, "leadsman/forged-00000000", "a person's");
    server.call(&server.bot, "POST", &format!("/repos/{full}/forks"), &json!({ "name": "fork-of-mine" }));
    server.commit(&server.bot, "leadsman/fork-of-mine", "leadsman/fork-00000000", "x", &[("d.yaml", "x: 1\n")]);
    server.pull(&server.bot, full, "leadsman:leadsman/fork-00000000", "from a fork");
    let listed = client.open_pulls(&repository).await.unwrap();
    assert_eq!(listed.iter().map(|pull| pull.title.as_str()).collect::<Vec<_>>(), ["ours"]);
    assert_eq!(listed[0].number, ours.number);
    let fork = client.pull(&repository, ours.number + 3).await.unwrap();
    assert_eq!((fork.title.as_str(), fork.same_repository), ("from a fork", false));
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page() {
    let server = Gitea::shared();
    let (client, sent) = client(&server);
    let full = server.repository("pages", &[("a.yaml", "x: 1\n")]);
    let head = server.head(&full, "main").unwrap();
    for number in 0..60 {
        server.status(&full, &head, &format!("ci/{number:02}"), "success");
    }
    let checks = client.checks(&name(&full), id(&head)).await.unwrap();
    assert_eq!((checks.len(), checks[59].name.as_str()), (60, "ci/59"));
    assert_eq!(sent.take(), ["GET repos/commits/status 200"; 2]);
}

#[tokio::test]
async fn labels_are_made_where_they_are_missing() {
    let server = Gitea::shared();
    let (client, sent) = client(&server);
    let (repository, _) = proposed(&server, "labels");
    let opened = client.open_pull(&repository, &new_pull("x", "", &["dependencies", "képek: új <b>"])).await.unwrap();
    assert_eq!(sent.take().len(), 4);
    let mut labels = opened.labels;
    labels.sort();
    assert_eq!(labels, ["dependencies", "képek: új <b>"]);

    let more = |name: &str| PullEdit { add_labels: vec![name.to_owned()], ..PullEdit::default() };
    client.edit_pull(&repository, opened.number, &more("dependencies")).await.unwrap();
    assert_eq!(sent.take(), ["POST repos/issues/labels 200"]);
    client.edit_pull(&repository, opened.number, &more("new one")).await.unwrap();
    assert_eq!(sent.take().len(), 4);
    let labels = client.pull(&repository, opened.number).await.unwrap().labels;
    assert_eq!(labels.len(), 3, "{labels:?}");
}

#[tokio::test]
async fn comments_are_read_from_a_cursor_and_edits_are_seen_c1_3() {
    let server = Gitea::shared();
    let (client, sent) = client(&server);
    let (repository, _) = proposed(&server, "talk");
    let number = client.open_pull(&repository, &new_pull("x", "", &[])).await.unwrap().number;
    let first = server.comment(&server.reader, &repository.0, number, "/status");
    let second = server.comment(&server.admin, &repository.0, number, "/merge\n\n```\n<!-- \u{202e} -->");
    sent.take();
    let comments = client.comments(&repository, number, 0).await.unwrap();
    assert_eq!(sent.take(), ["GET repos/issues/comments 200"]);
    assert_eq!(comments.iter().map(|comment| comment.id).collect::<Vec<_>>(), [first, second]);
    assert_eq!((&comments[0].author, comments[0].body.as_str()), (&person(&server.reader), "/status"));
    assert_eq!(comments[1].body, "/merge\n\n```\n<!-- \u{202e} -->");
    assert!(comments.iter().all(|comment| !comment.was_edited()));
    assert_eq!(client.comments(&repository, number, first).await.unwrap().len(), 1);
    assert!(client.comments(&repository, number, second).await.unwrap().is_empty());

    // Forges store whole seconds, so an edit within the second of writing is not seen.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let path = format!("/repos/{repository}/issues/comments/{first}");
    server.call(&server.reader, "PATCH", &path, &json!({ "body": "/merge" }));
    let comments = client.comments(&repository, number, 0).await.unwrap();
    assert_eq!((comments[0].was_edited(), comments[1].was_edited()), (true, false));
    sent.take();

    let own = client.comment(&repository, number, "An answer\n\n<!-- key -->").await.unwrap();
    assert_eq!((&own.author, own.body.as_str()), (&person(&server.bot), "An answer\n\n<!-- key -->"));
    client.edit_comment(&repository, own.id, "Another").await.unwrap();
    client.react(&repository, first, Reaction::Eyes).await.unwrap();
    client.react(&repository, first, Reaction::Eyes).await.unwrap();
    client.react(&repository, first, Reaction::ThumbsUp).await.unwrap();
    client.react(&repository, first, Reaction::ThumbsDown).await.unwrap();
    client.delete_comment(&repository, own.id).await.unwrap();
    client.delete_comment(&repository, own.id).await.unwrap();
    assert_eq!(sent.take().len(), 8);
    assert_eq!(client.comments(&repository, number, second).await.unwrap(), []);
    let path = format!("/repos/{repository}/issues/comments/{first}/reactions");
    let reactions = server.call(&server.admin, "GET", &path, &Value::Null);
    let mut contents: Vec<_> =
        reactions.as_array().unwrap().iter().map(|one| one["content"].as_str().unwrap()).collect();
    contents.sort_unstable();
    assert_eq!(contents, ["+1", "-1", "eyes"]);
    // A reaction is no edit of the comment.
    let comments = client.comments(&repository, number, 0).await.unwrap();
    assert!(!comments[1].was_edited());
}

#[tokio::test]
async fn checks_are_the_newest_status_of_each_context() {
    let server = Gitea::shared();
    let (client, _) = client(&server);
    let full = server.repository("checks", &[("a.yaml", "x: 1\n")]);
    let head = server.head(&full, "main").unwrap();
    assert_eq!(client.checks(&name(&full), id(&head)).await.unwrap(), []);
    let states = [
        ("pending", CheckState::Pending),
        ("success", CheckState::Success),
        ("skipped", CheckState::Skipped),
        ("warning", CheckState::Failure),
        ("failure", CheckState::Failure),
        ("error", CheckState::Failure),
    ];
    for (state, _) in states {
        server.status(&full, &head, state, "pending");
        server.status(&full, &head, state, state);
    }
    let checks = client.checks(&name(&full), id(&head)).await.unwrap();
    assert_eq!(checks.len(), states.len());
    for (name, state) in states {
        assert_eq!(checks.iter().find(|check| check.name == name).unwrap().state, state, "{name}");
    }
    assert_eq!(checks[0].url.as_deref(), Some("https://ci.example.com/1"));
}

#[tokio::test]
async fn the_dashboard_issue_is_found_by_its_marker() {
    let server = Gitea::shared();
    let (client, sent) = client(&server);
    let full = server.repository("dashboard", &[("a.yaml", "x: 1\n")]);
    let repository = name(&full);
    let marker = "<!-- leadsman:dashboard -->";
    assert_eq!(client.find_issue(&repository, marker).await.unwrap(), None);
    // A person's copy of it is not it.
    let copy = json!({ "title": "copy", "body": marker });
    server.call(&server.admin, "POST", &format!("/repos/{full}/issues"), &copy);
    assert_eq!(client.find_issue(&repository, marker).await.unwrap(), None);
    sent.take();
    let number = client.open_issue(&repository, "Leadsman", &format!("Hello\n{marker}")).await.unwrap();
    assert_eq!(client.find_issue(&repository, marker).await.unwrap(), Some((number, format!("Hello\n{marker}"))));
    assert_eq!(client.find_issue(&repository, "<!-- other -->").await.unwrap(), None);
    client.edit_issue(&repository, number, "Leadsman: 2 errors", marker).await.unwrap();
    assert_eq!(client.find_issue(&repository, marker).await.unwrap(), Some((number, marker.to_owned())));
    assert_eq!(sent.take().len(), 5);
    server.call(&server.admin, "PATCH", &format!("/repos/{full}/issues/{number}"), &json!({ "state": "closed" }));
    assert_eq!(client.find_issue(&repository, marker).await.unwrap(), None);
}

#[tokio::test]
async fn a_webhook_is_made_for_all_events_and_listed() {
    let server = Gitea::shared();
    let (client, sent) = client(&server);
    let full = server.repository("hooks", &[("a.yaml", "x: 1\n")]);
    let repository = name(&full);
    assert_eq!(client.hooks(&repository).await.unwrap(), Vec::<String>::new());
    let url = "http://127.0.0.1:9/webhooks/gitea";
    client.make_hook(&repository, url, &"a-secret".to_owned().into()).await.unwrap();
    assert_eq!(client.hooks(&repository).await.unwrap(), [url]);
    assert_eq!(sent.take(), ["GET repos/hooks 200", "POST repos/hooks 201", "GET repos/hooks 200"]);
    let made = server.call(&server.admin, "GET", &format!("/repos/{full}/hooks"), &Value::Null);
    let events: Vec<_> = made[0]["events"].as_array().unwrap().iter().map(|event| event.as_str().unwrap()).collect();
    for event in [
        "push",
        "issues",
        "issue_comment",
        "repository",
        "status",
        "package",
        "pull_request",
        "pull_request_comment",
        "pull_request_sync",
        "pull_request_label",
    ] {
        assert!(events.contains(&event), "{event} of {events:?}");
    }
    assert!(events.iter().any(|event| event.starts_with("pull_request_review")), "{events:?}");
}
