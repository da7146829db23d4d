//! Headless Chromium, for checks that need a browser.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::cli::netviz::Running;

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The browser, with a temporary profile.
#[derive(Debug)]
pub struct Browser {
    program: PathBuf,
    directory: tempfile::TempDir,
}

impl Browser {
    /// Finds the browser.
    ///
    /// # Panics
    /// If there is none; `cargo xtask test --all` installs it.
    #[must_use]
    pub fn find() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut found = std::env::split_paths(&path)
            .flat_map(|directory| NAMES.map(|name| directory.join(name)));
        let program = found.find(|program| program.is_file());
        Self {
            program: program.expect("no chromium: cargo xtask test --all installs it"),
            directory: tempfile::tempdir().expect("a directory"),
        }
    }

    /// Opens a page and returns its document after its scripts have run.
    ///
    /// # Panics
    /// If the browser does not exit.
    #[must_use]
    pub fn document(&self, page: &str) -> String {
        let page = self.keep("page.html", page);
        let (out, mut command) = (self.directory.path().join("document"), self.command());
        let file = std::fs::File::create(&out).expect("a file");
        command
            .args(["--dump-dom", "--virtual-time-budget=100000"])
            .arg(format!("file://{}", page.display()))
            .stdout(file);
        Self::run(&mut command);
        std::fs::read_to_string(out).expect("a document")
    }

    /// Renders a page of the given size to `picture`.
    ///
    /// # Panics
    /// If there is no picture afterwards.
    pub fn picture(&self, page: &str, name: &str, size: (u32, u32), dark: bool, picture: &Path) {
        let page = self.keep(name, page);
        let (width, height) = size;
        let mut command = self.command();
        command
            .arg(format!("--screenshot={}", picture.display()))
            .arg(format!("--window-size={width},{height}"))
            // Like the setting of the user's system.
            .arg(format!(
                "--blink-settings=preferredColorScheme={}",
                u8::from(!dark)
            ))
            .arg(format!("file://{}", page.display()))
            .stdout(Stdio::null());
        Self::run(&mut command);
        assert!(picture.is_file(), "no picture {}", picture.display());
    }

    fn keep(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("a page");
        path
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args([
                "--headless",
                // Chromium has no sandbox as root; the pages are our own.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                "--allow-file-access-from-files",
                "--no-first-run",
            ])
            .arg(format!(
                "--user-data-dir={}",
                self.directory.path().join("profile").display()
            ))
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn run(command: &mut Command) {
        let mut running = Running::start(command);
        let status = running.child.wait().expect("the browser ends");
        assert!(status.success(), "{command:?}: {status}");
    }
}
