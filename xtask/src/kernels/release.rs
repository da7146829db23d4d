//! The kernels to test on.

use std::fmt;

use clap::ValueEnum;

/// A kernel series, in the version of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Release {
    /// Debian 11; without tcx, and the oldest that Cilium runs on
    #[value(name = "5.10")]
    V5_10,
    /// Debian 12; without tcx
    #[value(name = "6.1")]
    V6_1,
    /// Debian 12 and 13; with tcx
    #[value(name = "6.12")]
    V6_12,
    /// The newest in Debian 13's backports
    #[value(name = "7.x")]
    V7,
}

impl Release {
    /// The kernels of `--quick`: the last without tcx, and the most used.
    pub(crate) const OFTEN: [Self; 2] = [Self::V6_1, Self::V6_12];

    /// All kernels.
    pub(crate) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Returns the requested kernels without duplicates, or `otherwise`.
    pub(crate) fn asked_for(mut asked: Vec<Self>, otherwise: &[Self]) -> Vec<Self> {
        asked.sort();
        asked.dedup();
        if asked.is_empty() {
            otherwise.to_vec()
        } else {
            asked
        }
    }

    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V7 => "7.x",
        }
    }

    /// Returns the suite of Debian's archive, and the metapackage of the newest version.
    pub(super) fn package(self) -> (&'static str, &'static str) {
        match self {
            Self::V5_10 => ("bullseye-security", "linux-image-cloud-amd64"),
            Self::V6_1 => ("bookworm-security", "linux-image-cloud-amd64"),
            Self::V6_12 => ("bookworm-security", "linux-image-6.12-cloud-amd64"),
            Self::V7 => ("trixie-backports", "linux-image-cloud-amd64"),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_requested_twice_runs_once() {
        let asked = vec![Release::V6_1, Release::V6_12, Release::V6_1];
        let once = Release::asked_for(asked, Release::all());
        assert_eq!(once, [Release::V6_1, Release::V6_12]);
        assert_eq!(Release::asked_for(Vec::new(), &once), once);
    }

    #[test]
    fn kernel_is_displayed_as_requested() {
        for release in Release::all() {
            assert_eq!(
                Release::from_str(&release.to_string(), false).as_ref(),
                Ok(release)
            );
        }
    }
}
