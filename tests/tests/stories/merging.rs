//! What a merge waits for, and what ends it (C3).

use leadsman::forge::{CheckState, PullState};
use serde_json::json;

use crate::world::{On, Stage, Who, World};

pub(crate) async fn checks_decide(on: On) {
    let (world, pull) = World::begun(on, "checks").await;
    if let Stage::Gitea { server, name, .. } = &world.stage {
        let rule = json!({ "enable_push": true, "enable_status_check": true, "status_check_contexts": ["ci/test"] });
        server.protect(name, "main", &rule);
    }
    let number = pull.number;
    world.status(pull.head, "ci/test", CheckState::Pending).await;
    let told = world.answer(number, "/merge squash").await;
    assert!(told.contains("ci/test"), "{told}");
    for (state, wanted) in [(CheckState::Failure, PullState::Open), (CheckState::Pending, PullState::Open)] {
        world.a_moment().await;
        world.status(pull.head, "ci/test", state).await;
        world.advance(600);
        world.look().await;
        assert_eq!(world.state(number).await, wanted, "{state:?}");
    }
    world.a_moment().await;
    world.status(pull.head, "ci/test", CheckState::Success).await;
    world.look().await;
    for _ in 0..10 {
        if world.state(number).await == PullState::Merged {
            break;
        }
        world.wait_a_little().await;
    }
    assert_eq!(world.state(number).await, PullState::Merged, "{:#?}", world.said(number).await);
    assert_eq!((world.tag("main").as_str(), world.history()), ("6.1.0", 2), "squashed");
    let said = world.said(number).await;
    assert_eq!(said.len(), 1, "{said:#?}");

    // The check is usual now: the next one waits for it though nobody demands it (C3.2).
    world.image_was_pushed("6.2.0").await;
    let next = world.only().await;
    let told = world.answer(next.number, &format!("/merge {}", next.head)).await;
    assert!(told.contains("ci/test"), "{told}");
    assert_eq!(world.state(next.number).await, PullState::Open);
    world.status(next.head, "ci/test", CheckState::Success).await;
    world.merge(&next).await;
    assert_eq!(world.tag("main"), "6.2.0");
}

pub(crate) async fn a_push_ends_the_request(on: On) {
    let (world, pull) = World::begun(on, "pushed").await;
    let number = pull.number;
    world.status(pull.head, "ci/test", CheckState::Pending).await;
    world.answer(number, "/merge").await;
    world.commit(&pull.branch, "notes.md", "mine\n");
    world.look().await;
    let said = world.said(number).await;
    assert!(said.iter().any(|text| text.contains("Not merged") && text.contains("/merge ")), "{said:#?}");
    // What comes later counts for nothing.
    world.status(world.head(&pull.branch), "ci/test", CheckState::Success).await;
    world.status(pull.head, "ci/test", CheckState::Success).await;
    world.advance(3600);
    world.look().await;
    assert_eq!((world.state(number).await, world.history()), (PullState::Open, 1));
    assert!(world.service.store.merge_requests(world.key()).await.unwrap().is_empty());

    // A push that nobody has told of yet: what is not the head that was looked at is not merged.
    world.commit(&pull.branch, "notes.md", "mine, again\n");
    world.ask(number, &format!("/merge {}", pull.head)).await;
    world.advance(3600);
    world.look().await;
    assert_eq!((world.state(number).await, world.history()), (PullState::Open, 1));
}

pub(crate) async fn two_at_once(on: On) {
    let (world, pull) = World::begun(on, "twice").await;
    let number = pull.number;
    world.a_moment().await;
    let text = format!("/merge {}", pull.head);
    world.say_as(Who::Person, number, &text).await;
    world.say_as(Who::Person, number, &text).await;
    world.work().await;
    for _ in 0..10 {
        world.wait_a_little().await;
    }
    world.look().await;
    assert_eq!(world.state(number).await, PullState::Merged, "{:#?}", world.said(number).await);
    let commits = world.history();
    world.look().await;
    assert_eq!((world.history(), world.tag("main").as_str()), (commits, "6.1.0"));
    let said = world.said(number).await;
    assert!((1..=2).contains(&said.len()), "at most one answer each: {said:#?}");
    assert!(said.iter().any(|text| text.contains("Merged")), "{said:#?}");
    assert!(!said.iter().any(|text| text.contains("Merging")), "nobody is left waiting: {said:#?}");
}

pub(crate) async fn merge_and_hold_at_once(on: On) {
    let (world, pull) = World::begun(on, "both").await;
    let number = pull.number;
    world.a_moment().await;
    world.say_as(Who::Person, number, &format!("/merge {}", pull.head)).await;
    world.say_as(Who::Person, number, "/hold").await;
    world.work().await;
    for _ in 0..3 {
        world.wait_a_little().await;
    }
    assert_eq!((world.state(number).await, world.history()), (PullState::Open, 1), "{:#?}", world.said(number).await);
    let said = world.said(number).await;
    assert!(said.len() == 1 && said[0].contains("hold"), "{said:#?}");
}

pub(crate) async fn rules_of_the_branch(on: On) {
    let (world, pull) = World::begun(on, "rules").await;
    let Stage::Gitea { server, name, person } = &world.stage else { panic!("it needs rules") };
    let number = pull.number;
    let rule = json!({
        "enable_merge_whitelist": true, "merge_whitelist_usernames": [person.login], "required_approvals": 1,
    });
    server.protect(name, "main", &rule);
    // The bot is not among those who may merge: though an administrator, it goes by no rule.
    let told = world.answer(number, "/merge").await;
    assert!(told.contains("Not merged"), "{told}");
    assert_eq!((world.state(number).await, world.history()), (PullState::Open, 1));

    let rule = json!({ "merge_whitelist_usernames": [person.login, server.bot.login] });
    server.call(&server.admin, "PATCH", &format!("/repos/{name}/branch_protections/main"), &rule);
    let told = world.answer(number, "/merge").await;
    assert!(told.contains("approv"), "{told}");
    assert_eq!(world.state(number).await, PullState::Open);
    let _ = server.review(person, name, number, "APPROVED");
    world.look().await;
    for _ in 0..10 {
        if world.state(number).await == PullState::Merged {
            break;
        }
        world.wait_a_little().await;
    }
    assert_eq!(world.state(number).await, PullState::Merged, "{:#?}", world.said(number).await);
}
