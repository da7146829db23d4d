//! The kernel's information about each program.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use crate::{
    attach::clsact::Filter,
    audit::model::{Attached, FilterPlace, Owner, Way},
    sys::bpf::{self, Program},
};

/// Bytes that the kernel keeps of a name.
const KEPT: usize = 15;

/// A program of which only the id is known.
pub(super) fn attached(way: Way, program: u32, link: Option<u32>) -> Attached {
    Attached {
        way,
        program_id: Some(program),
        name: format!("program {program}").into(),
        tag: None,
        loaded_at: None,
        uid: None,
        link_id: link,
        filter: None,
        owner: Owner::Other,
        held_by: Vec::new(),
        pinned_at: Vec::new(),
        left_over: false,
    }
}

/// A filter; one without a program has the name of its kind.
pub(super) fn filter(filter: Filter) -> Attached {
    Attached {
        program_id: filter.program,
        name: (&filter.name).into(),
        filter: Some(FilterPlace {
            priority: filter.priority,
            handle: filter.handle(),
            direct_action: filter.direct_action,
            maker: filter.maker(),
            name: filter.name,
        }),
        ..attached(Way::Clsact, 0, None)
    }
}

/// Adds the kernel's information, unless the program was unloaded.
pub(super) fn describe(attached: &mut Attached, known: &mut HashMap<u32, Option<Program>>) {
    let Some(id) = attached.program_id else {
        return;
    };
    let Some(program) = known.entry(id).or_insert_with(|| bpf::program(id).ok()) else {
        return;
    };
    if !program.name.is_empty() {
        attached.name = whole_name(program).into();
    }
    attached.owner = Owner::of(attached.name.raw());
    attached.tag = Some(format!("{:016x}", program.tag));
    attached.uid = Some(program.uid);
    attached.loaded_at = loaded_at(program).map(|at| at.to_string());
}

/// In whole seconds: the two clocks are not read at one moment.
fn loaded_at(program: &Program) -> Option<Timestamp> {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).ok()?;
    let age = Duration::from(now).saturating_sub(Duration::from_nanos(program.loaded));
    let at = Timestamp::now().checked_sub(age).ok()?;
    Timestamp::from_second(at.as_second()).ok()
}

fn whole_name(program: &Program) -> String {
    let cut = program.name.len() == KEPT && program.btf != 0;
    let whole = cut.then(|| completed(&program.name, &bpf::btf_strings(program.btf).ok()?));
    whole.flatten().unwrap_or_else(|| program.name.clone())
}

/// The only name in a program's type information that begins with the kept part.
fn completed(kept: &str, strings: &[u8]) -> Option<String> {
    let names = strings.split(|byte| *byte == 0);
    let mut names = names.filter(|name| name.starts_with(kept.as_bytes()));
    let only = names.next()?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    (names.all(|name| name == only) && only.iter().all(is_name))
        .then(|| String::from_utf8_lossy(only).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_prefix_completes_a_name() {
        let name = |strings: &[u8]| completed("cil_from_contai", strings);
        let whole = Some("cil_from_container".to_owned());
        assert_eq!(name(b"\0int\0cil_from_container\0"), whole);
        assert_eq!(name(b"cil_from_container\0cil_from_container"), whole);
        assert_eq!(name(b"cil_from_container\0cil_from_contaiN\0"), None);
        assert_eq!(name(b"cil_from_container\x1b[2J\0"), None);
        assert_eq!(name(b"\0other\0"), None);
        assert_eq!(name(b""), None);
    }
}
