//! The real netviz binary, run as a user runs it.

use std::{
    path::PathBuf,
    process::{Child, Command},
};

use anyhow::{Context as _, Result, ensure};

/// Returns the netviz that was built beside this test; `cargo test` puts tests into `deps`.
pub fn netviz() -> Result<PathBuf> {
    let own = std::env::current_exe().context("no path of this test")?;
    let mut directory = own.parent().context("test without a directory")?;
    if directory.ends_with("deps") {
        directory = directory.parent().context("deps without a directory")?;
    }
    let binary = directory.join("netviz");
    ensure!(
        binary.is_file(),
        "{} is not built: run `cargo build -p netviz`, with --release in a release build",
        binary.display()
    );
    Ok(binary)
}

/// A running netviz, killed on drop, so that no test leaves one behind.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    /// Starts netviz.
    pub fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.spawn().context("starting netviz")?))
    }

    /// Sends SIGKILL and waits for the exit.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
