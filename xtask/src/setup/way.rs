//! Which way a machine offers, decided from facts alone.

use std::fmt;

use crate::machine::{Facts, LINKED, NIGHTLY};

/// How the eBPF half is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Debian's packages: a stable compiler with `core` for BPF, linked into rustup.
    Debian,
    /// rustup's nightly with the source of `core`.
    Nightly,
}

/// What has to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// All is there.
    Ready(Way),
    /// Ways worth trying, in this order.
    Install(Vec<Way>),
    /// There is none, and what would change that.
    Impossible(&'static str),
}

/// The same order as in the build script of netviz, which takes the first that is complete.
pub(super) fn choose(facts: &Facts) -> Plan {
    let linker = facts.linker.is_some();
    if !facts.rustup {
        return Plan::Impossible("rustup is not in the PATH: install it from https://rustup.rs");
    }
    if linker && facts.linked {
        return Plan::Ready(Way::Debian);
    }
    if linker && facts.nightly_source {
        return Plan::Ready(Way::Nightly);
    }
    if facts.linked || facts.system_core {
        return Plan::Install(vec![Way::Debian, Way::Nightly]);
    }
    if facts.apt {
        return Plan::Install(vec![Way::Nightly, Way::Debian]);
    }
    Plan::Install(vec![Way::Nightly])
}

impl Way {
    /// The toolchain as rustup calls it.
    pub(crate) fn toolchain(self) -> &'static str {
        match self {
            Self::Debian => LINKED,
            Self::Nightly => NIGHTLY,
        }
    }

    /// Why this way is taken, given that something is missing.
    pub(super) fn reason(self, facts: &Facts) -> &'static str {
        match self {
            Self::Debian if facts.linked || facts.system_core => "as its compiler is here already",
            Self::Debian => "as it needs no download but packages",
            Self::Nightly if facts.nightly_source => "as its compiler is here already",
            Self::Nightly if facts.linker.is_some() => "as its bpf-linker is here already",
            Self::Nightly => "as it is the usual one, if downloads work here",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debian => "Debian's compiler",
            Self::Nightly => "rustup's nightly",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare() -> Facts {
        Facts {
            rustup: true,
            ..Facts::default()
        }
    }

    fn linker() -> Option<String> {
        Some("bpf-linker 0.13.0".into())
    }

    #[test]
    fn what_is_complete_is_taken() {
        let debian = Facts {
            linker: linker(),
            linked: true,
            apt: true,
            ..bare()
        };
        assert_eq!(choose(&debian), Plan::Ready(Way::Debian));
        let nightly = Facts {
            linker: linker(),
            nightly_source: true,
            apt: true,
            ..bare()
        };
        assert_eq!(choose(&nightly), Plan::Ready(Way::Nightly));
    }

    #[test]
    fn of_two_complete_ways_the_build_scripts_first() {
        let both = Facts {
            linker: linker(),
            linked: true,
            nightly_source: true,
            ..bare()
        };
        assert_eq!(choose(&both), Plan::Ready(Way::Debian));
    }

    #[test]
    fn a_compiler_that_is_here_goes_first() {
        let order = Plan::Install(vec![Way::Debian, Way::Nightly]);
        assert_eq!(
            choose(&Facts {
                linked: true,
                ..bare()
            }),
            order
        );
        assert_eq!(
            choose(&Facts {
                system_core: true,
                linker: linker(),
                ..bare()
            }),
            order
        );
    }

    #[test]
    fn downloads_before_packages() {
        let debian = Facts {
            apt: true,
            ..bare()
        };
        assert_eq!(
            choose(&debian),
            Plan::Install(vec![Way::Nightly, Way::Debian])
        );
        assert_eq!(choose(&bare()), Plan::Install(vec![Way::Nightly]));
    }

    #[test]
    fn a_linker_alone_or_a_source_alone_is_not_enough() {
        for facts in [
            Facts {
                linker: linker(),
                nightly: true,
                ..bare()
            },
            Facts {
                nightly: true,
                nightly_source: true,
                ..bare()
            },
        ] {
            assert_eq!(choose(&facts), Plan::Install(vec![Way::Nightly]));
        }
    }

    #[test]
    fn without_rustup_there_is_no_way() {
        let facts = Facts {
            linked: true,
            linker: linker(),
            ..Facts::default()
        };
        assert!(matches!(choose(&facts), Plan::Impossible(_)));
    }

    #[test]
    fn reasons_follow_the_facts() {
        let nightly = Facts {
            nightly_source: true,
            ..bare()
        };
        assert_eq!(
            Way::Nightly.reason(&nightly),
            "as its compiler is here already"
        );
        assert_eq!(
            Way::Debian.reason(&bare()),
            "as it needs no download but packages"
        );
    }
}
