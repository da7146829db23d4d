//! Files below `tests/fixtures`.

use std::path::{Path, PathBuf};

/// Returns the path of a fixture. Cargo and `cargo xtask` set `CARGO_MANIFEST_DIR` when they run a test,
/// in a guest as well; a test program that is run by hand finds the directory that it was built in.
#[must_use]
pub fn fixture(path: impl AsRef<Path>) -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.join("fixtures").join(path)
}
