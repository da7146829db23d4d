//! What cannot be had on this machine without anybody's fault, told from what went wrong.

use std::fmt;

use anyhow::Error;

/// Why no kernel can be had here: no network, or a machine that Debian's kernels are not for. In the
/// tests that is a skip with this reason; every other error is a failure.
#[derive(Debug)]
pub(super) struct OutOfReach(pub(super) String);

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OutOfReach {}

/// Whether this error is, or came of, one of these.
pub(super) fn is_out_of_reach(error: &Error) -> bool {
    error.is::<OutOfReach>()
}

/// Says of an error of apt what it was about, and whether it was a download.
pub(super) fn of_apt(error: Error, what: String) -> Error {
    if is_download(&format!("{error:#}")) {
        error.context(OutOfReach(what))
    } else {
        error.context(what)
    }
}

/// apt has one exit code for everything. With a full disk, too, it calls that a file that it failed to
/// fetch.
fn is_download(said: &str) -> bool {
    let failed = [
        "Failed to fetch",
        "Unable to fetch",
        "Some index files failed to download",
        // Said of lists that could not be fetched.
        "Unable to locate package",
        "has no installation candidate",
        // By `run_within`: a mirror that does not answer.
        "was not done after",
    ];
    let here = ["No space left on device", "free space", "Permission denied"];
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    says(&failed) && !says(&here)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_download_is_told_from_what_goes_wrong_here() {
        for reach in [
            "`apt-get update` failed: E: Failed to fetch http://m.test/InRelease  Could not resolve 'm.test'",
            "`apt-get update` was not done after 300.0 s",
            "`apt-get install -y cpio` failed: E: Unable to locate package cpio",
        ] {
            let error = of_apt(anyhow!(reach), "no list".into()).context("Linux 6.1");
            assert!(is_out_of_reach(&error), "{reach}");
            assert_eq!(format!("{error:#}"), format!("Linux 6.1: no list: {reach}"));
        }
        for here in [
            "E: Failed to fetch http://m.test/x.deb  write (28: No space left on device)",
            "E: You don't have enough free space in /var/cache/apt/archives/.",
            "E: Could not get lock /t/lock",
            "cannot start `apt-get update`: No such file or directory",
        ] {
            let error = of_apt(anyhow!(here), "no list".into());
            assert!(!is_out_of_reach(&error), "{here}");
            assert_eq!(format!("{error:#}"), format!("no list: {here}"));
        }
    }
}
