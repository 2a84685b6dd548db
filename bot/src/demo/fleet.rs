//! The sample fleet: a bare git repository with a handful of releases of several shapes, and the images they use.

use std::collections::BTreeMap;
use std::path::Path;

use gix::ObjectId;
use gix::objs::tree::{Entry, EntryKind};
use jiff::{SignedDuration, Timestamp};

use super::registry::SampleRegistry;

/// The host that the sample's images are named by; a mirror leads to the sample registry.
pub const HOST: &str = "registry.example.com";

/// The files of the fleet.
const FILES: &[(&str, &str)] = &[
    (".leadsman.yaml", include_str!("fleet/leadsman.yaml")),
    ("clusters/production/podinfo.yaml", include_str!("fleet/production/podinfo.yaml")),
    ("clusters/production/shop.yaml", include_str!("fleet/production/shop.yaml")),
    ("clusters/production/blog.yaml", include_str!("fleet/production/blog.yaml")),
    ("clusters/staging/podinfo.yaml", include_str!("fleet/staging/podinfo.yaml")),
    ("clusters/staging/shop.yaml", include_str!("fleet/staging/shop.yaml")),
];

/// Images: repository, tag, age in days.
const IMAGES: &[(&str, &str, i64)] = &[
    ("demo/podinfo", "6.5.0", 120),
    ("demo/podinfo", "6.5.4", 40),
    ("demo/podinfo", "6.6.0", 12),
    ("demo/podinfo", "7.0.0-rc.1", 2),
    ("shop/web", "main-4f1c2ab", 30),
    ("shop/web", "main-91d07e3", 3),
    ("shop/web", "feature-dark-mode", 1),
    ("shop/worker", "2.3.9", 60),
    ("shop/worker", "2.3.10", 9),
    ("shop/worker", "2.4.0", 1),
    ("blog/ghost", "5.80.0-alpine", 90),
    ("blog/ghost", "5.82.1-alpine", 15),
    ("blog/ghost", "5.82.1", 15),
    ("blog/mysql", "8.0.36", 200),
    ("blog/mysql", "8.4.0", 20),
];

/// Makes the fleet's repository at `path`, which must not exist, with one commit made at `now`.
///
/// # Errors
/// Where it cannot be written.
pub fn create(path: &Path, now: Timestamp) -> Result<(), gix::Error> {
    let kind = gix::create::Kind::Bare;
    let options = gix::open::Options::isolated();
    let repository =
        gix::ThreadSafeRepository::init_opts(path, kind, gix::create::Options::default(), options)?.to_thread_local();
    let tree = write_tree(&repository, &FILES.iter().copied().collect())?;
    let who = gix::actor::Signature {
        name: "Sample Author".into(),
        email: "author@example.com".into(),
        time: gix::date::Time::new(now.as_second(), 0),
    };
    let commit = repository.write_object(&gix::objs::Commit {
        tree,
        parents: std::iter::empty::<ObjectId>().collect(),
        author: who.clone(),
        committer: who,
        encoding: None,
        message: "Run podinfo, a shop and a blog\n".into(),
        extra_headers: Vec::new(),
    })?;
    let head = repository.head_name()?.map_or_else(|| "refs/heads/main".to_owned(), |name| name.to_string());
    let edit = gix::refs::transaction::RefEdit::update(
        gix::refs::FullName::try_from(head).map_err(gix::Error::from_error)?,
        commit.detach(),
        gix::refs::transaction::PreviousValue::MustNotExist,
        "sample",
    );
    repository.edit_references_as([edit], None)?;
    Ok(())
}

/// Fills the registry with what the fleet uses, and some newer images.
pub fn publish_all(registry: &SampleRegistry, now: Timestamp) {
    for (repository, tag, days) in IMAGES {
        publish(registry, repository, tag, now - SignedDuration::from_hours(24 * days));
    }
}

/// Adds one image of the fleet's makers.
pub fn publish(registry: &SampleRegistry, repository: &str, tag: &str, created: Timestamp) {
    // Whole minutes, because that is what people read.
    let created = Timestamp::from_second(created.as_second() / 60 * 60).unwrap_or(created);
    registry.publish(repository, tag, created, &format!("https://github.com/example/{}", repository.replace('/', "-")));
}

fn write_tree(repository: &gix::Repository, files: &BTreeMap<&str, &str>) -> Result<ObjectId, gix::Error> {
    let mut entries = Vec::new();
    let mut folders: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (path, text) in files {
        match path.split_once('/') {
            Some((folder, rest)) => drop(folders.entry(folder).or_default().insert(rest, text)),
            None => entries.push(Entry {
                mode: EntryKind::Blob.into(),
                filename: (*path).into(),
                oid: repository.write_blob(text)?.detach(),
            }),
        }
    }
    for (folder, files) in folders {
        let oid = write_tree(repository, &files)?;
        entries.push(Entry { mode: EntryKind::Tree.into(), filename: folder.into(), oid });
    }
    entries.sort();
    Ok(repository.write_object(gix::objs::Tree { entries })?.detach())
}
