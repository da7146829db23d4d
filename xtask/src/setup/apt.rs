//! Debian's packages.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    machine,
    process::{self, log, seconds, step},
};

/// How long to wait for another package manager to finish.
const LOCK_LIMIT: Duration = Duration::from_secs(120);
const LOCK_PAUSE: Duration = Duration::from_secs(3);

/// Installs the packages that are missing.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if machine::find("apt-get").is_none() {
        bail!("no apt-get: install {names} with this system's package manager");
    }
    if !machine::is_root() {
        bail!(
            "not root: run as root `apt-get update && apt-get install -y --no-install-recommends {names}`"
        );
    }
    let mut fresh = false;
    if !all_known(&missing) {
        update()?;
        fresh = true;
    }
    let result = install_missing(&missing);
    if result.is_err() && !fresh {
        // The lists may name versions that the mirror no longer has.
        update()?;
        return install_missing(&missing);
    }
    result
}

fn install_missing(packages: &[&str]) -> Result<()> {
    step(
        format_args!("installing {} with apt-get", packages.join(" ")),
        || {
            let mut args = vec!["install", "-y", "--no-install-recommends"];
            args.extend(packages);
            apt_get(&args)
        },
    )
}

fn update() -> Result<()> {
    step("updating the package lists with apt-get", || {
        apt_get(&["update"])
    })
}

/// Returns the packages that are not installed.
fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let installed = |package: &&str| {
        let mut query = Command::new("dpkg-query");
        query.args(["-W", "-f", "${db:Status-Status}", package]);
        process::read(&mut query).is_ok_and(|status| status == "installed")
    };
    packages
        .iter()
        .copied()
        .filter(|package| !installed(package))
        .collect()
}

/// Returns whether the package lists have all of the packages.
fn all_known(packages: &[&str]) -> bool {
    packages
        .iter()
        .all(|package| process::read(Command::new("apt-cache").args(["show", package])).is_ok())
}

/// Runs apt-get; waits while another package manager holds the lock.
fn apt_get(args: &[&str]) -> Result<()> {
    let start = Instant::now();
    let mut reported = false;
    loop {
        let mut command = Command::new("apt-get");
        command
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C");
        let error = match process::read(&mut command) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        if !is_lock(&error.to_string()) {
            return Err(error);
        }
        if start.elapsed() > LOCK_LIMIT {
            let limit = seconds(LOCK_LIMIT);
            bail!("another package manager held dpkg's lock for {limit}: let it finish ({error})");
        }
        if !reported {
            log(format_args!(
                "waiting up to {} for another package manager",
                seconds(LOCK_LIMIT)
            ));
            reported = true;
        }
        thread::sleep(LOCK_PAUSE);
    }
}

fn is_lock(error: &str) -> bool {
    error.contains("Could not get lock") || error.contains("Unable to acquire the dpkg")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_lock_is_recognized() {
        assert!(is_lock(
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt)"
        ));
        assert!(!is_lock("E: Unable to locate package rustc-web"));
    }
}
