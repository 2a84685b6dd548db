//! Reads the templates that a team uses in place of those that come with Leadsman.
//!
//! Reads files of known names below one folder that the configuration names. Links are followed: that is how a mounted
//! configuration looks in a cluster.

use std::collections::BTreeMap;
use std::path::Path;

use crate::output::error::CliError;

/// The largest template, in bytes.
const MAX_TEMPLATE: u64 = 256 << 10;

/// The texts below `folder` whose names are among `names`, such as `pull_request/body.md`.
///
/// # Errors
/// Where the folder is not there, or one of the files cannot be read, is too large, or is no text.
pub fn read_templates(folder: &Path, names: &[&'static str]) -> Result<BTreeMap<&'static str, String>, CliError> {
    let failed = |path: &Path, error: &std::io::Error| {
        CliError::usage(format!("could not read the template `{}`", path.display()))
            .because(error)
            .hint("the folder is named by `templates_dir`")
    };
    if !folder.is_dir() {
        return Err(failed(folder, &std::io::Error::other("it is no folder")));
    }
    let mut found = BTreeMap::new();
    for name in names {
        let path = folder.join(name);
        let about = match std::fs::metadata(&path) {
            Ok(about) => about,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(&path, &error)),
        };
        if !about.is_file() {
            return Err(failed(&path, &std::io::Error::other("it is no file")));
        }
        if about.len() > MAX_TEMPLATE {
            return Err(failed(&path, &std::io::Error::other("it is larger than 256 KiB")));
        }
        found.insert(*name, std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Look;

    #[test]
    fn templates_are_read_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pull_request")).unwrap();
        std::fs::write(folder.path().join("pull_request/body.md"), "mine").unwrap();
        std::fs::write(folder.path().join("other.md"), "not asked for").unwrap();
        let found = read_templates(folder.path(), &["pull_request/body.md", "commit.txt"]).unwrap();
        assert_eq!(found, BTreeMap::from([("pull_request/body.md", "mine".to_owned())]));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let error = |folder: &Path| read_templates(folder, &["commit.txt"]).unwrap_err().render(Look::PLAIN);
        assert!(error(&folder.path().join("gone")).contains("it is no folder"));
        let path = folder.path().join("commit.txt");
        std::fs::write(&path, [0xff]).unwrap();
        assert!(error(folder.path()).contains("commit.txt"));
        std::fs::write(&path, "x".repeat(300 << 10)).unwrap();
        assert!(error(folder.path()).contains("larger than 256 KiB"));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(error(folder.path()).contains("it is no file"));
    }
}
