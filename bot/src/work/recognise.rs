//! Tells an edit of ours from any other by the two texts of a file.
//!
//! Pure. Trusts no message and no author: the old text is edited again with the tags of the new one, and only if that
//! gives the new one to the byte, nothing else was done to it.

use leadsman_scanner::detect::{Container, detect};
use leadsman_scanner::edit::{Update, apply};
use leadsman_scanner::manifest;
use leadsman_scanner::reference::Digest;
use leadsman_scanner::scan::ScanOptions;

use crate::plan::{Change, Version};

/// A container that has another tag or digest in the new text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    /// The id of its workload (S1.5).
    pub workload: String,
    /// Its step.
    pub change: Change,
    /// Its filter, as written.
    pub filter: String,
}

/// The steps from the text `old` to the text `new`, if tags and digests are all that differs, and only as an edit
/// would have changed them (S7.1). None where nothing differs.
#[must_use]
pub fn recognise(old: &str, new: &str, options: &ScanOptions) -> Option<Vec<Recognised>> {
    let before = manifest::parse(old, &options.limits);
    let after = manifest::parse(new, &options.limits);
    let containers = detect(&before, &options.detect).containers;
    let targets = detect(&after, &options.detect).containers;
    if containers.len() != targets.len() {
        return None;
    }
    let mut updates = Vec::new();
    let mut recognised = Vec::new();
    for (container, target) in containers.iter().zip(&targets) {
        if container.tag == target.tag && container.digest == target.digest {
            continue;
        }
        if container.name != target.name || container.workload.id != target.workload.id {
            return None;
        }
        updates.push(Update { container, tag: target.tag.as_deref()?, digest: target.digest.as_ref() });
        recognised.push(Recognised {
            workload: container.workload.id.as_str().to_owned(),
            change: Change {
                document: container.document as usize,
                container: container.name.to_string(),
                image: container.image.as_ref()?.as_str().to_owned(),
                from: version(container)?,
                to: version(target)?,
            },
            filter: container.steering.filter.to_string(),
        });
    }
    let edited = apply(&before, &containers, &updates);
    (!updates.is_empty() && edited.refused.is_empty() && edited.text == new).then_some(recognised)
}

fn version(container: &Container) -> Option<Version> {
    let digest = container.digest.as_ref().map(Digest::as_str).map(ToOwned::to_owned);
    Some(Version { tag: container.tag.as_deref()?.to_owned(), digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ScanOptions {
        ScanOptions::new("2026-01-01T00:00:00Z".parse().unwrap())
    }

    const TEXT: &str = "kind: HelmRelease # a\nmetadata: {name: x}\nspec:\n  values:\n    image: 'q.io/a:1'\n    \
                        b: {image: q.io/b, tag: 1}\n    c: 1\n";

    #[test]
    fn an_edit_of_ours_is_known_by_its_text_s7_1() {
        let new = TEXT.replace("q.io/a:1", "q.io/a:2").replace("tag: 1", "tag: \"2\"");
        let recognised = recognise(TEXT, &new, &options()).unwrap();
        let steps: Vec<_> = recognised.iter().map(|it| (&*it.change.container, &*it.change.to.tag)).collect();
        assert_eq!(steps, [("chart-image", "2"), ("b", "2")]);
        assert!(recognised.iter().all(|it| it.workload == "default:helmrelease/x" && it.change.from.tag == "1"));
    }

    #[test]
    fn anything_more_is_a_persons_s7_1() {
        let new = TEXT.replace("q.io/a:1", "q.io/a:2");
        assert!(recognise(TEXT, &new, &options()).is_some());
        for new in [
            TEXT.to_owned(),
            new.replace("# a", "# b"),
            new.replace("c: 1", "c: 2"),
            new.replace("'q.io/a:2'", "q.io/a:2"),
            new.replace("q.io/a", "q.io/other"),
            new.replace("b: {", "d: {"),
            new.replace("tag: 1", "tag: 2"),
            format!("{new}---\n"),
            new.replace("name: x", "name: y"),
            new.replace("values:", "values: ["),
        ] {
            assert_eq!(recognise(TEXT, &new, &options()), None, "{new}");
        }
    }
}
