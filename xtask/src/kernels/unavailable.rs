//! Distinguishes an unavailable kernel from one whose preparation failed.

use std::fmt;

use anyhow::Error;

/// Why no kernel is available: no network, or another architecture. The tests skip it with this reason;
/// every other error is a failure.
#[derive(Debug)]
pub(super) struct Unavailable(pub(super) String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// Returns whether the error is, or was caused by, an [`Unavailable`].
pub(super) fn is_unavailable(error: &Error) -> bool {
    error.is::<Unavailable>()
}

/// Adds context to an error of apt, and marks a failed download as [`Unavailable`].
pub(super) fn from_apt(error: Error, what: String) -> Error {
    if is_download(&format!("{error:#}")) {
        error.context(Unavailable(what))
    } else {
        error.context(what)
    }
}

/// Recognizes a failed download by its message: apt has one exit code for everything, and also reports a
/// full disk as a failure to fetch.
fn is_download(message: &str) -> bool {
    let failed = [
        "Failed to fetch",
        "Unable to fetch",
        "Some index files failed to download",
        // When lists could not be fetched.
        "Unable to locate package",
        "has no installation candidate",
        // From `run_within`: a mirror that does not answer.
        "timed out after",
    ];
    let here = ["No space left on device", "free space", "Permission denied"];
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    says(&failed) && !says(&here)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn failed_download_is_told_from_local_errors() {
        for reach in [
            "`apt-get update` failed: E: Failed to fetch http://m.test/InRelease  Could not resolve 'm.test'",
            "`apt-get update` timed out after 300.0 s",
            "`apt-get install -y cpio` failed: E: Unable to locate package cpio",
        ] {
            let error = from_apt(anyhow!(reach), "no list".into()).context("Linux 6.1");
            assert!(is_unavailable(&error), "{reach}");
            assert_eq!(format!("{error:#}"), format!("Linux 6.1: no list: {reach}"));
        }
        for here in [
            "E: Failed to fetch http://m.test/x.deb  write (28: No space left on device)",
            "E: You don't have enough free space in /var/cache/apt/archives/.",
            "E: Could not get lock /t/lock",
            "cannot start `apt-get update`: No such file or directory",
        ] {
            let error = from_apt(anyhow!(here), "no list".into());
            assert!(!is_unavailable(&error), "{here}");
            assert_eq!(format!("{error:#}"), format!("no list: {here}"));
        }
    }
}
