//! The selected namespaces and interfaces.

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::model::{Door, Role};

/// The doors that the command line selects.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Namespaces that count as nodes: a name in `/run/netns`, a path, or a process id.
    /// Empty: those that hold `cilium_host`.
    pub namespaces: Vec<String>,
    /// Every interface, the loopback devices included.
    pub all: bool,
    include: GlobSet,
    exclude: GlobSet,
}

/// A pattern that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("--{option}: invalid pattern {pattern:?}: {why}; escape glob characters as [*], [?], [[]")]
pub struct SelectionError {
    option: &'static str,
    pattern: String,
    why: String,
}

impl Selection {
    /// A selection with glob patterns over interface names.
    ///
    /// # Errors
    /// When a pattern is not a glob.
    pub fn new(
        namespaces: Vec<String>,
        all: bool,
        include: &[String],
        exclude: &[String],
    ) -> Result<Self, SelectionError> {
        Ok(Self {
            namespaces,
            all,
            include: globs("include", include)?,
            exclude: globs("exclude", exclude)?,
        })
    }

    /// Whether a door is shown, of a node with or without Cilium and pods. A door that cannot be entered has
    /// no name, and is.
    #[must_use]
    pub fn takes(&self, door: &Door, cilium: bool, pods: bool) -> bool {
        if self.exclude.is_match(&door.interface) {
            return false;
        }
        self.all
            || self.include.is_match(&door.interface)
            || match door.role {
                Role::Other => false,
                // On a machine that is no node, show pairs and bridges.
                Role::Uplink | Role::Overlay => cilium || pods,
                Role::Bridge => !cilium,
                _ => true,
            }
    }
}

fn globs(option: &'static str, patterns: &[String]) -> Result<GlobSet, SelectionError> {
    let error = |error: globset::Error| SelectionError {
        option,
        pattern: error
            .glob()
            .map_or_else(|| patterns.join(" "), str::to_owned),
        why: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(error)?);
    }
    set.build().map_err(error)
}
