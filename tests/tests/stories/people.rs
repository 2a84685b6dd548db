//! What people do on the forge's own pages, and with git.

use leadsman::forge::PullState;
use serde_json::json;

use crate::world::{FILE, On, Stage, World, release};

pub(crate) async fn closed_by_hand(on: On) {
    let (world, pull) = World::begun(on, "closed").await;
    world.set_open(&pull, false).await;
    for _ in 0..2 {
        world.look().await;
        assert_eq!(world.open().await, []);
    }
    world.set_open(&pull, true).await;
    world.look().await;
    let again = world.only().await;
    assert_eq!((again.number, again.head), (pull.number, pull.head));
    world.image_was_pushed("6.2.0").await;
    assert_eq!((world.only().await.number, world.tag(&pull.branch).as_str()), (pull.number, "6.2.0"));

    // The branch is deleted.
    match &world.stage {
        Stage::Local(repository) => drop(repository.git(&["branch", "-D", &pull.branch])),
        Stage::Gitea { server, name, person } => {
            let branch = pull.branch.replace('/', "%2F");
            server.call(person, "DELETE", &format!("/repos/{name}/branches/{branch}"), &json!(null));
        }
    }
    for _ in 0..2 {
        world.look().await;
        assert_eq!(world.open().await, [], "6.2.0 was declined");
    }
    world.image_was_pushed("6.3.0").await;
    let next = world.only().await;
    assert_ne!(next.number, pull.number);
    assert_eq!(world.tag(&next.branch), "6.3.0");
}

pub(crate) async fn merged_by_hand_and_reverted(on: On) {
    let (world, pull) = World::begun(on, "by-hand").await;
    match &world.stage {
        Stage::Local(_) => world.commit("main", FILE, &release(&world.registry.host(), "6.1.0")),
        Stage::Gitea { server, name, person } => {
            let path = format!("/repos/{name}/pulls/{}/merge", pull.number);
            let body = json!({ "Do": "squash", "head_commit_id": pull.head.to_string() });
            // Until the forge has worked out that it can be.
            let merged = (0..50).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(100));
                server.try_call(person, "POST", &path, &body).unwrap().0 == 200
            });
            assert!(merged);
        }
    }
    world.look().await;
    world.look().await;
    assert_eq!(world.open().await, []);
    assert_eq!(world.state(pull.number).await, PullState::Merged);
    assert!(!world.has(&pull.branch));

    // Taken back: it was tried and found wanting, so it is not proposed again.
    world.commit("main", FILE, &release(&world.registry.host(), "6.0.0"));
    for _ in 0..3 {
        world.look().await;
        assert_eq!(world.open().await, []);
    }
    world.image_was_pushed("6.2.0").await;
    let next = world.only().await;
    assert_ne!(next.number, pull.number);
    assert_eq!(world.tag(&next.branch), "6.2.0");
}

pub(crate) async fn texts_edited_by_hand(on: On) {
    let (world, pull) = World::begun(on, "texts").await;
    let Stage::Gitea { server, name, person } = &world.stage else { panic!("it needs pages") };
    let path = format!("/repos/{name}/pulls/{}", pull.number);
    let edit = |body: String| drop(server.call(person, "PATCH", &path, &json!({ "body": body })));
    // Below ours it is kept, also when ours changes.
    edit(format!("{}\n\nSeen by the night shift.\n", pull.body));
    world.look().await;
    assert!(world.only().await.body.contains("night shift"));
    world.image_was_pushed("6.2.0").await;
    let moved = world.only().await;
    assert!(moved.body.contains("night shift") && moved.body.contains("6.2.0"), "{}", moved.body);
    // Ours is put back.
    edit(moved.body.replace("6.2.0", "6.9.9"));
    world.look().await;
    let mended = world.only().await.body;
    assert_eq!(mended.trim_end(), moved.body.trim_end());
    // And then it is left alone.
    drop(world.faults.writes());
    world.look().await;
    assert_eq!(world.faults.writes(), [""; 0]);
}
