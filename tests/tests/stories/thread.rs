//! The thread itself: found, opened, moved on, merged when green, nothing left to do.

use leadsman::forge::RepositoryName;
use leadsman::server::webhooks::parse::Wake;
use leadsman::store::inbox::Delivery;

use crate::world::{FILE, On, World, release};

pub(crate) async fn from_an_image_to_a_merge(on: On) {
    // Without a configuration of its own: as most begin.
    let world = World::with(on, "thread", &[], "").await;
    world.work().await;
    let first = world.only().await;
    assert!(first.title.contains("6.1.0"), "{}", first.title);
    assert!(first.branch.starts_with("leadsman/web-podinfo-"), "{}", first.branch);
    let host = world.registry.host();
    assert_eq!(world.text(&first.branch, FILE), release(&host, "6.1.0"), "one line and nothing else");

    // Nothing changed: nothing is done.
    drop(world.faults.writes());
    for _ in 0..2 {
        world.look().await;
    }
    assert_eq!(world.faults.writes(), [""; 0]);
    assert_eq!(world.open().await, std::slice::from_ref(&first));

    // A newer image: the same pull request moves on.
    world.image_was_pushed("6.2.0").await;
    let moved = world.only().await;
    assert_eq!((moved.number, &moved.branch), (first.number, &first.branch));
    assert_ne!(moved.head, first.head);
    assert!(moved.title.contains("6.2.0"), "{}", moved.title);
    assert_eq!(world.text(&first.branch, FILE), release(&host, "6.2.0"));

    // No check is expected: it waits for the head to settle, says so, and merges then (C3.2).
    let told = world.answer(first.number, "/merge").await;
    assert!(told.contains("Merging"), "{told}");
    assert_eq!(world.open().await.len(), 1);
    world.advance(3700);
    world.look().await;
    assert_eq!(world.open().await, [], "{:#?}", world.said(first.number).await);
    assert_eq!(world.text("main", FILE), release(&host, "6.2.0"));
    assert!(!world.has(&first.branch), "C3.6");
    let said = world.said(first.number).await;
    assert_eq!(said.len(), 1, "one comment, kept up to date: {said:#?}");
    assert!(said[0].contains("Merged"), "{said:#?}");

    // And again: nothing.
    drop(world.faults.writes());
    let history = world.history();
    world.look().await;
    world.look().await;
    assert_eq!(world.faults.writes(), [""; 0]);
    assert_eq!((world.open().await.len(), world.history()), (0, history));
}

/// A delivery that says that 6.2.0 was pushed, and one about a repository that nobody watches.
fn deliveries(world: &World) -> [Vec<u8>; 2] {
    let pushed = Wake::Image {
        host: world.registry.host(),
        repository: "demo/podinfo".into(),
        tag: Some("6.2.0".into()),
        digest: None,
    };
    let other = Wake::Repository { host: "git.example.com".into(), name: RepositoryName("nobody/here".into()) };
    [serde_json::to_vec(&[pushed]).unwrap(), serde_json::to_vec(&[other]).unwrap()]
}

pub(crate) async fn images_told_of_never_or_often(on: On) {
    for times in [0, 1, 5] {
        let (world, first) = World::begun(on, &format!("deliveries-{times}")).await;
        let [pushed, other] = deliveries(&world);
        // They may come before the image can be seen, and again after it.
        for count in 0..times {
            if count == 1 {
                world.work().await;
                world.push("6.2.0");
            }
            for (payload, name) in [(&other, "other"), (&pushed, "pushed")] {
                let id = format!("{name}-{count}");
                let delivery = Delivery { source: "zot", id: Some(&id), kind: "push", payload };
                for _ in 0..2 {
                    world.service.store.receive(delivery, world.now()).await.unwrap();
                }
            }
        }
        if times < 2 {
            world.push("6.2.0");
        }
        world.work().await;
        if times < 2 {
            // Nobody told of it in time: it is found by the next look of its own.
            world.advance(3 * 3600);
            world.work().await;
        }
        let moved = world.only().await;
        assert_eq!((moved.number, world.tag(&moved.branch).as_str()), (first.number, "6.2.0"), "{times} times");
        assert_eq!(world.said(moved.number).await, [""; 0]);
        assert_eq!(world.history(), 1);
    }
}
