//! The tcx way (Linux 6.6): a link at the head of the chain, gone with its descriptor.

use std::io;

use crate::{
    model::{Chain, Direction},
    sys::bpf,
};

/// The ids of the programs at a hook, and who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    ids: Vec<u32>,
    chain: Chain,
}

/// Who is on the hook besides the program with the id `own`; `None` when that one is not there.
///
/// tcx changes come without any notification (kernel 6.18), so that this has to be asked for. Whose
/// ids are those that were seen `before` are not asked for their names again: a program keeps its
/// name, and one that takes another's place has an id of its own.
pub(crate) fn look(
    ifindex: u32,
    direction: Direction,
    own: u32,
    before: Option<Seen>,
) -> io::Result<Option<Seen>> {
    let query = bpf::query(ifindex, bpf::tcx(direction))?.ok_or(io::ErrorKind::Unsupported)?;
    let ids: Vec<_> = query.programs.into_iter().map(|(id, _)| id).collect();
    if let Some(before) = before.filter(|before| before.ids == ids) {
        return Ok(Some(before));
    }
    let Some(place) = ids.iter().position(|id| *id == own) else {
        return Ok(None);
    };
    let names = |ids: &[u32]| ids.iter().map(|id| name(*id)).collect::<io::Result<_>>();
    let chain = Chain {
        ahead: names(&ids[..place])?,
        behind: names(&ids[place + 1..])?,
    };
    Ok(Some(Seen { ids, chain }))
}

impl Seen {
    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }
}

fn name(id: u32) -> io::Result<String> {
    let name = bpf::program(id)?.name;
    Ok(if name.is_empty() {
        format!("program {id}")
    } else {
        name
    })
}
