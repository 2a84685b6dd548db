//! Files on disk are old or new, never anything between (S7.5).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use leadsman_scanner::source::write::{Fingerprint, WriteError, Writer, is_temporary, sweep};
use tempfile::TempDir;

const OLD: &str = "tag: 1.0.0\r\n";
const NEW: &str = "tag: 1.0.1\r\n";

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn file(folder: &TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, OLD).unwrap();
    path
}

fn old() -> Fingerprint {
    Fingerprint::of(OLD.as_bytes())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Replaces one file, with a writer of its own.
fn replace(tree: &Path, path: &Path) -> Result<(), WriteError> {
    let writer = Writer::new(tree);
    let result = writer.replace(path, old(), NEW);
    let errors = writer.finish();
    assert!(errors.is_empty(), "{errors:?}");
    result
}

#[test]
fn a_file_is_replaced_and_its_mode_kept_s7_5() {
    let folder = folder();
    for mode in [0o600, 0o644, 0o755, 0o664, 0o444] {
        let path = file(&folder, &format!("{mode:o}.yaml"));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let before = fs::metadata(&path).unwrap();
        replace(folder.path(), &path).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), NEW);
        assert_eq!(after.mode(), before.mode());
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
        assert_ne!(after.ino(), before.ino(), "written in place");
    }
    assert!(names(folder.path()).iter().all(|name| name.ends_with(".yaml")), "{:?}", names(folder.path()));
}

#[test]
fn the_owner_is_kept_where_that_is_allowed_s7_5() {
    let folder = folder();
    let path = file(&folder, "a.yaml");
    if std::os::unix::fs::chown(&path, Some(1234), Some(1235)).is_err() {
        // Only the superuser may give files away: then there is no foreign owner to keep.
        return;
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o2750)).unwrap();
    replace(folder.path(), &path).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.uid(), after.gid(), after.mode() & 0o7777), (1234, 1235, 0o2750));
}

#[test]
fn a_file_that_changed_since_it_was_read_is_left_alone_s7_5() {
    let folder = folder();
    for changed in ["tag: 2.0.0\r\n", "", "tag: 1.0.0\r\nmore: of it\r\n"] {
        let path = file(&folder, "a.yaml");
        fs::write(&path, changed).unwrap();
        let error = replace(folder.path(), &path).unwrap_err();
        assert!(matches!(error, WriteError::Changed { .. }), "{error:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), changed);
    }
    fs::remove_file(folder.path().join("a.yaml")).unwrap();
    let error = replace(folder.path(), &folder.path().join("a.yaml")).unwrap_err();
    assert!(matches!(error, WriteError::Changed { .. }), "{error:?}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_link_stays_a_link_and_its_target_is_replaced_s7_5() {
    let folder = folder();
    fs::create_dir(folder.path().join("real")).unwrap();
    let target = file(&folder, "real/a.yaml");
    let link = folder.path().join("link.yaml");
    symlink("real/a.yaml", &link).unwrap();
    replace(folder.path(), &link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(target).unwrap(), NEW);
}

#[test]
fn a_link_out_of_the_tree_is_refused_s7_5() {
    let (folder, outside) = (folder(), folder());
    let target = file(&outside, "a.yaml");
    let link = folder.path().join("a.yaml");
    symlink(&target, &link).unwrap();
    let error = replace(folder.path(), &link).unwrap_err();
    assert!(matches!(error, WriteError::OutsideTree { .. }), "{error:?}");
    assert!(error.to_string().contains("name the target itself"), "{error}");
    assert_eq!(fs::read_to_string(target).unwrap(), OLD);
    let circle = folder.path().join("circle.yaml");
    symlink("circle.yaml", &circle).unwrap();
    assert!(replace(folder.path(), &circle).is_err());
}

#[test]
fn a_file_with_several_names_and_what_is_no_file_are_refused_s7_5() {
    let folder = folder();
    let path = file(&folder, "a.yaml");
    fs::hard_link(&path, folder.path().join("b.yaml")).unwrap();
    let error = replace(folder.path(), &path).unwrap_err();
    assert!(matches!(error, WriteError::HardLinked { links: 2, .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), OLD);
    let error = replace(folder.path(), folder.path()).unwrap_err();
    assert!(matches!(error, WriteError::NotAFile { .. }), "{error:?}");
    assert_eq!(names(folder.path()), ["a.yaml", "b.yaml"]);
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_s7_5() {
    let folder = folder();
    let path = file(&folder, "a.yaml");
    let keep = [".leadsman-x.yaml", ".leadsman.yaml", "leadsman-x.tmp"];
    for name in keep.iter().chain(&[".leadsman-abc.tmp", ".leadsman-def.tmp"]) {
        fs::write(folder.path().join(name), "half").unwrap();
    }
    let running = folder.path().join(".leadsman-running.tmp");
    let lock = fs::File::create(&running).unwrap();
    lock.lock().unwrap();
    replace(folder.path(), &path).unwrap();
    assert_eq!(
        names(folder.path()),
        [".leadsman-running.tmp", ".leadsman-x.yaml", ".leadsman.yaml", "a.yaml", "leadsman-x.tmp"]
    );
    drop(lock);
    assert_eq!(sweep(folder.path()).unwrap(), 1);
    assert!(!running.exists());
    assert!(is_temporary(".leadsman-abc.tmp") && !is_temporary(".leadsman-abc.yaml"));
}

#[test]
fn many_threads_share_a_writer_s7_5() {
    let folder = folder();
    let paths: Vec<_> = (0..400).map(|n| file(&folder, &format!("{n}.yaml"))).collect();
    let writer = Writer::new(folder.path());
    std::thread::scope(|scope| {
        for chunk in paths.chunks(50) {
            let writer = &writer;
            scope.spawn(move || {
                for path in chunk {
                    writer.replace(path, old(), NEW).unwrap();
                }
            });
        }
    });
    // One that is named twice has changed by then.
    let again = writer.replace(&paths[0], old(), NEW);
    assert!(matches!(again, Err(WriteError::Changed { .. })), "{again:?}");
    assert!(writer.finish().is_empty());
    assert!(paths.iter().all(|path| fs::read_to_string(path).unwrap() == NEW));
    assert_eq!(names(folder.path()).len(), paths.len());
}

/// Not a test of its own: what the tests below run in a process that may be killed. Replaces every file of the folder,
/// endlessly if asked.
#[test]
fn child_that_replaces_files() {
    let Some(folder) = std::env::var_os("LEADSMAN_TEST_FOLDER").map(PathBuf::from) else { return };
    let endless = std::env::var_os("LEADSMAN_TEST_ENDLESS").is_some();
    let mut texts = [big('a'), big('b')];
    loop {
        let writer = Writer::new(&folder);
        let read = Fingerprint::of(texts[0].as_bytes());
        for name in names(&folder).iter().filter(|name| name.ends_with(".yaml")) {
            if let Err(error) = writer.replace(&folder.join(name), read.clone(), &texts[1]) {
                println!("error: {error}");
                std::process::exit(3);
            }
        }
        assert!(writer.finish().is_empty());
        texts.swap(0, 1);
        if !endless {
            return;
        }
    }
}

const FILES: usize = 8;

fn big(c: char) -> String {
    String::from(c).repeat(16 * 1024)
}

fn child(folder: &Path, shell: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{shell} exec \"$0\" --exact child_that_replaces_files --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env("LEADSMAN_TEST_FOLDER", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

#[test]
fn a_full_disk_leaves_the_old_file_s7_5() {
    // With the limit's signal ignored a write fails in the middle, as on a full disk.
    let folder = folder();
    let path = folder.path().join("a.yaml");
    fs::write(&path, big('a')).unwrap();
    let output = child(folder.path(), "trap '' XFSZ; ulimit -f 4;").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("no room to write") && said.contains("stays as it was"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), big('a'));
    assert_eq!(names(folder.path()), ["a.yaml"]);
}

#[test]
fn killed_at_any_point_a_file_is_old_or_new_s7_5() {
    let folder = folder();
    let mut replaced = 0;
    for run in 0_u64..30 {
        for n in 0..FILES {
            fs::write(folder.path().join(format!("{n}.yaml")), big('a')).unwrap();
        }
        let first = folder.path().join("0.yaml");
        let inode = fs::metadata(&first).unwrap().ino();
        let mut child = child(folder.path(), "").env("LEADSMAN_TEST_ENDLESS", "1").spawn().unwrap();
        while fs::metadata(&first).unwrap().ino() == inode {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_micros(run * 397 % 5_000));
        child.kill().unwrap();
        child.wait().unwrap();
        for n in 0..FILES {
            let text = fs::read_to_string(folder.path().join(format!("{n}.yaml"))).unwrap();
            assert!(text == big('a') || text == big('b'), "{n}.yaml is neither old nor new after run {run}");
            replaced += usize::from(text == big('b'));
        }
        let leftovers = names(folder.path()).iter().filter(|name| is_temporary(name)).count();
        assert!(leftovers <= 1, "{:?}", names(folder.path()));
        assert_eq!(sweep(folder.path()).unwrap(), leftovers);
    }
    assert!(replaced > 0);
}
