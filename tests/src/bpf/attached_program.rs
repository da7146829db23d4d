//! Attaches programs of any object at any hook, as another tool would.

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    programs::{
        LinkOrder, SchedClassifier,
        tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
    },
};
use netviz::{model::Direction, sys::netns::NetNs};

use crate::bpf::foreign_program::attach_type;

/// A program in a tcx chain; detached on drop.
pub struct AttachedProgram {
    object: Ebpf,
    name: String,
    /// Its link.
    pub link: SchedClassifierLink,
}

/// A hook of a device.
#[derive(Clone, Copy)]
pub struct AttachPoint<'a> {
    /// Namespace of the device.
    pub namespace: &'a NetNs,
    /// Name of the device.
    pub interface: &'a str,
    /// Direction of the hook.
    pub direction: Direction,
}

impl AttachedProgram {
    /// Attaches a program of an object at a position in the chain.
    pub fn tcx(object: &[u8], name: &str, spot: AttachPoint<'_>, order: LinkOrder) -> Result<Self> {
        let mut object = load(object, name)?;
        let options = TcAttachOptions::TcxOrder(order);
        let link = attach(&mut object, name, spot, options)?;
        Ok(Self {
            object,
            name: name.into(),
            link,
        })
    }

    /// Returns the kernel's ID of the program.
    pub fn id(&self) -> Result<u32> {
        let program = self.object.program(&self.name).context("the program")?;
        Ok(program.info()?.id())
    }
}

/// Adds a filter that remains until its device is deleted, like that of a process that has ended.
pub fn filter(object: &[u8], name: &str, spot: AttachPoint<'_>, place: (u16, u32)) -> Result<()> {
    let mut object = load(object, name)?;
    spot.namespace
        .run(|| match tc::qdisc_add_clsact(spot.interface) {
            Err(TcError::NetlinkError(error)) if error.raw_os_error() != Some(libc::EEXIST) => {
                Err(error)
            }
            _ => Ok(()),
        })??;
    let options = TcAttachOptions::Netlink(NlOptions {
        priority: place.0,
        handle: TcHandle::from(place.1),
        ..NlOptions::default()
    });
    // Dropping it would remove the filter.
    std::mem::forget(attach(&mut object, name, spot, options)?);
    Ok(())
}

fn load(object: &[u8], name: &str) -> Result<Ebpf> {
    let mut object = EbpfLoader::new().btf(None).load(object)?;
    program(&mut object, name)?.load()?;
    Ok(object)
}

fn attach(
    object: &mut Ebpf,
    name: &str,
    spot: AttachPoint<'_>,
    options: TcAttachOptions,
) -> Result<SchedClassifierLink> {
    spot.namespace.run(|| {
        let program = program(object, name)?;
        let hook = attach_type(spot.direction);
        let id = program.attach_with_options(spot.interface, hook, options)?;
        anyhow::Ok(program.take_link(id)?)
    })?
}

fn program<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier> {
    Ok(object
        .program_mut(name)
        .context(name.to_owned())?
        .try_into()?)
}
