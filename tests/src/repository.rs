//! Git repositories for tests, made and looked at with the real `git`, isolated from whoever runs the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository with a work tree in a temporary folder, or a bare one.
pub struct Repository {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Repository {
    /// An empty repository whose first branch is `main`.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repository");
        let repository = Self { path, _folder: folder };
        std::fs::create_dir(&repository.path).unwrap();
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// A bare clone of `other`, packed.
    #[must_use]
    pub fn bare_clone_of(other: &Self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bare.git");
        let from = other.path.to_str().unwrap();
        run(folder.path(), &["clone", "--quiet", "--bare", "--no-local", from, path.to_str().unwrap()]);
        Self { path, _folder: folder }
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path beside the repository, gone with it.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self._folder.path().join(name)
    }

    /// Writes a file of the work tree, with its folders.
    pub fn write(&self, path: &str, text: &str) {
        let file = self.path.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// Commits the whole work tree and returns the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs `git` in the repository and returns what it printed, without the last line end.
    pub fn git(&self, arguments: &[&str]) -> String {
        run(&self.path, arguments)
    }

    /// The branches of Leadsman and their heads, by name.
    #[must_use]
    pub fn proposals(&self) -> Vec<(String, String)> {
        let format = "--format=%(refname:short) %(objectname)";
        let lines = self.git(&["for-each-ref", format, "refs/heads/leadsman/"]);
        lines.lines().map(|line| line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap()).collect()
    }

    /// The only branch of Leadsman and its head.
    #[must_use]
    pub fn proposal(&self) -> (String, String) {
        let mut proposals = self.proposals();
        assert_eq!(proposals.len(), 1, "{proposals:?}");
        proposals.remove(0)
    }

    /// The lines that `to` has and `from` has not (`+…`), and the other way round (`-…`), over all files.
    #[must_use]
    pub fn changed_lines(&self, from: &str, to: &str) -> Vec<String> {
        let diff = self.git(&["diff", "--no-color", "--unified=0", "--no-renames", from, to]);
        let is_change = |line: &&str| {
            (line.starts_with('+') && !line.starts_with("+++")) || (line.starts_with('-') && !line.starts_with("---"))
        };
        diff.lines().filter(is_change).map(ToOwned::to_owned).collect()
    }

    /// A print of every ref, reflog and object: the same print means that nothing was written.
    #[must_use]
    pub fn print(&self) -> String {
        let objects = self.git(&["count-objects", "--verbose"]);
        let refs = self.git(&["for-each-ref"]);
        let reflogs = self.git(&["reflog", "--all", "--date=raw"]);
        format!("{objects}\n{refs}\n{reflogs}")
    }

    /// Fails if `git fsck` finds anything wrong.
    pub fn check(&self) {
        self.git(&["fsck", "--strict", "--no-dangling", "--full"]);
    }
}

impl Default for Repository {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs `git` in `folder`, isolated from the configuration of user and system.
///
/// # Panics
/// Where it fails.
pub fn run(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "A person").env(format!("GIT_{role}_EMAIL"), "person@example.com");
        command.env(format!("GIT_{role}_DATE"), "2026-01-02T03:04:05Z");
    }
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned()
}
