//! Attaches copies of an object to doors, inspections who else is at their hooks, and detaches them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use super::{
    attached::{self, AttachMode, Attached, Visit},
    clsact::Instance,
    errors::AttachError,
    expedite::Expedite,
    object::{Loader, Object, Switch},
};
use crate::{
    discover::Discovered,
    model::{Door, DoorId},
    sys::netns::{NetNs, Tour, tour},
};

/// More attachments than this are a burst, for `--fast-attach`.
pub(super) const BURST: usize = 4;

/// Copies of one object at many doors. Detaches everything when it is dropped.
pub(crate) struct Engine<'a, T> {
    loader: Loader<'a, T>,
    mode: Option<AttachMode>,
    expedite: Option<Expedite>,
    /// This netviz, once it has filters.
    instance: Option<Instance>,
    /// Where the namespaces are.
    pub(crate) found: Arc<Discovered>,
    pub(crate) attached: HashMap<DoorId, Attached>,
}

/// The result of inspecting an attached door.
#[derive(Debug)]
pub(crate) enum Inspection {
    /// Its namespace is gone or cannot be entered; with the error, where it cannot be opened.
    Unreachable(Option<String>),
    /// netviz is attached; the other programs changed since the last inspection, or not.
    Attached { changed: bool },
    /// netviz is not attached any more, or the interface is gone.
    Lost,
}

impl<'a, T: Object> Engine<'a, T> {
    /// `expedite` is there for `--fast-attach`.
    pub(crate) fn new(
        kind: &'a T,
        mode: Option<AttachMode>,
        expedite: Option<Expedite>,
        found: Arc<Discovered>,
    ) -> Self {
        Self {
            loader: Loader::new(kind),
            mode,
            expedite,
            instance: None,
            found,
            attached: HashMap::new(),
        }
    }

    /// Attaches a copy to a door in `namespace`, and returns its maps.
    pub(crate) fn attach(
        &mut self,
        door: &Door,
        namespace: &NetNs,
    ) -> Result<T::Maps, AttachError> {
        let (programs, maps) = self.loader.load(door)?;
        let (mode, instance) = (self.mode, &mut self.instance);
        let attach = || attached::attach(door, &programs, mode, instance, &mut Visit::default());
        let attached = namespace.run(attach).map_err(AttachError::Enter)??;
        self.mode = Some(attached.mode());
        self.attached.insert(door.id, attached);
        Ok(maps)
    }
}

impl<T: Switch> Engine<'_, T> {
    /// Puts the other programs in the place of the object's own, or these back if `on` is false.
    pub(super) fn switch(
        &mut self,
        door: DoorId,
        maps: &T::Maps,
        on: bool,
    ) -> Result<Option<T::Other>, AttachError> {
        let attached = self.attached.get_mut(&door).ok_or(AttachError::Removed)?;
        let namespace = self.found.open_for(door).map_err(AttachError::Open)?;
        let namespace = namespace.ok_or(AttachError::Vanished)?;
        let (programs, other) = if on {
            let (programs, other) = self.loader.kind().switched_on(&attached.door, maps)?;
            (programs, Some(other))
        } else {
            (self.loader.kind().switched_off(maps)?, None)
        };
        let replace = || attached.replace(&programs, &mut Visit::default());
        namespace.run(replace).map_err(AttachError::Enter)??;
        Ok(other)
    }
}

impl<T> Engine<'_, T> {
    /// Whether netviz's turn to attach has come: without tcx, a filter that is attached before
    /// Cilium's ends up behind it.
    pub(crate) fn may_attach(&self, door: &Door, namespace: &NetNs) -> bool {
        let (ifindex, mode) = (door.id.ifindex, self.mode);
        namespace
            .run(|| attached::may_attach(ifindex, mode, &mut Visit::default()))
            .unwrap_or(true)
    }

    /// With `--fast-attach`, has the kernel expedite RCU while many doors are `pending`.
    pub(crate) fn expedite(&mut self, pending: usize) {
        if let Some(expedite) = &mut self.expedite {
            expedite.set(pending > BURST);
        }
    }

    /// Inspections who else is at the hooks of `doors`.
    pub(crate) fn inspect(&mut self, doors: &HashSet<DoorId>) -> Vec<(DoorId, Inspection)> {
        // Not afterwards: a gap would appear shorter by the time of the inspections.
        let now = Instant::now();
        let attached = self.attached.values_mut();
        let mut attached: Vec<_> = attached.filter(|it| doors.contains(&it.door.id)).collect();
        attached.sort_unstable_by_key(|attached| attached.door.id);
        for attached in &mut attached {
            attached.inspected_at = now;
        }
        let (found, mut inspections) = (&self.found, Vec::new());
        tour(|tour| {
            for here in attached.chunk_by_mut(|a, b| a.door.id.netns == b.door.id.netns) {
                inspections.extend(inspect(tour, found, here));
            }
        });
        inspections
    }

    /// Detaches from a door.
    pub(crate) fn detach(&mut self, door: DoorId) {
        let Some(attached) = self.attached.remove(&door) else {
            return;
        };
        if attached.mode() == AttachMode::Tcx {
            return;
        }
        // A filter is removed by a request that counts in the namespace of the thread; where that
        // is gone, the filter is gone with it.
        let name = attached.door.interface.clone();
        let left = match self.found.open_for(door) {
            Ok(None) => return,
            Ok(Some(namespace)) => {
                let detach = move || attached.detach(&mut Visit::default());
                namespace.run(detach).err()
            }
            Err(error) => Some(error),
        };
        if let Some(error) = left {
            log::warn!(
                "netviz's filters stay at {name:?}: {error}; the next start of netviz removes them"
            );
        }
    }

    /// Detaches from all doors.
    pub(crate) fn detach_all(&mut self) {
        self.expedite(self.attached.len());
        let doors: Vec<_> = self.attached.keys().copied().collect();
        for door in doors {
            self.detach(door);
        }
        self.expedite(0);
    }
}

/// However its thread ends, a panic included.
impl<T> Drop for Engine<'_, T> {
    fn drop(&mut self) {
        self.detach_all();
    }
}

/// Inspections at doors of one namespace.
fn inspect(
    tour: &Tour,
    found: &Discovered,
    doors: &mut [&mut Attached],
) -> Vec<(DoorId, Inspection)> {
    let opened = match doors.first() {
        Some(attached) => found.open_for(attached.door.id),
        None => Ok(None),
    };
    let (entered, error) = match opened {
        Ok(namespace) => (namespace.is_some_and(|it| tour.enter(&it).is_ok()), None),
        Err(error) => (false, Some(error.to_string())),
    };
    let mut visit = Visit::default();
    let inspect = |attached: &mut &mut Attached| {
        let inspection = match entered.then(|| attached.inspect(&mut visit)) {
            None => Inspection::Unreachable(error.clone()),
            Some(Ok(changed)) => Inspection::Attached { changed },
            Some(Err(_)) => Inspection::Lost,
        };
        (attached.door.id, inspection)
    };
    doors.iter_mut().map(inspect).collect()
}
