//! The program under test, built from this checkout with the profile of the tests.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The path of the `leadsman` program, built now if its sources changed.
///
/// # Panics
/// Where it does not build.
pub fn leadsman() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let release = !cfg!(debug_assertions);
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--package", "leadsman", "--bin", "leadsman"]);
        if release {
            build.arg("--release");
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!(build.current_dir(root).status().unwrap().success(), "`leadsman` does not build");
        // A test's own program lies in `<target>/<profile>/deps/`, or an example's or bench's beside it.
        let own = std::env::current_exe().unwrap();
        let folder = own.ancestors().find(|folder| folder.join("deps").is_dir()).unwrap();
        folder.join("leadsman")
    })
}
