//! Decides which namespaces are nodes.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{cache::Cache, select::Selection};
use crate::{
    model::CILIUM_HOST,
    sys::{
        entrance::{Entrance, enter},
        netns::{NetNs, NetNsId, Tour, try_tour},
    },
};

/// What a missing node means that the user named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// At the start, the name is wrong.
    IsAnError,
    /// Later, the node has ended.
    HasEnded,
}

/// Remedy for a process that has its capabilities in a user namespace only.
const BE_ROOT: &str =
    "run netviz as root of the machine, not in a user namespace (rootless container)";

/// A node's namespace, with the ways into it.
pub(crate) type NodeNetns = (NetNsId, Vec<Entrance>);

/// The namespaces of the nodes: those that were named, or those with `cilium_host`, or netviz's own.
pub(crate) fn nodes(
    selection: &Selection,
    cache: &mut Cache,
    own: NetNsId,
    absent: Absent,
) -> io::Result<Vec<NodeNetns>> {
    let own_entrance = vec![Entrance::Own];
    if !selection.namespaces.is_empty() {
        return all_named(selection, absent);
    }
    let Cache {
        namespaces, cilium, ..
    } = cache;
    let known = namespaces.iter();
    let mut ask: BTreeMap<_, _> = known.map(|(id, found)| (*id, found.entrances())).collect();
    ask.insert(own, own_entrance.clone());
    cilium.retain(|id, _| ask.contains_key(id));
    ask.retain(|id, _| !cilium.contains_key(id));
    if !ask.is_empty() {
        try_tour(|tour| {
            for (id, entrances) in &ask {
                let opened = enter(entrances, *id)?;
                if let Some(holds) = opened.and_then(|netns| holds_cilium(tour, &netns)) {
                    cilium.insert(*id, holds);
                }
            }
            io::Result::Ok(())
        })??;
    }
    let is_node = |id: &NetNsId| cilium.get(id) == Some(&true);
    if is_node(&own) {
        return Ok(vec![(own, own_entrance)]);
    }
    let nodes = namespaces.iter().filter(|(id, _)| is_node(id));
    let found: Vec<_> = nodes.map(|(id, found)| (*id, found.entrances())).collect();
    Ok(if found.is_empty() {
        vec![(own, own_entrance)]
    } else {
        found
    })
}

fn all_named(selection: &Selection, absent: Absent) -> io::Result<Vec<NodeNetns>> {
    let mut found: Vec<NodeNetns> = Vec::new();
    for name in &selection.namespaces {
        match named(name) {
            // Any other error may be temporary.
            Err(error) if absent == Absent::HasEnded && has_ended(&error) => {}
            Err(error) => return Err(error),
            // A namespace may have several names.
            Ok((id, _)) if found.iter().any(|(other, _)| *other == id) => {}
            Ok(node) => found.push(node),
        }
    }
    Ok(found)
}

fn has_ended(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
    )
}

/// Why a name of `--netns` leads to no namespace: a whole sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadName(String);

/// Finds a namespace by its name in `/run/netns`, its path, or the id of a process in it, in this
/// order: `ip netns add 4242` is possible, too.
fn named(name: &str) -> io::Result<NodeNetns> {
    let file = match name.contains('/') {
        true => PathBuf::from(name),
        false => Path::new("/run/netns").join(name),
    };
    let entrance = match name.parse() {
        Ok(pid) if !file.exists() => Entrance::Process(pid),
        _ => Entrance::Path(file),
    };
    let namespace = entrance.open().map_err(|error| {
        let message = match error.kind() {
            io::ErrorKind::NotFound => {
                format!("--netns {name}: no such network namespace (looked at {entrance}); list them: lsns -t net")
            }
            io::ErrorKind::PermissionDenied => {
                format!("--netns {name}: cannot open {entrance}: {error}; {BE_ROOT}")
            }
            _ => format!(
                "--netns {name}: cannot open {entrance}: {error}; give a name in /run/netns, a path or a process id"
            ),
        };
        io::Error::new(error.kind(), BadName(message))
    })?;
    Ok((namespace.id(), vec![entrance]))
}

/// Runs `work` in the namespace of a node, opened by one of `entrances`.
///
/// # Errors
/// When it cannot be entered: the file, and the remedy.
pub(super) fn inside<T: Send>(
    namespace: &NetNs,
    entrances: &[Entrance],
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    namespace.run(work).map_err(|error| {
        let (true, Some(entrance)) = (error.raw_os_error().is_some(), entrances.first()) else {
            // There was no thread.
            return error;
        };
        let message = format!("cannot enter the network namespace {entrance}: {error}; {BE_ROOT}");
        io::Error::new(error.kind(), message)
    })
}

/// `None` where it cannot be entered.
fn holds_cilium(tour: &Tour, namespace: &NetNs) -> Option<bool> {
    tour.enter(namespace).ok()?;
    Some(nix::net::if_::if_nametoindex(CILIUM_HOST).is_ok())
}
