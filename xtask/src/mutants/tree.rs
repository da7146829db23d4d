//! A copy of the working tree with its own target directory, so that cargo rebuilds only what a mutant
//! touches.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::patch::Mutant;
use crate::process::{self, line, root};

/// The copy.
pub(super) struct Tree(PathBuf);

impl Tree {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Makes the copy equal to the working tree: deletes other files, and keeps the modification time of
    /// equal ones, for cargo.
    pub(super) fn restore(&self) -> Result<()> {
        let tree = self.files();
        fs::create_dir_all(&tree)?;
        let mut list = Command::new("git");
        list.args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root());
        let names = process::read(&mut list).context("the list of files")?;
        let mut there = BTreeSet::new();
        for name in names.split('\0').filter(|name| !name.is_empty()) {
            let from = root().join(name);
            // Deleted, but still in the index.
            let Ok(content) = fs::read(&from) else {
                continue;
            };
            let to = tree.join(name);
            there.insert(to.clone());
            if fs::read(&to).is_ok_and(|there| there == content) {
                continue;
            }
            fs::create_dir_all(to.parent().unwrap_or(&tree))?;
            fs::write(&to, content).with_context(|| format!("cannot write {}", to.display()))?;
        }
        clear(&tree, &there)
    }

    /// Applies a mutant.
    pub(super) fn apply(&self, mutant: &Mutant) -> Result<()> {
        git_apply(&self.files(), mutant, &[])
    }

    /// Makes cargo work in the copy.
    pub(super) fn enter(&self, cargo: &mut Command) {
        cargo
            .current_dir(self.files())
            .env("CARGO_TARGET_DIR", self.0.join("target"));
        // These belong to the workspace that this program was started in.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_MANIFEST")
                || name.to_string_lossy().starts_with("CARGO_PKG")
            {
                cargo.env_remove(name);
            }
        }
    }

    /// Returns the file in which tests report skips.
    pub(super) fn skipped(&self) -> PathBuf {
        self.0.join("skipped.txt")
    }

    fn files(&self) -> PathBuf {
        self.0.join("tree")
    }
}

/// Deletes all files below `directory` except `but`: those that a mutant added or that were deleted since.
fn clear(directory: &Path, but: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            clear(&path, but)?;
        } else if !but.contains(&path) {
            fs::remove_file(&path).with_context(|| format!("cannot delete {}", path.display()))?;
        }
    }
    Ok(())
}

/// Checks that a mutant applies to a tree.
pub(super) fn applies(directory: &Path, mutant: &Mutant) -> Result<()> {
    git_apply(directory, mutant, &["--check"])
}

fn git_apply(directory: &Path, mutant: &Mutant, more: &[&str]) -> Result<()> {
    let mut git = Command::new("git");
    git.args(["apply", "--recount", "-C1"])
        .args(more)
        .current_dir(directory);
    // In a repository, git silently skips changes outside of it.
    git.env("GIT_DIR", "/nonexistent");
    let mut child = git
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(&git)))?;
    let mut stdin = child.stdin.take().context("git has no stdin")?;
    stdin.write_all(mutant.text.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} does not apply: {}", mutant.name, stderr.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_in_the_tree_are_deleted() {
        let copy = std::env::temp_dir().join(format!("netviz-tree-{}", std::process::id()));
        let tree = Tree::new(copy.clone());
        let added = tree.files().join("netviz/src/added/by_a_mutant.rs");
        fs::create_dir_all(added.parent().unwrap()).unwrap();
        fs::write(&added, "").unwrap();
        tree.restore().unwrap();
        let (gone, kept) = (!added.exists(), tree.files().join("Cargo.toml").is_file());
        fs::remove_dir_all(&copy).unwrap();
        assert!(gone && kept);
    }
}
