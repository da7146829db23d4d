//! Removes everything, and waits until it is gone.

use anyhow::Result;

use super::{Lab, wait_until};
use crate::lab::datapath::Datapath;

impl Lab {
    pub(super) fn tear_down(&mut self) -> Result<()> {
        self.pump = None;
        self.echo = None;
        self.netlinks.clear();
        self.alive = None;
        for pause in self.pod_pauses.drain(..).chain(self.node_pauses.drain(..)) {
            pause.wait();
        }
        let left = self.wire.take().map_or(Ok(()), |mut wire| {
            wait_until("the nodes' links are gone", || Ok(wire.links()?.len() <= 1))
        });
        // Links of devices that are gone close at once.
        let ids: Vec<_> = self
            .datapaths
            .iter()
            .flat_map(Datapath::program_ids)
            .collect();
        self.datapaths.clear();
        left?;
        wait_until("the forwarding programs are unloaded", || {
            Ok(!any_loaded(&ids))
        })
    }
}

fn any_loaded(ids: &[u32]) -> bool {
    let mut loaded = aya::programs::loaded_programs().filter_map(Result::ok);
    !ids.is_empty() && loaded.any(|program| ids.contains(&program.id()))
}
