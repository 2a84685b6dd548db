//! Faulty configurations, lost data, repositories in which nothing can be done.

use leadsman::forge::PullState;
use leadsman::store::repositories::ConfigState;
use leadsman::store::work::Priority;
use leadsman_tests::repository::Repository;
use serde_json::json;

use crate::world::{On, SETTLES_SOON, Stage, World, release};

const CONFIG: &str = ".leadsman.yaml";

pub(crate) async fn configuration(on: On) {
    let (world, pull) = World::begun(on, "configuration").await;
    let number = pull.number;
    world.commit("main", CONFIG, "merge:\n  settel: 1s\n");
    world.look().await;
    let row = world.service.store.repository(world.key()).await.unwrap().unwrap();
    assert!(matches!(&row.config, ConfigState::Invalid(why) if why.contains("settel")), "{row:?}");
    // Nothing is opened, moved or merged.
    world.image_was_pushed("6.2.0").await;
    assert_eq!(world.only().await, world.only().await);
    assert_eq!((world.head(&pull.branch), world.only().await.title), (pull.head, pull.title.clone()));
    let told = world.answer(number, &format!("/merge {}", pull.head)).await;
    assert!(told.contains(CONFIG), "{told}");
    world.advance(7200);
    world.look().await;
    assert_eq!(world.state(number).await, PullState::Open);
    world.ask(number, "/merge cancel").await;

    // Mended: it goes on, with labels.
    world.commit("main", CONFIG, &format!("{SETTLES_SOON}labels: [images]\n"));
    world.look().await;
    let moved = world.only().await;
    assert_eq!((moved.number, world.tag(&pull.branch).as_str()), (number, "6.2.0"));
    if on == On::Gitea {
        assert_eq!(moved.labels, ["images"]);
    }
    // What is ignored, and where nothing is looked at.
    for narrowed in ["ignore:\n  - tags: [\"6.2.0\", \"6.1.0\"]\n", "paths:\n  exclude: [\"clusters/**\"]\n"] {
        world.commit("main", CONFIG, &format!("{SETTLES_SOON}{narrowed}"));
        world.look().await;
        assert_eq!(world.open().await, [], "{narrowed}");
        world.commit("main", CONFIG, SETTLES_SOON);
        world.look().await;
        assert_eq!(world.tag(&world.only().await.branch), "6.2.0");
    }
    // One at a time.
    let other =
        release(&world.registry.host(), "6.0.0").replace("name: podinfo\n  namespace", "name: other\n  namespace");
    world.commit("main", CONFIG, &format!("{SETTLES_SOON}limits:\n  open: 1\n"));
    world.commit("main", "clusters/production/other.yaml", &other);
    world.look().await;
    assert_eq!(world.open().await.len(), 1);
    world.commit("main", CONFIG, SETTLES_SOON);
    world.look().await;
    assert_eq!(world.open().await.len(), 2);
}

pub(crate) async fn a_lost_database(on: On) {
    let (mut world, pull) = World::begun(on, "lost").await;
    world.answer(pull.number, "/help").await;
    let comments = world.said(pull.number).await.len();
    world.lose_data().await;
    world.work().await;
    world.look().await;
    let found = world.only().await;
    assert_eq!((found.head, &found.branch), (pull.head, &pull.branch));
    assert_eq!(world.history(), 1);
    if on == On::Gitea {
        assert_eq!(found.number, pull.number);
        assert_eq!(world.said(pull.number).await.len(), comments);
    }
    // It is carried on, and merged once.
    world.image_was_pushed("6.2.0").await;
    let moved = world.only().await;
    assert_eq!((moved.number, world.tag(&moved.branch).as_str()), (found.number, "6.2.0"));
    world.merge(&moved).await;
    let (commits, said) = (world.history(), world.said(moved.number).await.len());
    world.lose_data().await;
    for _ in 0..2 {
        world.work().await;
        world.look().await;
        world.advance(3600);
    }
    assert_eq!(world.open().await, []);
    assert_eq!((world.history(), world.tag("main").as_str()), (commits, "6.2.0"));
    if on == On::Gitea {
        assert_eq!(world.said(moved.number).await.len(), said);
    }
}

pub(crate) async fn two_repositories(on: On) {
    // The other one is a local repository with many files that say nothing.
    let other = Repository::new();
    for number in 0..2_000 {
        other.write(&format!("notes/{}/{number}.md", number % 40), "# nothing\n");
    }
    let filler = Repository::bare_clone_of(&{
        other.commit("notes");
        other
    });
    let more = format!("  - local: {}\n", filler.path().display());
    let world = World::with(on, "two", &[(CONFIG, SETTLES_SOON)], &more).await;
    world.work().await;
    let pull = world.only().await;
    let key = filler.path().canonicalize().unwrap().display().to_string();
    let row = world.service.store.repository(&key).await.unwrap().unwrap();
    assert_eq!(row.last_error, None);
    assert!(row.last_scan_at.is_some());

    // One of them breaks; the other goes on.
    std::fs::rename(filler.path().join("refs"), filler.path().join("gone")).unwrap();
    std::fs::rename(filler.path().join("packed-refs"), filler.path().join("packed-gone")).unwrap();
    let ask = world.service.ask_scan(world.service.watched(&key).unwrap(), Priority::Scan);
    world.service.store.ask(&[ask], world.now()).await.unwrap();
    world.push("6.2.0");
    world.try_work().await;
    world.image_was_pushed("6.2.1").await;
    assert_eq!((world.only().await.number, world.tag(&pull.branch).as_str()), (pull.number, "6.2.1"));
    let row = world.service.store.repository(&key).await.unwrap().unwrap();
    assert!(row.last_error.is_some(), "{row:?}");
    assert_eq!(world.trouble().await, None);
}

pub(crate) async fn repositories_that_rest(on: On) {
    let (world, pull) = World::begun(on, "resting").await;
    let Stage::Gitea { server, name, .. } = &world.stage else { panic!("it needs a forge") };
    let path = format!("/repos/{name}");
    let set = |body| drop(server.call(&server.admin, "PATCH", &path, &body));

    set(json!({ "archived": true }));
    world.push("6.2.0");
    world.look().await;
    assert!(world.trouble().await.unwrap().contains("archived"));
    assert_eq!(world.head(&pull.branch), pull.head);
    set(json!({ "archived": false }));
    world.image_was_pushed("6.2.1").await;
    world.look().await;
    assert_eq!(world.trouble().await, None);
    assert_eq!(world.tag(&pull.branch), "6.2.1");

    // The bot may only read: told, and nothing else.
    let head = world.head(&pull.branch);
    server.invite(name, &server.bot, "read");
    world.ask_for_image("6.2.2").await;
    world.try_work().await;
    assert_eq!(world.head(&pull.branch), head);
    let past = world.service.store.recent_history(world.key(), 20).await.unwrap();
    let failed = past.iter().any(|past| past.event.action == "failed");
    assert!(failed || world.trouble().await.is_some(), "{past:#?}");
    // Nor that.
    let collaborator = format!("{path}/collaborators/{}", server.bot.login);
    server.call(&server.admin, "DELETE", &collaborator, &json!(null));
    let ask = world.service.ask_scan(world.watched(), Priority::Scan);
    world.service.store.ask(&[ask], world.now()).await.unwrap();
    world.try_work().await;
    assert!(world.trouble().await.is_some());

    // And back, under another name: the forge leads from the old one to it.
    server.invite(name, &server.bot, "admin");
    world.advance(7200);
    world.image_was_pushed("6.3.0").await;
    world.look().await;
    assert_eq!(world.trouble().await, None);
    assert_eq!(world.tag(&pull.branch), "6.3.0");
    assert_eq!(world.only().await.number, pull.number);
    let head = world.head(&pull.branch);
    set(json!({ "name": "rested" }));
    world.ask_for_image("6.4.0").await;
    world.try_work().await;
    let renamed = server.head("owner/rested", &pull.branch).unwrap();
    let past = world.service.store.recent_history(world.key(), 5).await.unwrap();
    let failed = past.iter().any(|past| past.event.action == "failed");
    let moved = renamed != head;
    assert!(moved || failed || world.trouble().await.is_some(), "carried on, or told: {past:#?}");
}
