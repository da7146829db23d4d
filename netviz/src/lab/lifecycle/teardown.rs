//! Down, until nothing is left.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::Lab;
use crate::lab::datapath::Datapath;

/// How long the kernel may take to clear away what nobody holds any more.
const TEARDOWN: Duration = Duration::from_secs(10);
/// How often it is asked meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

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

fn wait_until(what: &str, mut done: impl FnMut() -> io::Result<bool>) -> Result<()> {
    let limit = Instant::now() + TEARDOWN;
    while !done()? {
        if Instant::now() > limit {
            bail!("waited {} s, and still not: {what}", TEARDOWN.as_secs());
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}
