//! A link that reorders packets: it swaps every two.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use netviz::sys::netns::NetNs;

/// Time after which a packet without a successor is passed on.
const PATIENCE_MS: i32 = 100;

/// Reads packets from one link and sends them to another; stops on drop.
///
/// It reads before the hooks, so that a program there can keep the kernel from forwarding the same
/// packets.
#[derive(Debug)]
pub struct ReorderingLink {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl ReorderingLink {
    /// Starts between two links of a namespace, given by index.
    pub fn start(namespace: &NetNs, from: u32, to: u32) -> io::Result<Self> {
        let (from, to) = namespace.run(|| Ok::<_, io::Error>((open(from)?, open(to)?)))??;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || swap(&from, &to, &stopped));
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for ReorderingLink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the relay ended: {error}");
        }
    }
}

/// Opens a socket for all frames of one link, without its own outgoing ones.
fn open(index: u32) -> io::Result<OwnedFd> {
    const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
    let every = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: a system call without pointers.
    let fd = unsafe {
        libc::socket(
            libc::AF_PACKET,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            i32::from(every),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and not shared.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let on: libc::c_int = 1;
    // SAFETY: integers, for which zero is a value.
    let mut place: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    place.sll_family = libc::AF_PACKET as u16;
    place.sll_protocol = every;
    place.sll_ifindex = index.cast_signed();
    // SAFETY: both read as many bytes as the given size.
    let failed = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_PACKET,
            PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        ) != 0
            || libc::bind(
                fd,
                (&raw const place).cast(),
                size_of_val(&place) as libc::socklen_t,
            ) != 0
    };
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

fn swap(from: &OwnedFd, to: &OwnedFd, stop: &AtomicBool) -> io::Result<()> {
    let mut held: Option<Vec<u8>> = None;
    while !stop.load(Ordering::Relaxed) {
        let Some(frame) = receive(from)? else {
            held.take().map_or(Ok(()), |frame| send(to, &frame))?;
            continue;
        };
        match held.take() {
            None => held = Some(frame),
            Some(before) => {
                send(to, &frame)?;
                send(to, &before)?;
            }
        }
    }
    Ok(())
}

fn receive(socket: &OwnedFd) -> io::Result<Option<Vec<u8>>> {
    let mut wait = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one descriptor, as given by the count.
    match unsafe { libc::poll(&raw mut wait, 1, PATIENCE_MS) } {
        0 => return Ok(None),
        ready if ready < 0 => return Err(io::Error::last_os_error()),
        _ => {}
    }
    let mut frame = vec![0_u8; 65_536];
    // SAFETY: as many bytes as the buffer has.
    let length = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            frame.as_mut_ptr().cast(),
            frame.len(),
            0,
        )
    };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    frame.truncate(length);
    Ok(Some(frame))
}

fn send(socket: &OwnedFd, frame: &[u8]) -> io::Result<()> {
    // SAFETY: as many bytes as the frame has.
    let sent = unsafe { libc::send(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
