//! Attaching as Cilium attaches: TCX links at the tail, or clsact filters at priority 1, handle 1.

use anyhow::{Context as _, Result};
use aya::programs::{
    LinkOrder, TcAttachType,
    tc::{self, NlOptions, TcAttachOptions, TcHandle},
};

use super::{Datapath, program};
use crate::lab::{options::Attach, plan::Door};

impl Datapath {
    pub(super) fn attach(&mut self, door: &Door, hook: TcAttachType, name: &str) -> Result<()> {
        let tried = match self.attach {
            Attach::Clsact => self.attach_clsact(door, hook, name),
            Attach::Tcx => self.attach_tcx(door, hook, name),
            // Try TCX: distributions backport it, so the version does not decide.
            Attach::Auto => match self.attach_tcx(door, hook, name) {
                Ok(()) => {
                    self.attach = Attach::Tcx;
                    Ok(())
                }
                Err(error) => {
                    log::debug!("no TCX here, clsact instead: {error:#}");
                    self.attach = Attach::Clsact;
                    self.attach_clsact(door, hook, name)
                }
            },
        };
        tried.with_context(|| format!("attaching {name} to {} {hook:?}", door.name))
    }

    fn attach_tcx(&mut self, door: &Door, hook: TcAttachType, name: &str) -> Result<()> {
        let program = program(&mut self.object, name)?;
        let order = TcAttachOptions::TcxOrder(LinkOrder::last());
        let id = program.attach_with_options(&door.name, hook, order)?;
        self.links.push((door.index, program.take_link(id)?));
        Ok(())
    }

    /// The filter stays until its device is deleted: dropping the link would search for the device in the
    /// namespace of the dropping thread.
    fn attach_clsact(&mut self, door: &Door, hook: TcAttachType, name: &str) -> Result<()> {
        if self.qdiscs.insert(door.index) {
            tc::qdisc_add_clsact(&door.name).context("adding clsact (module sch_ingress)")?;
        }
        let program = program(&mut self.object, name)?;
        let options = NlOptions {
            priority: 1,
            handle: TcHandle::new(0, 1),
            ..NlOptions::default()
        };
        let netlink = TcAttachOptions::Netlink(options);
        let id = program.attach_with_options(&door.name, hook, netlink)?;
        std::mem::forget(program.take_link(id)?);
        Ok(())
    }

    /// Closes the links of a deleted device; its filters are already gone.
    pub(super) fn forget_device(&mut self, index: u32) {
        self.links.retain(|(device, _)| *device != index);
        self.qdiscs.remove(&index);
    }
}
