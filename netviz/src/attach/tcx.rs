//! The other programs at a door where netviz has tcx links (Linux 6.6), in front of all others.

use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};

use crate::{
    model::{Chain, Direction},
    sys::bpf,
};

/// How long the names of filters are valid. They explain where packets end; no count depends on them.
const FILTERS_INTERVAL: Duration = Duration::from_secs(30);

/// How many names are kept: those of two full hooks.
const MAX_NAMES: usize = 128;

/// What was read of the other programs, and need not be read at each inspection.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// By program id. A program keeps its name, and one that replaces it has another id.
    names: HashMap<u32, String>,
    /// The clsact filters at ingress and egress, which run after all of tcx, and when they were read.
    filters: Option<(Instant, [Vec<String>; 2])>,
}

impl Others {
    /// Reads the filters again after a while. Where that fails, the programs ahead are known all the
    /// same.
    pub(super) fn read_filters(&mut self, read: impl FnOnce() -> io::Result<[Vec<String>; 2]>) {
        let fresh = |(at, _): &(Instant, _)| at.elapsed() < FILTERS_INTERVAL;
        if !self.filters.as_ref().is_some_and(fresh) {
            self.filters = read().ok().map(|names| (Instant::now(), names));
        }
    }

    /// The programs around the one with the id `own` at a hook; `None` when that one is not there.
    ///
    /// tcx sends no notifications (kernel 6.18), so this has to be queried.
    pub(super) fn chain(
        &mut self,
        (ifindex, direction): (u32, Direction),
        own: u32,
    ) -> io::Result<Option<Chain>> {
        let query = bpf::query(ifindex, bpf::tcx(direction))?.ok_or(io::ErrorKind::Unsupported)?;
        let ids: Vec<_> = query.programs.into_iter().map(|(id, _)| id).collect();
        let Some(place) = ids.iter().position(|id| *id == own) else {
            return Ok(None);
        };
        let others = ids.iter().filter(|id| **id != own);
        let names = others.map(|id| Ok(self.name(*id)?.into()));
        let mut ahead = names.collect::<io::Result<Vec<_>>>()?;
        let mut behind = ahead.split_off(place);
        if let Some((_, [ingress, egress])) = &self.filters {
            let filters = match direction {
                Direction::Ingress => ingress,
                Direction::Egress => egress,
            };
            behind.extend(filters.iter().map(Into::into));
        }
        Ok(Some(Chain { ahead, behind }))
    }

    fn name(&mut self, id: u32) -> io::Result<String> {
        if let Some(name) = self.names.get(&id) {
            return Ok(name.clone());
        }
        let mut name = bpf::program(id)?.name;
        if name.is_empty() {
            name = format!("program {id}");
        }
        // Programs that are replaced again and again do not fill the memory.
        if self.names.len() == MAX_NAMES {
            self.names.clear();
        }
        self.names.insert(id, name.clone());
        Ok(name)
    }
}
