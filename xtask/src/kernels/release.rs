//! The kernels that are tried.

use std::fmt;

use clap::ValueEnum;

/// A line of kernels, in the version that Debian has of it.
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
    /// The newest that Debian 13's backports have
    #[value(name = "7.x")]
    V7,
}

impl Release {
    /// What `--quick` tries: the last without tcx, and the one that is in most use.
    pub(crate) const OFTEN: [Self; 2] = [Self::V6_1, Self::V6_12];

    /// All.
    pub(crate) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Those that were asked for, each once: it has one directory. Otherwise these.
    pub(crate) fn asked_for(mut asked: Vec<Self>, otherwise: &[Self]) -> Vec<Self> {
        asked.sort();
        asked.dedup();
        if asked.is_empty() {
            otherwise.to_vec()
        } else {
            asked
        }
    }

    /// As it is asked for.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V7 => "7.x",
        }
    }

    /// Suite of Debian's archive, and the package there that stands for the newest version.
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
    fn a_kernel_that_is_asked_for_twice_runs_once() {
        let asked = vec![Release::V6_1, Release::V6_12, Release::V6_1];
        let once = Release::asked_for(asked, Release::all());
        assert_eq!(once, [Release::V6_1, Release::V6_12]);
        assert_eq!(Release::asked_for(Vec::new(), &once), once);
    }

    #[test]
    fn a_kernel_is_called_as_it_is_asked_for() {
        for release in Release::all() {
            assert_eq!(
                Release::from_str(&release.to_string(), false).as_ref(),
                Ok(release)
            );
        }
    }
}
