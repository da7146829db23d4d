//! The tcx way (Linux 6.6): a link at the head of the chain, gone with its descriptor.

use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType,
    tc::{SchedClassifierLink, TcAttachOptions},
};

use crate::model::{Chain, Direction};

pub(crate) fn attach_type(direction: Direction) -> TcAttachType {
    match direction {
        Direction::Ingress => TcAttachType::Ingress,
        Direction::Egress => TcAttachType::Egress,
    }
}

/// Attaches in front of everybody: behind a program of Cilium's there is nothing to be seen.
/// Called in the door's namespace.
pub(crate) fn attach(
    program: &mut SchedClassifier,
    interface: &str,
    direction: Direction,
) -> Result<SchedClassifierLink, ProgramError> {
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program.attach_with_options(interface, attach_type(direction), options)?;
    program.take_link(id)
}

/// Who is on the hook besides the program with the id `own`; `None` when that one is not there.
/// tcx changes come without any notification (kernel 6.18), so that this has to be asked for.
pub(crate) fn chain(
    interface: &str,
    direction: Direction,
    own: u32,
) -> Result<Option<Chain>, ProgramError> {
    let (_revision, programs) = SchedClassifier::query_tcx(interface, attach_type(direction))?;
    let Some(place) = programs.iter().position(|program| program.id() == own) else {
        return Ok(None);
    };
    let name = |program: &aya::programs::ProgramInfo| {
        let name = program.name_as_str().filter(|name| !name.is_empty());
        name.map_or_else(|| format!("program {}", program.id()), Into::into)
    };
    let ahead = programs[..place].iter().map(name).collect();
    let behind = programs[place + 1..].iter().map(name).collect();
    Ok(Some(Chain { ahead, behind }))
}
