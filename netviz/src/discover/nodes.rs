//! Which namespaces are taken for nodes.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{
    cache::Memory,
    classify::CILIUM_HOST,
    namespaces::{self, Place},
    select::Selection,
};
use crate::sys::{
    descriptors::there,
    netns::{NetNs, NetNsId, Tour, try_tour},
};

/// What becomes of a node that was asked for by name and is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// At the start: the name is wrong.
    IsAnError,
    /// Later: the node has ended.
    HasEnded,
}

/// The namespaces that are taken for nodes, with the ways into each.
pub(crate) fn nodes(
    selection: &Selection,
    memory: &mut Memory,
    own: NetNsId,
    absent: Absent,
) -> io::Result<Vec<(NetNsId, Vec<PathBuf>)>> {
    let own_path = vec![PathBuf::from("/proc/self/ns/net")];
    if !selection.namespaces.is_empty() {
        return all_by_hand(selection, absent);
    }
    let Memory { places, cilium, .. } = memory;
    let mut ask: BTreeMap<NetNsId, Vec<PathBuf>> = places
        .iter()
        .map(|(id, place): (_, &Place)| (*id, place.paths()))
        .collect();
    ask.insert(own, own_path.clone());
    cilium.retain(|id, _| ask.contains_key(id));
    ask.retain(|id, _| !cilium.contains_key(id));
    if !ask.is_empty() {
        try_tour(|tour| {
            for (id, paths) in &ask {
                let opened = open(paths, *id)?;
                if let Some(holds) = opened.and_then(|place| holds_cilium(tour, &place)) {
                    cilium.insert(*id, holds);
                }
            }
            io::Result::Ok(())
        })??;
    }
    let is_node = |id: &NetNsId| cilium.get(id) == Some(&true);
    if is_node(&own) {
        return Ok(vec![(own, own_path)]);
    }
    let found: Vec<_> = places
        .iter()
        .filter(|(id, _)| is_node(id))
        .map(|(id, place)| (*id, place.paths()))
        .collect();
    Ok(if found.is_empty() {
        vec![(own, own_path)]
    } else {
        found
    })
}

fn all_by_hand(selection: &Selection, absent: Absent) -> io::Result<Vec<(NetNsId, Vec<PathBuf>)>> {
    let mut found: Vec<(NetNsId, Vec<PathBuf>)> = Vec::new();
    for name in &selection.namespaces {
        match by_hand(name) {
            // Whatever else is wrong may be right in a moment.
            Err(error) if absent == Absent::HasEnded && has_ended(&error) => {}
            Err(error) => return Err(error),
            // One namespace has many names.
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

fn by_hand(name: &str) -> io::Result<(NetNsId, Vec<PathBuf>)> {
    let path = match name.parse::<i32>() {
        Ok(pid) => PathBuf::from(format!("/proc/{pid}/ns/net")),
        Err(_) if name.contains('/') => PathBuf::from(name),
        Err(_) => Path::new("/run/netns").join(name),
    };
    let namespace = namespaces::open(&path).map_err(|error| {
        let message = format!(
            "cannot open the network namespace {name:?} ({}): {error}; give a name in /run/netns, a path or a process id",
            path.display()
        );
        io::Error::new(error.kind(), message)
    })?;
    Ok((namespace.id(), vec![path]))
}

/// Opens a namespace by one of its paths; another namespace may be there by now, or none.
///
/// # Errors
/// When no file can be opened at all.
pub(crate) fn open(paths: &[PathBuf], id: NetNsId) -> io::Result<Option<NetNs>> {
    for path in paths {
        let opened = there(namespaces::open(path))?;
        if let Some(namespace) = opened.filter(|namespace| namespace.id() == id) {
            return Ok(Some(namespace));
        }
    }
    Ok(None)
}

/// `None` where it cannot be entered.
fn holds_cilium(tour: &Tour, namespace: &NetNs) -> Option<bool> {
    tour.enter(namespace).ok()?;
    Some(nix::net::if_::if_nametoindex(CILIUM_HOST).is_ok())
}
