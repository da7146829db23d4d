//! `bpf(2)`, for what aya does not offer: attaching by interface index in front of all others, the
//! programs of a hook with their links, netkit, maps opened read-only.
//!
//! aya finds interfaces by name. A name can move to another interface between two calls, and need not be
//! UTF-8; an index identifies one interface while it exists.

use std::{
    error::Error,
    ffi::{CStr, CString},
    io, mem,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya::{maps::MapError, programs::ProgramError};
use aya_obj::generated::{
    BPF_F_BEFORE, BPF_F_QUERY_EFFECTIVE, BPF_F_RDONLY, bpf_attach_type, bpf_attr, bpf_btf_info,
    bpf_cmd, bpf_insn, bpf_prog_info, bpf_prog_type,
};

use super::btf::word;
use crate::model::Direction;

/// `BPF_MPROG_MAX`: the kernel's limit of programs at one hook.
const MAX_PROGRAMS: usize = 64;
/// Limit on the BTF of one program.
const MAX_BTF: u32 = 16 << 20;

/// The programs of one hook in the order in which they run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Grows with every change of the hook.
    pub revision: u64,
    /// Ids of the programs, each with that of the link by which it is attached.
    pub programs: Vec<(u32, Option<u32>)>,
}

/// What the kernel knows of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its name, cut to 15 bytes by the kernel; empty if it was loaded without one.
    pub name: String,
    /// Hash over its instructions.
    pub tag: u64,
    /// When it was loaded, in nanoseconds since the start of the machine.
    pub loaded: u64,
    /// User who loaded it.
    pub uid: u32,
    /// Id of its type information, 0 for none.
    pub btf: u32,
}

/// The tcx hook of a direction.
#[must_use]
pub fn tcx(direction: Direction) -> bpf_attach_type {
    match direction {
        Direction::Ingress => bpf_attach_type::BPF_TCX_INGRESS,
        Direction::Egress => bpf_attach_type::BPF_TCX_EGRESS,
    }
}

/// Attaches a program in front of all others by a tcx link (Linux 6.6), which ends with its
/// descriptor. The index counts in the namespace of the calling thread.
///
/// # Errors
/// `EINVAL` on a kernel without tcx, `ENODEV` without such an interface.
pub fn attach_first(
    program: BorrowedFd<'_>,
    ifindex: u32,
    direction: Direction,
) -> io::Result<OwnedFd> {
    let mut attributes = zeroed();
    attributes.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attributes.link_create.__bindgen_anon_2.target_ifindex = ifindex;
    attributes.link_create.attach_type = tcx(direction) as u32;
    attributes.link_create.flags = BPF_F_BEFORE;
    descriptor(bpf_cmd::BPF_LINK_CREATE, &mut attributes)
}

/// Puts another program in the place of a link's: each packet meets one of the two.
///
/// # Errors
/// The kernel's errno; `ENOLINK` where the interface, or another tool's detaching, has ended the link.
pub(crate) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = zeroed();
    attributes.link_update.link_fd = link.as_raw_fd().cast_unsigned();
    attributes.link_update.__bindgen_anon_1.new_prog_fd = program.as_raw_fd().cast_unsigned();
    call(bpf_cmd::BPF_LINK_UPDATE, &mut attributes).map(drop)
}

/// Loads a classifier whose instructions contain the descriptors of its maps.
///
/// # Errors
/// The kernel's errno; the verifier's last words are in the log of netviz.
pub(crate) fn load_classifier(
    name: &str,
    license: &CStr,
    instructions: &[bpf_insn],
) -> io::Result<OwnedFd> {
    let mut attributes = zeroed();
    // SAFETY: this member of the union, all of which is 0.
    let load = unsafe { &mut attributes.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32;
    load.insns = instructions.as_ptr() as u64;
    load.insn_cnt = instructions.len() as u32;
    load.license = license.as_ptr() as u64;
    // The kernel needs the 0 at the end.
    for (to, from) in load.prog_name[..15].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    let loaded = descriptor(bpf_cmd::BPF_PROG_LOAD, &mut attributes);
    if loaded.is_err() && log::log_enabled!(log::Level::Debug) {
        let mut text = vec![0_u8; 1 << 20];
        // SAFETY: as above.
        let load = unsafe { &mut attributes.__bindgen_anon_3 };
        load.log_level = 1;
        load.log_size = text.len() as u32;
        load.log_buf = text.as_mut_ptr() as u64;
        let _ = descriptor(bpf_cmd::BPF_PROG_LOAD, &mut attributes);
        let text = CStr::from_bytes_until_nul(&text).unwrap_or_default();
        let text = text.to_string_lossy();
        let last = text.lines().rev().take(30).collect::<Vec<_>>();
        log::debug!("the verifier refuses {name}: {last:#?}");
    }
    loaded
}

/// The id of a program.
///
/// # Errors
/// The kernel's errno.
pub(crate) fn program_id(program: &OwnedFd) -> io::Result<u32> {
    // SAFETY: integers, for which 0 is valid.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    info_of(program, &mut info)?;
    Ok(info.id)
}

/// Writes the only value of an array of constants, after which nobody can.
///
/// # Errors
/// The kernel's errno.
pub(crate) fn write_constants(map: BorrowedFd<'_>, value: &[u8]) -> io::Result<()> {
    let (mut attributes, key) = (zeroed(), 0_u32);
    // SAFETY: this member of the union, all of which is 0.
    let element = unsafe { &mut attributes.__bindgen_anon_2 };
    element.map_fd = map.as_raw_fd().cast_unsigned();
    element.key = std::ptr::from_ref(&key) as u64;
    element.__bindgen_anon_1.value = value.as_ptr() as u64;
    call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attributes)?;
    let mut attributes = zeroed();
    attributes.__bindgen_anon_2.map_fd = map.as_raw_fd().cast_unsigned();
    call(bpf_cmd::BPF_MAP_FREEZE, &mut attributes).map(drop)
}

/// Queries a hook of a device in the calling thread's namespace. Returns `None` where the kernel, or
/// the device, has no such hook.
///
/// # Errors
/// The kernel's errno; `ENODEV` for a device that no longer exists.
pub fn query(ifindex: u32, hook: bpf_attach_type) -> io::Result<Option<Query>> {
    let (mut programs, mut links) = ([0_u32; MAX_PROGRAMS], [0_u32; MAX_PROGRAMS]);
    let mut attributes = zeroed();
    attributes.query.__bindgen_anon_1.target_ifindex = ifindex;
    attributes.query.attach_type = hook as u32;
    attributes.query.__bindgen_anon_2.count = MAX_PROGRAMS as u32;
    attributes.query.prog_ids = programs.as_mut_ptr() as u64;
    attributes.query.link_ids = links.as_mut_ptr() as u64;
    match call(bpf_cmd::BPF_PROG_QUERY, &mut attributes) {
        Ok(_) => {}
        Err(error) => {
            return match error.raw_os_error() {
                // The kernel does not know the hook, or not all of the fields (before 6.6).
                Some(libc::EINVAL | libc::E2BIG | libc::EOPNOTSUPP) => Ok(None),
                // Not a netkit device, or its peer, which is queried through the primary device.
                Some(libc::ENXIO | libc::EACCES) => Ok(None),
                _ => Err(error),
            };
        }
    }
    // SAFETY: the kernel has answered in this member of the union; every bit pattern is valid.
    let (count, revision) = unsafe {
        let answer = attributes.query;
        (answer.__bindgen_anon_2.count, answer.revision)
    };
    let pairs = programs.into_iter().zip(links).take(count as usize);
    let programs = pairs.map(|(program, link)| (program, (link != 0).then_some(link)));
    Ok(Some(Query {
        revision,
        programs: programs.collect(),
    }))
}

/// How many programs run at a hook of a cgroup: its own, and those of the cgroups above.
///
/// # Errors
/// The kernel's errno.
pub(crate) fn effective(cgroup: BorrowedFd<'_>, hook: bpf_attach_type) -> io::Result<u32> {
    let mut attributes = zeroed();
    attributes.query.__bindgen_anon_1.target_fd = cgroup.as_raw_fd().cast_unsigned();
    attributes.query.attach_type = hook as u32;
    attributes.query.query_flags = BPF_F_QUERY_EFFECTIVE;
    call(bpf_cmd::BPF_PROG_QUERY, &mut attributes)?;
    // SAFETY: the kernel has answered in this member of the union; every bit pattern is valid.
    Ok(unsafe { attributes.query.__bindgen_anon_2.count })
}

/// Returns what the kernel knows of the program with this id.
///
/// # Errors
/// `ENOENT` when it no longer exists.
pub fn program(id: u32) -> io::Result<Program> {
    let mut attributes = zeroed();
    attributes.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
    let fd = descriptor(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attributes)?;
    // SAFETY: integers, for which 0 is valid.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    info_of(&fd, &mut info)?;
    let name = info.name.map(|c| c as u8);
    let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
    Ok(Program {
        name: name.to_string_lossy().into_owned(),
        tag: u64::from_be_bytes(info.tag),
        loaded: info.load_time,
        uid: info.created_by_uid,
        btf: info.btf_id,
    })
}

/// The strings of type information: names of types, members and functions, each ended by a 0.
///
/// # Errors
/// The kernel's errno; `InvalidData` for data that is not BTF.
pub fn btf_strings(id: u32) -> io::Result<Vec<u8>> {
    let mut attributes = zeroed();
    attributes.__bindgen_anon_6.__bindgen_anon_1.btf_id = id;
    let fd = descriptor(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut attributes)?;
    // SAFETY: integers, for which 0 is valid.
    let mut info: bpf_btf_info = unsafe { mem::zeroed() };
    info_of(&fd, &mut info)?;
    let mut data = vec![0_u8; info.btf_size.min(MAX_BTF) as usize];
    let size = data.len() as u32;
    // SAFETY: as above.
    info = unsafe { mem::zeroed() };
    info.btf = data.as_mut_ptr() as u64;
    info.btf_size = size;
    info_of(&fd, &mut info)?;
    strings(&data)
        .map(<[u8]>::to_vec)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The system call's error among the causes of an error of aya, whose transparent variants hide theirs
/// from [`Error::source`].
pub(crate) fn kernel_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let found = match (error.downcast_ref(), error.downcast_ref()) {
            (Some(MapError::IoError(error)), _) | (_, Some(ProgramError::IOError(error))) => {
                Some(error)
            }
            _ => error.downcast_ref(),
        };
        if found.is_some() {
            return found;
        }
        next = error.source();
    }
    None
}

/// An error of aya as that of the system call, if it has one.
pub(crate) fn io_error(error: impl Error + Send + Sync + 'static) -> io::Error {
    let errno = kernel_error(&error).and_then(io::Error::raw_os_error);
    errno.map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error)
}

/// The string section of a BTF blob; its offset in `struct btf_header` counts from the header's end.
fn strings(data: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| Some(word(data, at)? as usize);
    let (header, offset, length) = (word(4)?, word(16)?, word(20)?);
    let start = header.checked_add(offset)?;
    data.get(start..start.checked_add(length)?)
}

/// Opens the object that is pinned at a path: a map, a program or a link. Its `fdinfo` has the type.
///
/// # Errors
/// The kernel's errno.
pub fn pinned(path: &Path) -> io::Result<OwnedFd> {
    open(path, 0)
}

/// Opens the map that is pinned at a path; it cannot be written through this descriptor (Linux 4.15).
///
/// # Errors
/// The kernel's errno.
pub fn pinned_read_only(path: &Path) -> io::Result<OwnedFd> {
    open(path, BPF_F_RDONLY)
}

fn open(path: &Path, flags: u32) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = zeroed();
    attributes.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attributes.__bindgen_anon_4.file_flags = flags;
    descriptor(bpf_cmd::BPF_OBJ_GET, &mut attributes)
}

fn info_of<T>(fd: &OwnedFd, info: &mut T) -> io::Result<()> {
    let mut attributes = zeroed();
    attributes.info.bpf_fd = fd.as_raw_fd().cast_unsigned();
    attributes.info.info_len = size_of::<T>() as u32;
    attributes.info.info = std::ptr::from_mut(info) as u64;
    call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes).map(drop)
}

fn descriptor(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<OwnedFd> {
    let fd = call(command, attributes)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn zeroed() -> bpf_attr {
    // SAFETY: a union of structures of integers, for which 0 is valid.
    unsafe { mem::zeroed() }
}

fn call(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<i32> {
    let size = size_of::<bpf_attr>();
    // SAFETY: the kernel reads and writes `size` bytes of `attributes`; every buffer that these point
    // to outlives the call and has the length that is given beside it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_long, attributes, size) };
    i32::try_from(result)
        .ok()
        .filter(|result| *result >= 0)
        .ok_or_else(io::Error::last_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_valid_and_invalid_btf() {
        let mut blob = vec![0_u8; 24];
        blob[4] = 24;
        blob[16] = 2;
        blob[20] = 5;
        blob.extend(b"xx\0main\0");
        assert_eq!(strings(&blob), Some(&b"\0main"[..]));
        blob[20] = 7;
        assert_eq!(strings(&blob), None);
        blob[16..20].fill(0xff);
        assert_eq!(strings(&blob), None);
        assert_eq!(strings(&[]), None);
    }
}
