//! The choice of the eBPF toolchain, from facts about the machine.

use std::fmt;

use crate::machine::{Facts, LINKED, NIGHTLY};

/// A toolchain for the eBPF half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// Debian's packages: a stable compiler with `core` for BPF, linked into rustup.
    Debian,
    /// rustup's nightly with the source of `core`.
    Nightly,
}

/// What setup has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Everything is installed.
    Ready(Toolchain),
    /// Toolchains to try, in this order.
    Install(Vec<Toolchain>),
    /// None can be installed; the remedy.
    Impossible(&'static str),
}

/// Chooses in the order of `ebpf-build`, which uses the first complete toolchain.
pub(super) fn choose(facts: &Facts) -> Plan {
    let linker = facts.linker.is_some();
    if !facts.rustup {
        return Plan::Impossible("rustup is not in PATH: install it from https://rustup.rs");
    }
    if linker && facts.linked {
        return Plan::Ready(Toolchain::Debian);
    }
    if linker && facts.nightly_source {
        return Plan::Ready(Toolchain::Nightly);
    }
    if facts.linked || facts.system_core {
        return Plan::Install(vec![Toolchain::Debian, Toolchain::Nightly]);
    }
    if facts.apt {
        return Plan::Install(vec![Toolchain::Nightly, Toolchain::Debian]);
    }
    Plan::Install(vec![Toolchain::Nightly])
}

impl Toolchain {
    /// Returns its name in rustup.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Debian => LINKED,
            Self::Nightly => NIGHTLY,
        }
    }

    /// Returns why this toolchain is chosen, if a part of it is missing.
    pub(super) fn reason(self, facts: &Facts) -> &'static str {
        match self {
            Self::Debian if facts.linked || facts.system_core => "its compiler is installed",
            Self::Debian => "it needs only packages",
            Self::Nightly if facts.nightly_source => "its compiler is installed",
            Self::Nightly if facts.linker.is_some() => "its bpf-linker is installed",
            Self::Nightly => "the default, if downloads work",
        }
    }
}

impl fmt::Display for Toolchain {
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
    fn complete_toolchain_is_used() {
        let debian = Facts {
            linker: linker(),
            linked: true,
            apt: true,
            ..bare()
        };
        assert_eq!(choose(&debian), Plan::Ready(Toolchain::Debian));
        let nightly = Facts {
            linker: linker(),
            nightly_source: true,
            apt: true,
            ..bare()
        };
        assert_eq!(choose(&nightly), Plan::Ready(Toolchain::Nightly));
    }

    #[test]
    fn two_complete_toolchains_follow_the_build_script() {
        let both = Facts {
            linker: linker(),
            linked: true,
            nightly_source: true,
            ..bare()
        };
        assert_eq!(choose(&both), Plan::Ready(Toolchain::Debian));
    }

    #[test]
    fn installed_compiler_goes_first() {
        let order = Plan::Install(vec![Toolchain::Debian, Toolchain::Nightly]);
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
    fn downloads_go_before_packages() {
        let debian = Facts {
            apt: true,
            ..bare()
        };
        assert_eq!(
            choose(&debian),
            Plan::Install(vec![Toolchain::Nightly, Toolchain::Debian])
        );
        assert_eq!(choose(&bare()), Plan::Install(vec![Toolchain::Nightly]));
    }

    #[test]
    fn linker_or_source_only_is_not_enough() {
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
            assert_eq!(choose(&facts), Plan::Install(vec![Toolchain::Nightly]));
        }
    }

    #[test]
    fn no_toolchain_without_rustup() {
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
            Toolchain::Nightly.reason(&nightly),
            "its compiler is installed"
        );
        assert_eq!(Toolchain::Debian.reason(&bare()), "it needs only packages");
    }
}
