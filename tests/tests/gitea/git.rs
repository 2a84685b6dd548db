//! Mirrors and pushes, against the real forge.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gix::ObjectId;
use leadsman::forge::commit::Base;
use leadsman::forge::mirror::{Fetched, Mirror, MirrorError, Remote};
use leadsman::forge::push::{PushOutcome, push};
use leadsman::forge::{BranchMove, ErrorKind};
use leadsman_scanner::source::Files as _;
use leadsman_scanner::source::commit::CommitFiles;
use leadsman_tests::gitea::Gitea;
use leadsman_tests::registry::http::{Answer, Server, reply};
use leadsman_tests::repository::run;
use serde_json::json;

use super::{BRANCH, id};

fn remote(server: &Gitea, repository: &str) -> Remote {
    Remote::new(server.clone_url(repository).parse().unwrap(), server.bot.token.clone().into())
}

/// A mirror in a folder of its own, which is gone with the first.
fn mirror(server: &Gitea, repository: &str) -> (tempfile::TempDir, Mirror) {
    let folder = tempfile::tempdir().unwrap();
    let mirror = Mirror::open_or_make(&folder.path().join("fleet.git"), remote(server, repository)).unwrap();
    (folder, mirror)
}

async fn fetch(mirror: &Mirror, base: &str) -> Result<Fetched, MirrorError> {
    let (folder, remote, base) = (mirror.folder().to_owned(), mirror.remote().clone(), base.to_owned());
    tokio::task::spawn_blocking(move || Mirror::open_or_make(&folder, remote)?.fetch(&base)).await.unwrap()
}

fn step(branch: &str, from: Option<ObjectId>, to: Option<ObjectId>) -> BranchMove {
    BranchMove { branch: branch.into(), from, to, why: "test".into() }
}

/// A commit on `base` that sets the tag in `app.yaml`.
fn proposal(mirror: &Mirror, base: ObjectId, tag: &str) -> ObjectId {
    let repository = mirror.repository().unwrap();
    let base = Base::read(&repository, base).unwrap();
    base.commit(&repository, "app.yaml", format!("tag: {tag}\n").as_bytes(), "Update\n").unwrap()
}

async fn pushed(mirror: &Mirror, moves: &[BranchMove]) -> Vec<PushOutcome> {
    push(mirror.folder(), mirror.remote(), moves).await.unwrap()
}

const FILES: [(&str, &str); 2] = [("app.yaml", "tag: 1.0.0\n"), ("deep/er/other.yaml", "x: 1\n")];

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_read_committed_to_and_pushed_from() {
    let server = Gitea::shared();
    let full = server.repository("mirrored", &FILES);
    for number in 0..10 {
        server.commit(&server.admin, &full, "main", "History", &[("deep/er/other.yaml", &format!("x: {number}\n"))]);
    }
    let (_folder, mirror) = mirror(&server, &full);
    let fetched = fetch(&mirror, "main").await.unwrap();
    assert_eq!(Some(fetched.base.to_string()), server.head(&full, "main"));
    assert!(fetched.branches.is_empty());
    // Shallow: three commits of eleven.
    assert_eq!(run(mirror.folder(), &["rev-list", "--count", "main"]), "3");
    let repository = mirror.repository().unwrap();
    let files = CommitFiles::list(&repository, fetched.base).unwrap();
    let mut text = Vec::new();
    files.read(1, &mut text).unwrap();
    assert_eq!((files.len(), text.as_slice()), (2, b"x: 9\n".as_slice()));

    let new = proposal(&mirror, fetched.base, "1.1.0");
    assert_eq!(pushed(&mirror, &[step(BRANCH, None, Some(new))]).await, [PushOutcome::Moved]);
    assert_eq!(server.head(&full, BRANCH), Some(new.to_string()));
    assert_eq!(server.file(&full, BRANCH, "app.yaml"), "tag: 1.1.0\n");
    // The same again finds it done.
    assert_eq!(pushed(&mirror, &[step(BRANCH, None, Some(new))]).await, [PushOutcome::Moved]);

    // The base moves on; the branch is moved in one step from where it was.
    server.commit(&server.admin, &full, "main", "More", &[("more.yaml", "x: 1\n")]);
    let fetched = fetch(&mirror, "main").await.unwrap();
    assert_eq!(fetched.branches.get(BRANCH), Some(&new));
    let newer = proposal(&mirror, fetched.base, "1.2.0");
    assert_eq!(pushed(&mirror, &[step(BRANCH, Some(new), Some(newer))]).await, [PushOutcome::Moved]);
    assert_eq!(server.head(&full, BRANCH), Some(newer.to_string()));

    // Deleted from where it is only, and once.
    assert_eq!(pushed(&mirror, &[step(BRANCH, Some(new), None)]).await, [PushOutcome::Stale]);
    assert_eq!(pushed(&mirror, &[step(BRANCH, Some(newer), None)]).await, [PushOutcome::Moved]);
    // One that is gone holds no other up.
    let other = "leadsman/other-22222222";
    let moves = [step(BRANCH, Some(newer), None), step(other, None, Some(newer))];
    assert_eq!(pushed(&mirror, &moves).await, [PushOutcome::Stale, PushOutcome::Moved]);
    assert_eq!(server.head(&full, BRANCH), None);
    assert_eq!(pushed(&mirror, &[step(other, Some(newer), None)]).await, [PushOutcome::Moved]);
    assert!(fetch(&mirror, "main").await.unwrap().branches.is_empty());
    assert_eq!(run(mirror.folder(), &["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_push_between_read_and_push_survives() {
    let server = Gitea::shared();
    let full = server.repository("raced", &FILES);
    let (_folder, mirror) = mirror(&server, &full);
    let base = fetch(&mirror, "main").await.unwrap().base;
    let first = proposal(&mirror, base, "1.1.0");
    let other = "leadsman/other-11111111";
    assert_eq!(
        pushed(&mirror, &[step(BRANCH, None, Some(first)), step(other, None, Some(first))]).await,
        [PushOutcome::Moved, PushOutcome::Moved]
    );
    let theirs = server.commit(&server.admin, &full, BRANCH, "Mine", &[("mine.yaml", "x: 1\n")]);
    let second = proposal(&mirror, base, "1.2.0");
    // One of two was moved by a person: it stays, the other moves on.
    let moves = [step(BRANCH, Some(first), Some(second)), step(other, Some(first), Some(second))];
    assert_eq!(pushed(&mirror, &moves).await, [PushOutcome::Stale, PushOutcome::Moved]);
    assert_eq!(server.head(&full, BRANCH), Some(theirs.clone()));
    assert_eq!(server.head(&full, other), Some(second.to_string()));
    // One that must not exist and does.
    assert_eq!(pushed(&mirror, &[step(BRANCH, None, Some(second))]).await, [PushOutcome::Stale]);

    // What the person put on top is told apart: its parent is ours, with its tree.
    let fetched = fetch(&mirror, "main").await.unwrap();
    assert_eq!(fetched.branches[BRANCH], id(&theirs));
    let repository = mirror.repository().unwrap();
    let parents: Vec<_> = repository.find_commit(id(&theirs)).unwrap().parent_ids().map(gix::Id::detach).collect();
    assert_eq!(parents, [first]);
    assert!(repository.find_commit(first).unwrap().tree().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_mirror_holds_our_commit_and_the_one_below_it() {
    let server = Gitea::shared();
    let full = server.repository("fresh", &FILES);
    let (_folder, first) = mirror(&server, &full);
    let base = fetch(&first, "main").await.unwrap().base;
    let ours = proposal(&first, base, "1.1.0");
    pushed(&first, &[step(BRANCH, None, Some(ours))]).await;
    for number in 0..5 {
        server.commit(&server.admin, &full, "main", "On", &[("on.yaml", &format!("x: {number}\n"))]);
    }
    let theirs = server.commit(&server.admin, &full, BRANCH, "Mine", &[("mine.yaml", "x: 1\n")]);
    let (_folder, second) = mirror(&server, &full);
    let fetched = fetch(&second, "main").await.unwrap();
    assert_eq!(fetched.branches[BRANCH], id(&theirs));
    let repository = second.repository().unwrap();
    for commit in [id(&theirs), ours, base] {
        assert!(repository.find_commit(commit).unwrap().tree().is_ok(), "{commit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_branch_is_refused_with_the_reason() {
    let server = Gitea::shared();
    let full = server.repository("protected", &FILES);
    let (_folder, mirror) = mirror(&server, &full);
    let base = fetch(&mirror, "main").await.unwrap().base;
    server.protect(&full, "leadsman/protected-*", &json!({ "enable_push": false }));
    let new = proposal(&mirror, base, "1.1.0");
    let moves = [step("leadsman/protected-1", None, Some(new)), step("leadsman/free-1", None, Some(new))];
    let outcomes = pushed(&mirror, &moves).await;
    // Gitea's hook refuses all or nothing.
    assert!(matches!(&outcomes[0], PushOutcome::Refused(why) if why.contains("protected")), "{outcomes:?}");
    assert_eq!(server.head(&full, "leadsman/protected-1"), None);
    let outcomes = pushed(&mirror, &[step("leadsman/free-1", None, Some(new))]).await;
    assert_eq!(outcomes, [PushOutcome::Moved]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_or_pushed_is_told_apart() {
    let server = Gitea::shared();
    let full = server.repository("told-apart", &FILES);
    let (folder, good) = mirror(&server, &full);
    let base = fetch(&good, "main").await.unwrap().base;
    let new = proposal(&good, base, "1.1.0");
    let moves = [step(BRANCH, None, Some(new))];
    let at = |name: &str, remote: Remote| Mirror::open_or_make(&folder.path().join(name), remote).unwrap();
    let kind = |error: MirrorError| match error {
        MirrorError::Forge(error) => error.kind,
        other => panic!("{other}"),
    };

    let token = "0123456789012345678901234567890123456789".to_owned();
    let wrong = Remote { token: token.clone().into(), ..remote(&server, &full) };
    let error = fetch(&at("wrong.git", wrong.clone()), "main").await.unwrap_err();
    assert!(!error.to_string().contains(&token), "{error}");
    assert_eq!(kind(error), ErrorKind::Unauthorized);
    let error = push(good.folder(), &wrong, &moves).await.unwrap_err();
    assert!(!error.to_string().contains(&token), "{error}");
    assert_eq!(error.kind, ErrorKind::Unauthorized, "{error}");

    let missing = remote(&server, "owner/there-is-none");
    assert_eq!(kind(fetch(&at("missing.git", missing.clone()), "main").await.unwrap_err()), ErrorKind::NotFound);
    // Gitea takes this push for the wish to make a repository.
    assert_eq!(push(good.folder(), &missing, &moves).await.unwrap_err().kind, ErrorKind::Forbidden);

    let reader = Remote { token: server.reader.token.clone().into(), ..remote(&server, &full) };
    let outcomes = push(good.folder(), &reader, &moves).await.unwrap();
    assert!(matches!(&outcomes[0], PushOutcome::Refused(why) if why.contains("permission")), "{outcomes:?}");

    let error = fetch(&good, "no/such").await.unwrap_err();
    assert!(matches!(&error, MirrorError::NoBranch { branch, .. } if branch == "no/such"), "{error}");
    let error = fetch(&good, "not a branch").await.unwrap_err();
    assert!(matches!(error, MirrorError::NoBranch { .. }), "{error}");
    let empty = server.empty_repository("told-apart-empty");
    let error = fetch(&at("empty.git", remote(&server, &empty)), "main").await.unwrap_err();
    assert!(matches!(error, MirrorError::NoBranch { .. }), "{error}");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Remote { url: format!("http://{nobody}/a/b.git").parse().unwrap(), ..remote(&server, &full) };
    assert_eq!(kind(fetch(&at("nobody.git", nobody.clone()), "main").await.unwrap_err()), ErrorKind::Unavailable);
    assert_eq!(push(good.folder(), &nobody, &moves).await.unwrap_err().kind, ErrorKind::Unavailable);

    server.call(&server.admin, "PATCH", &format!("/repos/{full}"), &json!({ "archived": true }));
    let error = push(good.folder(), good.remote(), &moves).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden, "{error}");
    fetch(&good, "main").await.unwrap();

    let plain = Remote { url: "http://git.example.com/a/b.git".parse().unwrap(), ..remote(&server, &full) };
    assert_eq!(push(good.folder(), &plain, &moves).await.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(kind(Mirror::open_or_make(&folder.path().join("plain.git"), plain).unwrap_err()), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_mirror_is_fetched_anew() {
    let server = Gitea::shared();
    let full = server.repository("damaged", &FILES);
    let (_folder, mirror) = mirror(&server, &full);
    let fetched = fetch(&mirror, "main").await.unwrap();
    let folder = mirror.folder().to_owned();
    let packs = || -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder.join("objects/pack")).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "pack"))
            .collect()
    };
    let damage: [(&str, &dyn Fn()); 5] = [
        ("no HEAD", &|| std::fs::remove_file(folder.join("HEAD")).unwrap()),
        ("no packs", &|| std::fs::remove_dir_all(folder.join("objects/pack")).unwrap()),
        ("empty pack", &|| {
            packs().iter().for_each(|pack| {
                std::fs::remove_file(pack).unwrap();
                std::fs::write(pack, "").unwrap();
            })
        }),
        ("broken ref", &|| std::fs::write(folder.join("refs/heads/main"), "junk\n").unwrap()),
        ("broken boundary", &|| std::fs::write(folder.join("shallow"), "junk\n").unwrap()),
    ];
    for (what, damage) in damage {
        damage();
        assert_eq!(fetch(&mirror, "main").await.unwrap(), fetched, "{what}");
        run(mirror.folder(), &["fsck", "--no-dangling"]);
    }
    let left: Vec<_> = std::fs::read_dir(folder.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["fleet.git"]);
    mirror.discard().unwrap();
    assert_eq!(fetch(&mirror, "main").await.unwrap(), fetched);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_too_large_is_refused() {
    let server = Gitea::shared();
    // What does not compress.
    let mut seed = 1_u64;
    let noise: String = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + u8::try_from((seed >> 33) % 90).unwrap())
    })
    .take(400_000)
    .collect();
    let full = server.repository("large", &[("noise.txt", &noise)]);
    let folder = tempfile::tempdir().unwrap();
    let small = Remote { max_size: 100_000, ..remote(&server, &full) };
    let mirror = Mirror::open_or_make(&folder.path().join("large.git"), small).unwrap();
    let error = fetch(&mirror, "main").await.unwrap_err();
    assert!(matches!(error, MirrorError::TooLarge { limit: 100_000, .. }), "{error}");
    let fits = Mirror::open_or_make(&folder.path().join("fits.git"), remote(&server, &full)).unwrap();
    fetch(&fits, "main").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_hangs_or_lies_is_left_in_time() {
    let server = Gitea::shared();
    let full = server.repository("patient", &FILES);
    let (folder, good) = mirror(&server, &full);
    let base = fetch(&good, "main").await.unwrap().base;
    let new = proposal(&good, base, "1.1.0");
    let moves = [step(BRANCH, None, Some(new))];
    let other = Server::start(|_, _| reply(200, &[], "elsewhere")).await.unwrap();
    let elsewhere = format!("http://{}/a/b.git/info/refs?service=git-upload-pack", other.address);
    let answers = [
        ("hangs", Answer::SendAndHang(b"HTTP/1.1 200 OK\r\n".to_vec()), ErrorKind::Unavailable),
        (
            "junk",
            reply(200, &[("Content-Type", "application/x-git-upload-pack-advertisement")], "junk"),
            ErrorKind::Protocol,
        ),
        ("page", reply(200, &[], "<html>Sign in</html>"), ErrorKind::Protocol),
        ("redirect", reply(302, &[("Location", &elsewhere)], ""), ErrorKind::Protocol),
        ("broken", reply(502, &[], ""), ErrorKind::Unavailable),
    ];
    for (what, answer, kind) in answers {
        let liar = Server::start(move |_, _| answer.clone()).await.unwrap();
        let url = format!("http://{}/a/b.git", liar.address).parse().unwrap();
        let remote = Remote { url, timeout: Duration::from_secs(1), ..remote(&server, &full) };
        let mirror = Mirror::open_or_make(&folder.path().join(format!("{what}.git")), remote.clone()).unwrap();
        let started = std::time::Instant::now();
        match fetch(&mirror, "main").await.unwrap_err() {
            MirrorError::Forge(error) => assert_eq!(error.kind, kind, "{what}: {error}"),
            error => panic!("{what}: {error}"),
        }
        let error = push(good.folder(), &remote, &moves).await.unwrap_err();
        // Git goes on asking some of them in an older way, until its time is up.
        assert!(matches!(error.kind, ErrorKind::Protocol | ErrorKind::Unavailable), "{what}: {error}");
        assert!(started.elapsed() < Duration::from_secs(8), "{what}");
        // The token went to nobody who was not asked.
        assert!(other.seen().is_empty(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_left_and_none_is_in_an_argument_or_the_environment() {
    let server = Gitea::shared();
    let full = server.repository("secretive", &FILES);
    let (folder, mirror) = mirror(&server, &full);
    let base = fetch(&mirror, "main").await.unwrap().base;
    let new = proposal(&mirror, base, "1.1.0");
    // A server that never answers lets git be looked at while it runs.
    let hanging = Server::start(|_, _| Answer::SendAndHang(Vec::new())).await.unwrap();
    let url = format!("http://{}/secretive/b.git", hanging.address);
    let remote = Remote { url: url.parse().unwrap(), timeout: Duration::from_secs(2), ..remote(&server, &full) };
    let (git_dir, moves, token) =
        (mirror.folder().to_owned(), [step(BRANCH, None, Some(new))], server.bot.token.clone());
    let running = tokio::spawn(async move { push(&git_dir, &remote, &moves).await });
    let found = tokio::task::spawn_blocking(move || looked_at(&url, &token)).await.unwrap();
    assert!(found >= 2, "git and its helper were not seen, only {found}");
    assert_eq!(running.await.unwrap().unwrap_err().kind, ErrorKind::Unavailable);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(processes(&hanging.address.to_string()).len(), 0, "git runs on");
    for file in files_below(folder.path()) {
        let text = std::fs::read(&file).unwrap();
        let found = text.windows(server.bot.token.len()).any(|window| window == server.bot.token.as_bytes());
        assert!(!found, "the token is in {}", file.display());
    }
}

/// The running processes that name `word` in their arguments.
fn processes(word: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let names = |path: &PathBuf| {
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        path.join("cmdline").exists() && String::from_utf8_lossy(&line).contains(word)
    };
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().parse::<u32>().is_ok()).filter(names).collect()
}

/// Waits for the processes that push to `url` and looks for the token in what others can see of them.
fn looked_at(url: &str, token: &str) -> usize {
    let mut most = 0;
    for _ in 0..100 {
        let found = processes(url);
        for process in &found {
            for file in ["cmdline", "environ"] {
                let text = std::fs::read(process.join(file)).unwrap_or_default();
                assert!(!String::from_utf8_lossy(&text).contains(token), "{file} of {}", process.display());
            }
        }
        most = most.max(found.len());
        std::thread::sleep(Duration::from_millis(10));
    }
    most
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}
