//! Other suites of Debian's archive, through a separate apt configuration: its lists and downloads are
//! below the target directory; the machine's apt is read, never changed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Result, bail};

use super::unavailable::{Unavailable, from_apt};
use crate::{
    machine,
    process::{self, run_within},
};

/// Debian's keys of all suites in use.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// For lists, and for packages of up to 40 MB.
const LIMIT: Duration = Duration::from_secs(300);

/// apt for one suite.
pub(super) struct Archive {
    suite: &'static str,
    options: Vec<String>,
}

impl Archive {
    /// Sets apt up in `directory`, and fetches the package list of the suite.
    ///
    /// # Errors
    /// [`Unavailable`] if there is no mirror, or it does not answer.
    pub(super) fn open(suite: &'static str, directory: &Path) -> Result<Self> {
        if machine::find("apt-get").is_none() {
            bail!(Unavailable("no apt-get".into()));
        }
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(directory.join(part))?;
        }
        let sources = directory.join("sources.list");
        let mirror = mirror(suite)?;
        let signed = if Path::new(KEYS).exists() {
            format!("[signed-by={KEYS}] ")
        } else {
            String::new()
        };
        fs::write(&sources, format!("deb {signed}{mirror} {suite} main\n"))?;
        let archive = Self {
            suite,
            options: options(directory, &sources),
        };
        let what = format!("cannot fetch the package list of {suite}");
        let mut update = archive.command("apt-get");
        // By default, apt-get only warns of a mirror that does not answer, and exits with 0.
        update.args(["-o", "APT::Update::Error-Mode=any", "update"]);
        run_within(LIMIT, &mut update).map_err(|error| from_apt(error, what))?;
        Ok(archive)
    }

    /// Resolves a metapackage to the packages with the files of its kernel.
    pub(super) fn parts(&self, package: &str) -> Result<Vec<String>> {
        let mut parts: Vec<String> = Vec::new();
        let mut open = vec![package.to_owned()];
        while let Some(package) = open.pop() {
            let text = process::read(self.command("apt-cache").args(["depends", &package]))?;
            let next: Vec<_> = text
                .lines()
                .filter_map(part)
                .filter(|it| !parts.iter().any(|known| known == it))
                .collect();
            open.extend(next.iter().map(|&it| it.to_owned()));
            parts.extend(next.iter().map(|&it| it.to_owned()));
        }
        if parts.is_empty() {
            bail!("{} has no {package}", self.suite);
        }
        Ok(parts)
    }

    /// Downloads packages into `directory`.
    ///
    /// # Errors
    /// [`Unavailable`] if the mirror does not answer.
    pub(super) fn download(&self, packages: &[String], directory: &Path) -> Result<()> {
        let mut command = self.command("apt-get");
        command
            .arg("download")
            .args(packages)
            .current_dir(directory);
        run_within(LIMIT, &mut command)
            .map_err(|error| from_apt(error, format!("cannot download from {}", self.suite)))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options).env("LC_ALL", "C");
        command
    }
}

fn options(directory: &Path, sources: &Path) -> Vec<String> {
    let place = |name: &str, path: PathBuf| format!("{name}={}", path.display());
    let settings = [
        place("Dir::Etc::sourcelist", sources.to_owned()),
        "Dir::Etc::sourceparts=/dev/null".into(),
        "Dir::Etc::preferences=/dev/null".into(),
        "Dir::Etc::preferencesparts=/dev/null".into(),
        place("Dir::State::lists", directory.join("lists")),
        place("Dir::Cache", directory.join("cache")),
        "Acquire::Languages=none".into(),
        "Acquire::IndexTargets::deb::Packages::DefaultEnabled=true".into(),
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
        // The download user of apt cannot access this directory.
        "APT::Sandbox::User=root".into(),
        // Fail soon without a network.
        "Acquire::Retries=1".into(),
        "Acquire::http::Timeout=20".into(),
    ];
    settings
        .into_iter()
        .flat_map(|setting| ["-o".into(), setting])
        .collect()
}

/// Returns the package in a line of `apt-cache depends`, if it has a kernel's files.
fn part(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix("Depends: ")?;
    let mut rest = ["linux-image-", "linux-binary-", "linux-modules-"]
        .iter()
        .filter_map(|kind| name.strip_prefix(kind));
    rest.any(|version| version.starts_with(|it: char| it.is_ascii_digit()))
        .then_some(name)
}

/// Returns the mirror of Debian's suites that this machine uses.
fn mirror(suite: &str) -> Result<String> {
    let targets = || {
        process::read(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(ORIGIN) $(RELEASE) $(REPO_URI)",
        ]))
    };
    let mut found = choose(&targets()?, suite);
    if found.is_none() {
        // Without lists, as in a fresh image of Debian, apt names no source.
        let what = "cannot fetch this machine's package lists".to_owned();
        let mut update = Command::new("apt-get");
        update.arg("update").env("LC_ALL", "C");
        run_within(LIMIT, &mut update).map_err(|error| from_apt(error, what))?;
        found = choose(&targets()?, suite);
    }
    match found {
        Some(mirror) => Ok(mirror),
        None => bail!(Unavailable(format!(
            "no Debian mirror for {suite} in this machine's apt sources: add one"
        ))),
    }
}

/// Chooses the mirror; security updates have a separate one.
fn choose(targets: &str, suite: &str) -> Option<String> {
    let is_security = |suite: &str| suite.ends_with("-security");
    targets.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (origin, release, uri) = (words.next()?, words.next()?, words.next()?);
        (origin == "Debian" && is_security(release) == is_security(suite)).then(|| uri.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_updates_come_from_their_own_mirror() {
        let targets = "Other stable http://mirror.test/other/\n\
                       Debian bookworm-security http://mirror.test/security/\n\
                       Debian bookworm-updates http://mirror.test/debian/\n";
        assert_eq!(
            choose(targets, "trixie-backports").as_deref(),
            Some("http://mirror.test/debian/")
        );
        assert_eq!(
            choose(targets, "bullseye-security").as_deref(),
            Some("http://mirror.test/security/")
        );
        assert_eq!(
            choose("Other stable http://mirror.test/other/", "trixie-backports"),
            None
        );
    }

    #[test]
    fn kernel_packages_are_told_from_dependencies() {
        assert_eq!(
            part("  Depends: linux-image-6.1.0-56-cloud-amd64"),
            Some("linux-image-6.1.0-56-cloud-amd64")
        );
        assert_eq!(
            part("  Depends: linux-modules-7.3.4+deb13-cloud-amd64"),
            Some("linux-modules-7.3.4+deb13-cloud-amd64")
        );
        for other in [
            "  Depends: linux-base",
            " |Depends: dracut",
            "  Recommends: linux-image-6.1",
            "linux-image-6.1",
        ] {
            assert_eq!(part(other), None, "{other}");
        }
    }
}
