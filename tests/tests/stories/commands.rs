//! What people write, and what comes of it (C1, C2).

use leadsman::forge::PullState;
use serde_json::json;

use crate::world::{FILE, On, Stage, Who, World};

pub(crate) async fn hold_and_unhold(on: On) {
    let (world, pull) = World::begun(on, "hold").await;
    let number = pull.number;
    assert_eq!(world.ask(number, "/hold until 30d the fair is on").await, [""; 0], "a thumb says enough (C1.5)");

    // Neither a newer image nor a change of its file moves it, and its text still says what it is.
    world.image_was_pushed("6.2.0").await;
    let text = world.text("main", FILE);
    world.commit("main", FILE, &format!("{text}# elsewhere\n"));
    world.look().await;
    let held = world.only().await;
    assert_eq!((held.head, &held.title, held.number), (pull.head, &pull.title, number));

    // It is not merged while it is held, and by itself when it is not.
    let told = world.answer(number, &format!("/merge {}", pull.head)).await;
    assert!(told.contains("the fair is on"), "{told}");
    assert_eq!(world.state(number).await, PullState::Open);
    world.ask(number, "/unhold").await;
    for _ in 0..20 {
        if world.state(number).await == PullState::Merged {
            break;
        }
        world.wait_a_little().await;
    }
    assert_eq!(world.state(number).await, PullState::Merged, "{:#?}", world.said(number).await);
    assert_eq!(world.tag("main"), "6.1.0", "what was asked for, and nothing newer (C3.1)");
    world.look().await;
    let next = world.only().await;
    assert!(next.number != number && next.title.contains("6.2.0"), "{}", next.title);

    // Without a merge: it moves on when it is free again.
    world.ask(next.number, "/hold").await;
    world.image_was_pushed("6.3.0").await;
    assert_eq!(world.only().await.head, next.head);
    world.ask(next.number, "/unhold").await;
    assert_eq!(world.tag(&world.only().await.branch), "6.3.0");
}

pub(crate) async fn close(on: On) {
    let (world, pull) = World::begun(on, "close").await;
    world.ask(pull.number, "/close").await;
    assert_eq!((world.open().await.len(), world.state(pull.number).await), (0, PullState::Closed));
    // This version is not proposed again.
    for _ in 0..2 {
        world.look().await;
        assert_eq!(world.open().await, []);
    }
    // A newer one is.
    world.image_was_pushed("6.2.0").await;
    let next = world.only().await;
    assert_ne!(next.number, pull.number);
    assert_eq!(world.tag(&next.branch), "6.2.0");
    assert_eq!(world.state(pull.number).await, PullState::Closed);
}

pub(crate) async fn ignore_and_unignore(on: On) {
    let (world, pull) = World::begun(on, "ignore").await;
    let number = pull.number;
    // This version: there is nothing else.
    world.ask(number, "/ignore").await;
    assert_eq!(world.open().await, []);
    let listed = world.answer(number, "/ignores").await;
    assert!(listed.contains("6.1.0"), "{listed}");
    // A newer one is another version.
    world.image_was_pushed("6.2.0").await;
    let next = world.only().await;
    assert_eq!(world.tag(&next.branch), "6.2.0");

    // A level: what is below it is proposed.
    world.push("6.0.1");
    world.ask(next.number, "/ignore minor until 30d").await;
    world.image_was_pushed("6.0.2").await;
    let patch = world.only().await;
    assert_eq!(world.tag(&patch.branch), "6.0.2");
    world.ask(patch.number, "/unignore minor").await;
    assert_eq!(world.tag(&world.only().await.branch), "6.2.0");
    let nothing = world.answer(patch.number, "/unignore minor").await;
    assert!(nothing.contains("/ignores"), "{nothing}");

    // The image.
    let number = world.only().await.number;
    world.ask(number, "/ignore image").await;
    assert_eq!(world.open().await, []);
    world.image_was_pushed("6.3.0").await;
    assert_eq!(world.open().await, []);
    world.ask(number, "/unignore image").await;
    assert_eq!(world.tag(&world.only().await.branch), "6.3.0");
}

pub(crate) async fn rebase_and_recreate(on: On) {
    let (world, pull) = World::begun(on, "rebase").await;
    let number = pull.number;
    // Its file changed elsewhere: it is rebuilt by itself.
    let text = world.text("main", FILE);
    world.commit("main", FILE, &format!("{text}# elsewhere\n"));
    world.look().await;
    let rebuilt = world.only().await;
    assert_eq!(rebuilt.number, number);
    assert_eq!(world.parent(&pull.branch), world.head("main"));
    assert!(world.text(&pull.branch, FILE).ends_with("# elsewhere\n"));
    assert_eq!(world.tag(&pull.branch), "6.1.0");

    // Another file changed: only when it is asked for.
    world.commit("main", "readme.md", "hello\n");
    world.look().await;
    assert_eq!(world.head(&pull.branch), rebuilt.head);
    world.ask(number, "/rebase").await;
    assert_eq!(world.parent(&pull.branch), world.head("main"));
    assert_eq!(world.tag(&pull.branch), "6.1.0");

    // A person's commit: it is theirs from here on.
    world.commit(&pull.branch, "notes.md", "mine\n");
    let theirs = world.head(&pull.branch);
    world.image_was_pushed("6.2.0").await;
    assert_eq!(world.head(&pull.branch), theirs);
    let told = world.answer(number, "/rebase").await;
    assert!(told.contains("/recreate"), "{told}");
    assert_eq!(world.head(&pull.branch), theirs);
    assert_eq!(world.ask(number, "/recreate").await, [""; 0]);
    let ours = world.only().await;
    assert_eq!((ours.number, world.tag(&ours.branch).as_str()), (number, "6.2.0"));
    assert_eq!(world.parent(&ours.branch), world.head("main"));
    assert!(ours.title.contains("6.2.0"), "{}", ours.title);
}

pub(crate) async fn pause_and_resume(on: On) {
    let (world, pull) = World::begun(on, "pause").await;
    let number = pull.number;
    world.ask(number, "/pause for the holidays").await;
    world.image_was_pushed("6.2.0").await;
    assert_eq!(world.only().await.head, pull.head);
    let told = world.answer(number, &format!("/merge {}", pull.head)).await;
    assert!(told.contains("for the holidays"), "{told}");
    world.ask(number, "/merge cancel").await;
    world.advance(3600);
    world.work().await;
    assert_eq!(world.state(number).await, PullState::Open);
    world.ask(number, "/resume").await;
    assert_eq!(world.tag(&world.only().await.branch), "6.2.0");
    assert_eq!(world.state(number).await, PullState::Open, "the request was taken back");
}

pub(crate) async fn questions_and_answers(on: On) {
    let (world, pull) = World::begun(on, "questions").await;
    let number = pull.number;
    let told = world.answer(number, "/explain").await;
    assert!(told.contains("6.1.0") && told.contains("semver"), "{told}");
    let told = world.answer(number, "/explain nobody").await;
    assert!(told.contains("nobody"), "{told}");
    let told = world.answer(number, "@leadsman status").await;
    assert!(told.contains("Nobody asked to merge"), "{told}");
    let told = world.answer(number, "/help").await;
    assert!(told.contains("/recreate"), "{told}");
    world.push("6.2.0");
    assert_eq!(world.ask(number, "/scan").await, [""; 0]);
    assert_eq!(world.tag(&pull.branch), "6.2.0");
    // Two in one comment: one answer each, in their order.
    let told = world.ask(number, "Hello,\n\n/status\n/help\n").await;
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("Nobody asked") && told[1].contains("/recreate"), "{told:#?}");
    // Asked again, nothing more is said.
    let said = world.said(number).await;
    world.forge_tells(number).await;
    world.look().await;
    assert_eq!(world.said(number).await, said);
}

pub(crate) async fn lines_that_do_nothing(on: On) {
    let (world, pull) = World::begun(on, "nothing").await;
    let number = pull.number;
    // C1.4
    let told = world.answer(number, "@leadsman merg").await;
    assert!(told.contains("Did you mean"), "{told}");
    let told = world.answer(number, "/merge please").await;
    assert!(told.contains("/help"), "{told}");
    // C1.2
    for text in ["/lgtm", "Looks good, /merge thanks", "> /merge", "```\n/close\n```", "<!-- /close -->"] {
        assert_eq!(world.ask(number, text).await, [""; 0], "{text}");
    }
    // C3.1
    let told = world.answer(number, "/merge 1234567").await;
    assert!(told.contains(&format!("/merge {}", pull.head.to_hex_with_len(7))), "{told}");
    let told = world.answer(number, "/merge cancel").await;
    assert!(told.contains("nobody asked"), "{told}");
    // Somebody without the right to.
    for text in ["/close", "/merge", "/hold", "/pause"] {
        let told = world.ask_as(Who::Reader, number, text).await;
        assert_eq!(told.len(), 1, "{text}: {told:#?}");
        assert!(told[0].contains("was not done"), "{told:#?}");
    }
    // C1.3: changed before it was read.
    let before = world.said(number).await;
    world.a_moment().await;
    match &world.stage {
        Stage::Local(_) => {
            let id = world.say_as(Who::Person, number, "hello").await;
            world.a_moment().await;
            world.service.store.change_local_comment(id, Some("/close"), world.now()).await.unwrap();
        }
        Stage::Gitea { server, name, person } => {
            let id = server.comment(person, name, number, "hello");
            world.a_moment().await;
            let path = format!("/repos/{name}/issues/comments/{id}");
            server.call(person, "PATCH", &path, &json!({ "body": "/close" }));
        }
    }
    world.forge_tells(number).await;
    world.work().await;
    let said = world.said(number).await;
    assert_eq!(said.len(), before.len() + 1, "{said:#?}");
    assert!(said.last().unwrap().contains("edited"), "{said:#?}");
    // None of it did anything.
    assert_eq!(world.only().await.head, pull.head);
    assert_eq!(world.history(), 1);
    assert_eq!(world.service.store.decisions(world.key(), world.now()).await.unwrap(), []);
}
