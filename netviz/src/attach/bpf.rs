//! bpf(2) by interface index.
//!
//! aya finds interfaces by their names. A name can be given away between two calls, and it need not
//! be UTF-8, while an index means one interface for as long as that is there.

use std::{
    io, mem,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{BPF_F_BEFORE, bpf_attach_type, bpf_attr, bpf_cmd, bpf_prog_info};

use crate::model::Direction;

/// The kernel's own limit is 64 programs at one hook (`BPF_MPROG_MAX`).
const MOST: usize = 64;

fn attach_type(direction: Direction) -> u32 {
    let kind = match direction {
        Direction::Ingress => bpf_attach_type::BPF_TCX_INGRESS,
        Direction::Egress => bpf_attach_type::BPF_TCX_EGRESS,
    };
    kind as u32
}

/// A tcx link in front of everybody (Linux 6.6); it is gone with its descriptor. The index counts
/// in the namespace of the calling thread.
///
/// # Errors
/// `EINVAL` on a kernel without tcx, `ENODEV` without such an interface.
pub(super) fn link_first(
    program: BorrowedFd<'_>,
    ifindex: u32,
    direction: Direction,
) -> io::Result<OwnedFd> {
    let mut attr = empty();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attr.link_create.__bindgen_anon_2.target_ifindex = ifindex;
    attr.link_create.attach_type = attach_type(direction);
    attr.link_create.flags = BPF_F_BEFORE;
    let fd = call(bpf_cmd::BPF_LINK_CREATE, &mut attr)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The ids of the programs at a tcx hook, in the order in which they run.
///
/// # Errors
/// `ENODEV` without such an interface.
pub(super) fn programs(ifindex: u32, direction: Direction) -> io::Result<Vec<u32>> {
    let mut ids = [0u32; MOST];
    let mut attr = empty();
    attr.query.__bindgen_anon_1.target_ifindex = ifindex;
    attr.query.attach_type = attach_type(direction);
    attr.query.prog_ids = ids.as_mut_ptr() as u64;
    attr.query.__bindgen_anon_2.count = MOST as u32;
    call(bpf_cmd::BPF_PROG_QUERY, &mut attr)?;
    // SAFETY: the kernel has written the number of ids there.
    let count = unsafe { attr.query.__bindgen_anon_2.count } as usize;
    Ok(ids[..count.min(MOST)].to_vec())
}

/// Name of a program, empty where it has none.
///
/// # Errors
/// `ENOENT` when it was unloaded meanwhile.
pub(super) fn program_name(id: u32) -> io::Result<String> {
    let mut attr = empty();
    attr.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
    let fd = call(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attr)?;
    // SAFETY: the kernel has just made this descriptor for us.
    let program = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: integers, and arrays of them.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    let mut attr = empty();
    attr.info.bpf_fd = program.as_raw_fd().cast_unsigned();
    attr.info.info_len = size_of::<bpf_prog_info>() as u32;
    attr.info.info = (&raw mut info) as u64;
    call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    let bytes: Vec<u8> = info
        .name
        .iter()
        .map(|byte| *byte as u8)
        .take_while(|byte| *byte != 0)
        .collect();
    // The kernel takes letters, digits, points and underlines alone.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn empty() -> bpf_attr {
    // SAFETY: a union of structures of integers.
    unsafe { mem::zeroed() }
}

fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the attributes are as long as is said, and every address in them is that of a
    // buffer which outlives the call and is as long as is said beside it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_int,
            std::ptr::from_mut(attr),
            size_of::<bpf_attr>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}
