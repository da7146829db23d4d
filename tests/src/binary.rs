//! The real netviz binary, run as a user runs it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// The netviz that was built beside this test: `cargo test` puts tests into `deps`.
pub fn netviz() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where is this test?")?;
    let mut directory = own.parent().context("a test in no directory")?;
    if directory.ends_with("deps") {
        directory = directory.parent().context("deps in no directory")?;
    }
    let binary = directory.join("netviz");
    ensure!(
        binary.is_file(),
        "{} is not built: run `cargo build -p netviz` first, with --release where this is a release build",
        binary.display()
    );
    Ok(binary)
}
