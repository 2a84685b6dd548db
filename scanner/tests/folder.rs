//! Files of folders: which are found, what they are called, and what cannot be read.

#![expect(clippy::unwrap_used, reason = "a helper fails as its test does")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use leadsman_scanner::diagnostic::{Code, Diagnostic};
use leadsman_scanner::manifest::Limits;
use leadsman_scanner::source::folder::{FolderFiles, walk};
use leadsman_scanner::source::{Files, decode, has_mark, is_manifest_name};

fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), files);
    folder
}

fn write(folder: &Path, files: &[&str]) {
    for file in files {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("# {file}\n")).unwrap();
    }
}

fn names(found: &FolderFiles) -> Vec<&str> {
    found.files.iter().map(|file| file.name.as_str()).collect()
}

fn codes(diagnostics: &[Diagnostic]) -> Vec<(Code, &str)> {
    diagnostics.iter().map(|diagnostic| (diagnostic.code, diagnostic.file.as_str())).collect()
}

#[test]
fn manifests_are_known_by_their_endings_s1_1() {
    for (name, expected) in [
        ("a.yaml", true),
        ("a.yml", true),
        ("a.json", true),
        (".yaml", false),
        ("a.YAML", false),
        ("a.yaml.bak", false),
        ("yaml", false),
    ] {
        assert_eq!(is_manifest_name(name), expected, "{name}");
    }
}

#[test]
fn a_folder_gives_what_its_commit_would_s1_2() {
    let folder = folder(&[
        "b.yaml",
        "a.yml",
        "z/c.json",
        "z.yaml",
        "z/README.md",
        ".hidden/d.yaml",
        ".e.yaml",
        ".git/config.yaml",
        "ignored/f.yaml",
        "g.tmp.yaml",
        "nested/.git/HEAD",
        "nested/h.yaml",
        ".github/workflows/ci.yml",
    ]);
    fs::write(folder.path().join(".gitignore"), "ignored/\n*.tmp.yaml\n").unwrap();
    // Other tools' ignore files say nothing about commits.
    fs::write(folder.path().join(".ignore"), "b.yaml\n").unwrap();
    let found = walk(&[folder.path().to_owned()]);
    assert_eq!(
        names(&found),
        [".e.yaml", ".github/workflows/ci.yml", ".hidden/d.yaml", "a.yml", "b.yaml", "z.yaml", "z/c.json"]
    );
    assert_eq!(codes(&found.diagnostics), []);

    // The rules of the repository hold in its sub-folders; those of folders that are in no repository end with them.
    let below = walk(&[folder.path().join("z")]);
    assert_eq!(names(&below), ["c.json"]);
    // What is named directly is wanted, ignored or not.
    assert_eq!(names(&walk(&[folder.path().join("ignored")])), ["f.yaml"]);
    fs::remove_dir_all(folder.path().join(".git")).unwrap();
    assert!(!names(&walk(&[folder.path().to_owned()])).contains(&"g.tmp.yaml"));
}

#[test]
fn charts_are_skipped_with_all_below_them_s1_2() {
    let folder = folder(&[
        "chart/Chart.yaml",
        "chart/values.yaml",
        "chart/deep/a.yaml",
        "chart/templates/b.yaml",
        "half/Chart.yaml",
        "half/c.yaml",
        "half/templates/d.yaml",
        "templates/e.yaml",
        "values.yaml",
    ]);
    let found = walk(&[folder.path().to_owned()]);
    assert_eq!(names(&found), ["half/Chart.yaml", "half/c.yaml", "templates/e.yaml", "values.yaml"]);
    assert_eq!(codes(&found.diagnostics), [(Code::ChartSkipped, "chart"), (Code::ChartSkipped, "half/templates")]);
    let found = walk(&[folder.path().join("chart")]);
    assert_eq!(names(&found), [] as [&str; 0]);
    assert_eq!(codes(&found.diagnostics), [(Code::ChartSkipped, ".")]);
}

#[test]
fn links_are_not_followed_unless_they_are_named_s1_2() {
    let outside = folder(&["secret.yaml"]);
    let folder = folder(&["real/a.yaml"]);
    symlink(folder.path(), folder.path().join("real/circle")).unwrap();
    symlink(outside.path(), folder.path().join("out")).unwrap();
    symlink(outside.path().join("secret.yaml"), folder.path().join("secret.yaml")).unwrap();
    symlink("nowhere", folder.path().join("dangling.yaml")).unwrap();
    symlink("loop.yaml", folder.path().join("loop.yaml")).unwrap();
    let found = walk(&[folder.path().to_owned()]);
    assert_eq!(names(&found), ["real/a.yaml"]);
    assert_eq!(codes(&found.diagnostics), []);

    let named = walk(&[folder.path().join("out")]);
    assert_eq!(names(&named), ["secret.yaml"]);
    assert_eq!(named.files[0].path, folder.path().join("out/secret.yaml"));
    assert_eq!(walk(&[folder.path().join("secret.yaml")]).files.len(), 1);
    assert_eq!(walk(&[folder.path().join("loop.yaml")]).diagnostics[0].code, Code::UnreadableFile);
}

#[test]
fn several_paths_give_every_file_once_under_its_own_name() {
    let folder = folder(&["staging/a.yaml", "production/a.yaml", "production/deep/b.yaml", "notes.txt"]);
    let path = |name: &str| folder.path().join(name);
    let found =
        walk(&[path("staging"), path("production/deep"), path("production"), path("notes.txt"), path("missing")]);
    let shown = |name: &str| path(name).to_str().unwrap().to_owned();
    assert_eq!(
        names(&found),
        [shown("staging/a.yaml"), shown("production/deep/b.yaml"), shown("production/a.yaml"), shown("notes.txt")]
    );
    assert_eq!(found.files.iter().map(|file| file.root).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(codes(&found.diagnostics), [(Code::UnreadableFile, shown("missing").as_str())]);
    let same: Vec<PathBuf> = vec![path("staging"), path("staging"), path("staging/a.yaml")];
    assert_eq!(walk(&same).files.len(), 1);
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_read() {
    let folder = folder(&["a.yaml", "b.yaml", "c.yaml"]);
    fs::File::create(folder.path().join("large.yaml")).unwrap().set_len(100 * 1024 * 1024).unwrap();
    let found = walk(&[folder.path().to_owned()]);
    fs::remove_file(folder.path().join("b.yaml")).unwrap();
    let mut read = Vec::new();
    for index in 0..found.len() {
        let mut buffer = Vec::new();
        read.push((found.name(index), found.read(index, &mut buffer).map_err(|diagnostic| diagnostic.code)));
        assert!(buffer.len() < 100);
    }
    assert_eq!(
        read,
        [
            ("a.yaml", Ok(())),
            ("b.yaml", Err(Code::UnreadableFile)),
            ("c.yaml", Ok(())),
            ("large.yaml", Err(Code::LimitExceeded)),
        ]
    );
}

#[test]
fn folders_without_permission_are_told() {
    let folder = folder(&["open/a.yaml", "closed/b.yaml"]);
    let closed = folder.path().join("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let found = walk(&[folder.path().to_owned()]);
    // The superuser may read it all the same.
    if fs::read_dir(&closed).is_err() {
        assert_eq!(names(&found), ["open/a.yaml"]);
        assert_eq!(codes(&found.diagnostics), [(Code::UnreadableFile, "closed")]);
    } else {
        assert_eq!(names(&found), ["closed/b.yaml", "open/a.yaml"]);
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_limit_of_the_caller_holds_s1_4() {
    let folder = folder(&["a.yaml"]);
    let mut found = walk(&[folder.path().to_owned()]);
    found.limits = Limits { max_bytes: 3, ..Limits::default() };
    let error = found.read(0, &mut Vec::new()).unwrap_err();
    assert_eq!((error.code, error.file.as_str()), (Code::LimitExceeded, "a.yaml"));
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_place_s1_3() {
    let latin = b"a: 1\nb: \xe9t\xe9\n";
    let error = decode(latin).unwrap_err();
    assert_eq!((error.code, error.line, error.column), (Code::UnreadableFile, Some(2), Some(4)));
    for bytes in [&b"\xff\xfea\0:\0"[..], b"\xfe\xff\0a\0:"] {
        let error = decode(bytes).unwrap_err();
        assert!(error.message.contains("UTF-16"));
    }
    assert_eq!(decode("\u{feff}a: \u{e9}\n".as_bytes()).unwrap(), "\u{feff}a: \u{e9}\n");
}

#[test]
fn marks_are_searched_for_in_the_bytes_s1_3() {
    for text in ["x: fluxcd.io/y", "flux.weave.works/", "# leadsman.dev/", "helm.toolkit.fluxcd.io/v2"] {
        assert!(has_mark(text.as_bytes()), "{text}");
        let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.bytes().flat_map(|byte| [byte, 0])).collect();
        assert!(has_mark(&wide), "{text}");
    }
    for text in ["fluxcd.io", "flux.weave.work/", "FLUXCD.IO/", "", "kind: HelmRelease"] {
        assert!(!has_mark(text.as_bytes()), "{text}");
    }
}
