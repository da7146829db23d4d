//! Chromium and Mermaid, which the tests of `--all` render drawings with, and Prometheus, which they alert with.
//!
//! About 100 MB to download, so not part of every test run.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, bail};

use super::apt;
use crate::{
    machine,
    process::{self, root, step},
};

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// The version that the tests use.
const MERMAID: &str = "12.3.0";

/// Installs what is missing.
pub(crate) fn install() -> Result<()> {
    if machine::find("promtool").is_none() {
        // Its service starts only under systemd, which the tests do not need.
        apt::install(&["prometheus"])?;
    }
    if BROWSERS.iter().all(|name| machine::find(name).is_none()) {
        apt::install(&["chromium", "fonts-dejavu-core"])?;
    }
    let directory = root().join("target/mermaid");
    let version = directory.join("version");
    if fs::read_to_string(&version).is_ok_and(|there| there == MERMAID) {
        return Ok(());
    }
    if machine::find("npm").is_none() {
        apt::install(&["npm"])?;
    }
    fs::create_dir_all(&directory).context("cannot create target/mermaid")?;
    step(format_args!("fetching mermaid {MERMAID} with npm"), || {
        let package = format!("mermaid@{MERMAID}");
        let mut pack = Command::new("npm");
        // Only the package itself: none of its scripts run, and none of its dependencies are needed.
        pack.args(["pack", "--silent", &package])
            .current_dir(&directory);
        process::read(&mut pack)?;
        let archive = format!("mermaid-{MERMAID}.tgz");
        let mut unpack = Command::new("tar");
        unpack
            .args(["-xzf", &archive, "--strip-components=2"])
            .arg("package/dist/mermaid.min.js")
            .current_dir(&directory);
        process::read(&mut unpack)?;
        let _ = fs::remove_file(directory.join(archive));
        if !directory.join("mermaid.min.js").is_file() {
            bail!(
                "mermaid {MERMAID} has no dist/mermaid.min.js: look for its place in this version"
            );
        }
        fs::write(&version, MERMAID).context("cannot write target/mermaid/version")
    })
}
