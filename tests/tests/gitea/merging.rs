//! Merging, and what it waits for (C3).

use gix::ObjectId;
use leadsman::forge::{
    Conversation, ErrorKind, MergeAnswer, MergeMethod, Mergeable, Merging, Opinion, Permission, Person, PullEdit,
    PullState, Pulls, RepositoryName, Rules,
};
use leadsman_tests::gitea::Gitea;
use serde_json::{Value, json};

use super::{BRANCH, client, client_as, id, name, new_pull, person, proposed, settled};

/// Merges, once Gitea has looked for conflicts with what was pushed last; until then it says to ask again.
async fn merge_once_checked(
    client: &leadsman::forge::gitea::Gitea,
    repository: &RepositoryName,
    number: i64,
    head: ObjectId,
    method: MergeMethod,
    message: Option<&str>,
) -> MergeAnswer {
    for _ in 0..400 {
        let answer = client.merge(repository, number, head, method, message).await.unwrap();
        if !matches!(&answer, MergeAnswer::Again(why) if why.contains("try again later")) {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{number} of {repository} is looked at for ever");
}

#[tokio::test]
async fn a_merge_carries_its_head_c3_3() {
    let server = Gitea::shared();
    let (client, sent) = client(&server);
    let (repository, head) = proposed(&server, "pinned");
    let number = client.open_pull(&repository, &new_pull("podinfo 1.1.0", "", &[])).await.unwrap().number;
    settled(&client, &repository, number).await;

    // Somebody pushes between the decision and the merge.
    let moved = server.commit(&server.admin, &repository.0, BRANCH, "Mine", &[("mine.yaml", "x: 1\n")]);
    let seen = settled(&client, &repository, number).await;
    assert_eq!(seen.head, id(&moved));
    sent.take();
    let answer = merge_once_checked(&client, &repository, number, head, MergeMethod::Merge, None).await;
    assert!(matches!(&answer, MergeAnswer::Drop(why) if why.contains("head out of date")), "{answer:?}");
    let sent = sent.take();
    assert_eq!(sent.last().map(String::as_str), Some("POST repos/pulls/merge 409"), "{sent:?}");
    assert_eq!(client.pull(&repository, number).await.unwrap().state, PullState::Open);

    let message = "Take podinfo 1.1.0\n\nAsked for by @owner";
    let answer = merge_once_checked(&client, &repository, number, id(&moved), MergeMethod::Squash, Some(message)).await;
    assert_eq!(answer, MergeAnswer::Merged);
    let merged = client.pull(&repository, number).await.unwrap();
    assert_eq!((merged.state, merged.closed_by), (PullState::Merged, Some(person(&server.bot))));
    let commit = merged.merge_commit.unwrap();
    assert_eq!(server.head(&repository.0, "main"), Some(commit.to_string()));
    let written = server.call(&server.admin, "GET", &format!("/repos/{repository}/git/commits/{commit}"), &Value::Null);
    let written = written["commit"]["message"].as_str().unwrap();
    assert!(written.starts_with(message), "{written}");
    assert_eq!(server.file(&repository.0, "main", "app.yaml"), "tag: 1.1.0\n");

    // A second request finds it merged: the next look tells.
    let answer = client.merge(&repository, number, id(&moved), MergeMethod::Squash, None).await.unwrap();
    assert!(matches!(&answer, MergeAnswer::Again(why) if why.contains("already merged")), "{answer:?}");
}

#[tokio::test]
async fn every_way_of_merging_merges_c3_3() {
    let server = Gitea::shared();
    let (client, _) = client(&server);
    for (method, called) in
        [(MergeMethod::Merge, "by-merge"), (MergeMethod::Squash, "by-squash"), (MergeMethod::Rebase, "by-rebase")]
    {
        let (repository, head) = proposed(&server, called);
        let number = client.open_pull(&repository, &new_pull("x", "", &[])).await.unwrap().number;
        settled(&client, &repository, number).await;
        assert_eq!(
            client.merge(&repository, number, head, method, None).await.unwrap(),
            MergeAnswer::Merged,
            "{called}"
        );
        assert_eq!(server.file(&repository.0, "main", "app.yaml"), "tag: 1.1.0\n", "{called}");
        // A merged one is found by its branch, with the branch gone too.
        let path = format!("/repos/{repository}/branches/{BRANCH}");
        server.call(&server.admin, "DELETE", &path, &Value::Null);
        let found = client.pull_of_branch(&repository, BRANCH, "main").await.unwrap().unwrap();
        assert_eq!((found.state, found.branch.as_str(), found.head), (PullState::Merged, BRANCH, head));
    }
}

#[tokio::test]
async fn what_cannot_be_merged_is_dropped_c3_3() {
    let server = Gitea::shared();
    let (client, _) = client(&server);
    let (repository, head) = proposed(&server, "unmergeable");
    let number = client.open_pull(&repository, &new_pull("x", "", &[])).await.unwrap().number;
    settled(&client, &repository, number).await;
    let merge = async |method| client.merge(&repository, number, head, method, None).await.unwrap();

    let path = format!("/repos/{repository}");
    server.call(&server.admin, "PATCH", &path, &json!({ "allow_squash_merge": false, "has_pull_requests": true }));
    let answer = merge(MergeMethod::Squash).await;
    assert!(matches!(&answer, MergeAnswer::Drop(why) if why.contains("style")), "{answer:?}");

    let edit = PullEdit { title: Some("WIP: x".into()), ..PullEdit::default() };
    client.edit_pull(&repository, number, &edit).await.unwrap();
    assert_eq!(client.pull(&repository, number).await.unwrap().mergeable, Mergeable::Unknown);
    assert!(matches!(merge(MergeMethod::Merge).await, MergeAnswer::Drop(_)));

    let edit = PullEdit { title: Some("x".into()), open: Some(false), ..PullEdit::default() };
    client.edit_pull(&repository, number, &edit).await.unwrap();
    assert!(matches!(merge(MergeMethod::Merge).await, MergeAnswer::Drop(_)));
    server.call(&server.admin, "PATCH", &path, &json!({ "archived": true }));
    let answer = merge(MergeMethod::Merge).await;
    assert!(matches!(&answer, MergeAnswer::Drop(why) if why.contains("archived")), "{answer:?}");
}

#[tokio::test]
async fn rules_hold_a_merge_up_and_are_told_c3_2() {
    let server = Gitea::shared();
    let (client, sent) = client(&server);
    let (repository, head) = proposed(&server, "ruled");
    let full = &repository.0;
    assert_eq!(client.rules(&repository, "main").await.unwrap(), Rules::default());
    assert_eq!(sent.take(), ["GET repos/branches 200"]);
    let rule = json!({
        "enable_status_check": true, "status_check_contexts": ["ci/*", "lint"], "required_approvals": 1,
        "block_on_rejected_reviews": true, "block_on_outdated_branch": true, "ignore_stale_approvals": true,
        // Administrators are held to it as everybody is, or else the test would prove nothing.
        "block_admin_merge_override": true,
    });
    server.protect(full, "main", &rule);
    let rules = client.rules(&repository, "main").await.unwrap();
    assert_eq!(sent.take(), ["GET repos/branches 200", "GET repos/branch_protections 200"]);
    let expected = Rules {
        required_checks: vec!["ci/*".into(), "lint".into()],
        required_approvals: 1,
        blocked_by_rejection: true,
        stale_approvals_ignored: true,
        must_be_up_to_date: true,
        bot_may_not_merge: false,
    };
    assert_eq!(rules, expected);

    let number = client.open_pull(&repository, &new_pull("x", "", &[])).await.unwrap().number;
    settled(&client, &repository, number).await;
    let again = async |words: &str| {
        let answer = client.merge(&repository, number, head, MergeMethod::Merge, None).await.unwrap();
        assert!(matches!(&answer, MergeAnswer::Again(why) if why.contains(words)), "{answer:?}");
    };
    again("status checks").await;
    server.status(full, &head.to_string(), "ci/build", "success");
    server.status(full, &head.to_string(), "lint", "success");
    again("approvals").await;
    server.review(&server.admin, full, number, "REQUEST_CHANGES");
    again("approvals").await;
    server.review(&server.admin, full, number, "APPROVED");
    assert_eq!(client.merge(&repository, number, head, MergeMethod::Merge, None).await.unwrap(), MergeAnswer::Merged);
}

#[tokio::test]
async fn rules_by_pattern_without_contexts_and_with_a_merge_list_are_told() {
    let server = Gitea::shared();
    let (client, _) = client(&server);
    let full = server.repository("patterns", &[("a.yaml", "x: 1\n")]);
    server.commit(&server.admin, &full, "release/1.x", "x", &[("b.yaml", "x: 1\n")]);
    let rule = json!({
        "enable_status_check": true, "status_check_contexts": [], "enable_merge_whitelist": true,
        "merge_whitelist_usernames": ["owner"],
    });
    server.protect(&full, "release/**", &rule);
    let rules = client.rules(&name(&full), "release/1.x").await.unwrap();
    assert_eq!((rules.required_checks, rules.bot_may_not_merge), (vec!["*".to_owned()], true));
    assert_eq!(client.rules(&name(&full), "main").await.unwrap(), Rules::default());
}

#[tokio::test]
async fn rules_that_may_not_be_read_are_an_error_and_never_none() {
    let server = Gitea::shared();
    let full = server.repository("secret-rules", &[("a.yaml", "x: 1\n")]);
    let writer = server.person("rules-writer");
    server.invite(&full, &writer, "write");
    let (client, _) = client_as(&server, &writer.token);
    assert_eq!(client.rules(&name(&full), "main").await.unwrap(), Rules::default());
    server.protect(&full, "main", &json!({ "required_approvals": 2 }));
    let error = client.rules(&name(&full), "main").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden, "{error}");
    assert!(error.to_string().contains("administrator"), "{error}");
}

#[tokio::test]
async fn the_review_that_counts_of_each_person_is_told() {
    let server = Gitea::shared();
    let (client, sent) = client(&server);
    let (repository, head) = proposed(&server, "reviewed");
    let full = &repository.0;
    let writer = server.person("reviewing-writer");
    server.invite(full, &writer, "write");
    server.protect(full, "main", &json!({ "required_approvals": 1 }));
    let number = client.open_pull(&repository, &new_pull("x", "", &[])).await.unwrap().number;
    assert_eq!(client.reviews(&repository, number).await.unwrap(), []);
    server.review(&server.admin, full, number, "APPROVED");
    server.review(&server.reader, full, number, "APPROVED");
    let dismissed = server.review(&writer, full, number, "REQUEST_CHANGES");
    server.review(&server.admin, full, number, "COMMENT");
    sent.take();
    let reviews = client.reviews(&repository, number).await.unwrap();
    assert_eq!(sent.take(), ["GET repos/pulls/reviews 200"]);
    let of = |who: &str| reviews.iter().find(|review| review.author.login == who).unwrap();
    assert_eq!(reviews.len(), 3);
    let admin = of("owner");
    assert_eq!((admin.opinion, admin.counts, admin.stale), (Opinion::Approved, true, false));
    assert_eq!(admin.commit, Some(head));
    // Who may only read gives no official review.
    assert_eq!((of("reader").opinion, of("reader").counts), (Opinion::Approved, false));
    assert_eq!((of(&writer.login).opinion, of(&writer.login).counts), (Opinion::Rejected, true));

    let path = format!("/repos/{full}/pulls/{number}/reviews/{dismissed}/dismissals");
    server.call(&server.admin, "POST", &path, &json!({ "message": "no", "priors": false }));
    server.commit(&server.admin, full, BRANCH, "More", &[("more.yaml", "x: 1\n")]);
    let mut reviews = client.reviews(&repository, number).await.unwrap();
    for _ in 0..200 {
        if reviews.iter().any(|review| review.stale) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        reviews = client.reviews(&repository, number).await.unwrap();
    }
    let of = |who: &str| reviews.iter().find(|review| review.author.login == who).unwrap();
    assert!(!of(&writer.login).counts);
    assert_eq!((of("owner").counts, of("owner").stale), (true, true));
}

#[tokio::test]
async fn a_conflict_is_told_once_it_lasts() {
    use std::sync::atomic::{AtomicI64, Ordering};
    static NOW: AtomicI64 = AtomicI64::new(1_800_000_000);
    let server = Gitea::shared();
    let mut options =
        leadsman::forge::http::HttpOptions::new(server.url().parse().unwrap(), server.bot.token.clone().into());
    options.clock = || jiff::Timestamp::from_second(NOW.load(Ordering::SeqCst)).unwrap();
    let client = leadsman::forge::gitea::Gitea::new(options).unwrap();
    let (repository, head) = proposed(&server, "conflict");
    let number = client.open_pull(&repository, &new_pull("x", "", &[])).await.unwrap().number;
    settled(&client, &repository, number).await;
    server.commit(&server.admin, &repository.0, "main", "Mine", &[("app.yaml", "tag: 2.0.0\n")]);
    let mut mergeable = client.pull(&repository, number).await.unwrap().mergeable;
    for _ in 0..200 {
        if mergeable != Mergeable::Yes {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        mergeable = client.pull(&repository, number).await.unwrap().mergeable;
    }
    assert_eq!(mergeable, Mergeable::Unknown);
    let answer = client.merge(&repository, number, head, MergeMethod::Merge, None).await.unwrap();
    assert!(matches!(answer, MergeAnswer::Again(_)), "{answer:?}");
    NOW.fetch_add(31, Ordering::SeqCst);
    assert_eq!(client.pull(&repository, number).await.unwrap().mergeable, Mergeable::Conflict);
    // Mended: the doubt is forgotten with it.
    server.commit(&server.admin, &repository.0, "main", "Back", &[("app.yaml", "tag: 1.0.0\n")]);
    settled(&client, &repository, number).await;
}

#[tokio::test]
async fn what_people_may_do_is_asked_by_number_c2() {
    let server = Gitea::shared();
    let (client, sent) = client(&server);
    let full = server.repository("permissions", &[("a.yaml", "x: 1\n")]);
    let repository = name(&full);
    let writer = server.person("writer");
    server.invite(&full, &writer, "write");
    for (who, permission) in [
        (&server.admin, Permission::Admin),
        (&server.bot, Permission::Admin),
        (&writer, Permission::Write),
        (&server.reader, Permission::Read),
        (&server.stranger, Permission::None),
    ] {
        assert_eq!(client.permission(&repository, &person(who)).await.unwrap(), permission, "{}", who.login);
        assert_eq!(sent.take(), ["GET repos/collaborators/permission 200"]);
    }
    // The name of an account that is gone can be somebody else's by now.
    let gone = Person { id: 4711, login: writer.login.clone() };
    assert_eq!(client.permission(&repository, &gone).await.unwrap(), Permission::None);
    let unknown = Person { id: 4711, login: "nobody".into() };
    assert_eq!(client.permission(&repository, &unknown).await.unwrap_err().kind, ErrorKind::NotFound);

    // Asked now: what was taken away is gone.
    let path = format!("/repos/{full}/collaborators/{}", writer.login);
    server.call(&server.admin, "DELETE", &path, &Value::Null);
    assert_eq!(client.permission(&repository, &person(&writer)).await.unwrap(), Permission::None);
}
