//! Kinds of pause processes.

use std::{ffi::CString, fs::File};

/// Kind of a pause process; everything that it needs is prepared before the fork.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Only a network namespace: the wire between the nodes.
    Wire,
    /// A node: a mount namespace with an empty `/run` and `/var`, a hostname.
    Node {
        /// Its name.
        hostname: String,
    },
    /// A pod: in a node's mount namespace, with a hostname.
    Pod {
        /// Its name.
        hostname: String,
        /// The node's mounts.
        mounts: Mounts,
        /// The path in it at which the pod's network namespace is mounted.
        netns: Option<CString>,
    },
}

/// A mount namespace and the root directory in it. Entering only the namespace would lead to the
/// machine's root, which differs from the owner's if that runs in a chroot.
#[derive(Debug)]
pub(crate) struct Mounts {
    pub(super) namespace: File,
    pub(super) root: File,
}
