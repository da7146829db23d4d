//! Keeps looking: a thread that waits for rtnetlink's notifications and reads everything again.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use netlink_packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        eventfd::{EfdFlags, EventFd},
        socket::{MsgFlags, recvmsg},
    },
};
use tokio::sync::watch;

use super::{
    Discovered, Selection,
    incarnations::Incarnations,
    namespaces::{self, Place},
    scan::{self, Absent},
};
use crate::{model::NetNsId, sys::netns::NetNs};

/// rtnetlink's groups: links, IPv4 and IPv6 addresses, ids of namespaces.
const GROUPS: [u32; 4] = [1, 5, 9, 28];
/// A burst of notifications is over after this much silence, …
const QUIET: Duration = Duration::from_millis(20);
/// … and is looked at after this long even if it goes on.
const PATIENCE: Duration = Duration::from_millis(200);
/// Processes and mounted namespaces come and go without any notification, so they are looked at:
/// soon after a change, for a pod's first process starts some 100 ms after its interface, …
const INDEX_SOON: Duration = Duration::from_millis(300);
/// … and ever more seldom while nothing happens.
const INDEX_SELDOM: Duration = Duration::from_secs(5);

/// How soon to look again when a look has failed.
const AGAIN: Duration = Duration::from_millis(200);

/// Why the watch could not begin.
#[derive(Debug, thiserror::Error)]
#[error("cannot look for network namespaces and interfaces")]
pub struct WatchError(#[from] io::Error);

/// A running watch; it ends with this value.
#[derive(Debug)]
pub struct Watch {
    receiver: watch::Receiver<Arc<Discovered>>,
    stop: Arc<EventFd>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watch {
    /// Looks once, and goes on looking on a thread of its own. Needs `CAP_SYS_ADMIN` to enter
    /// namespaces, and `CAP_NET_BROADCAST` to be told of changes inside of pods.
    ///
    /// # Errors
    /// When the first look fails.
    pub fn start(selection: Selection) -> Result<Self, WatchError> {
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(io::Error::from)?);
        let mut watcher = Watcher {
            selection,
            listeners: HashMap::new(),
            index: BTreeMap::new(),
            incarnations: Incarnations::default(),
        };
        // Subscribe first, then look: what changes in between is told afterwards.
        watcher.listen(Absent::IsAnError)?;
        // What came since the sockets were there is in this index, or is told.
        let first = scan::look(&watcher.selection, Absent::IsAnError, &watcher.index)?;
        let first = Arc::new(first);
        let (sender, receiver) = watch::channel(first);
        let until = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("netviz-discover".into())
            .spawn(move || watcher.run(&sender, &until))?;
        Ok(Self {
            receiver,
            stop,
            thread: Some(thread),
        })
    }

    /// The latest state, and a way to wait for the next one.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Discovered>> {
        self.receiver.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Fails only if the counter were full.
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watcher {
    selection: Selection,
    listeners: HashMap<NetNsId, Socket>,
    index: BTreeMap<NetNsId, Place>,
    incarnations: Incarnations,
}

impl Watcher {
    fn run(mut self, sender: &watch::Sender<Arc<Discovered>>, stop: &EventFd) {
        let mut pause = INDEX_SOON;
        let mut look_at = Instant::now() + pause;
        let mut failed = false;
        loop {
            let Some(notified) = self.wait(stop, look_at) else {
                return;
            };
            let mut changed = failed;
            if notified {
                match self.settle(stop, &sender.borrow()) {
                    None => return,
                    Some(told) => changed |= told,
                }
            }
            if !changed {
                let index = namespaces::index();
                changed = self.matters(&index, &sender.borrow());
                self.index = index;
            }
            pause = if changed {
                INDEX_SOON
            } else {
                (pause * 2).min(INDEX_SELDOM)
            };
            look_at = Instant::now() + pause;
            if !changed {
                continue;
            }
            let looked = self.look(sender);
            failed = looked.is_err();
            if let Err(error) = looked {
                log::warn!("cannot look for interfaces: {error}; looking again");
                // Nobody else would tell what was missed.
                look_at = Instant::now() + AGAIN;
            }
        }
    }

    fn look(&mut self, sender: &watch::Sender<Arc<Discovered>>) -> io::Result<()> {
        self.listen(Absent::HasEnded)?;
        let mut found = scan::look(&self.selection, Absent::HasEnded, &self.index)?;
        self.incarnations.apply(&mut found, &sender.borrow());
        sender.send_if_modified(|last| {
            let changed = **last != found;
            if changed {
                *last = Arc::new(found);
            }
            changed
        });
        Ok(())
    }

    /// Waits for a notification (true), the time of the next look (false), or the end (`None`).
    fn wait(&self, stop: &EventFd, until: Instant) -> Option<bool> {
        let timeout = until.saturating_duration_since(Instant::now());
        let ready = self.poll(stop, timeout)?;
        Some(ready)
    }

    /// Reads notifications away until there is silence. True when one was a node's or its pods';
    /// `None` at the end.
    fn settle(&mut self, stop: &EventFd, last: &Discovered) -> Option<bool> {
        let deadline = Instant::now() + PATIENCE;
        let is_node = |id| last.cluster.nodes.iter().any(|node| node.netns == id);
        let mut told = false;
        loop {
            for (id, socket) in &self.listeners {
                let Drained { any, deleted } = drain(socket);
                told |= any && is_node(*id);
                for ifindex in deleted {
                    self.incarnations.end(*id, ifindex, last);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let more = self.poll(stop, left.min(QUIET))?;
            if !more || left.is_zero() {
                return Some(told);
            }
        }
    }

    /// Whether what is new among the namespaces can change anything of `last`. A machine on which
    /// many other containers come and go is not to be looked through for each of them.
    fn matters(&self, index: &BTreeMap<NetNsId, Place>, last: &Discovered) -> bool {
        // The way in, or the process whose hostname is the name.
        let known = |id: &NetNsId| index.get(id) != self.index.get(id);
        if last.entrances.keys().any(known) {
            return true;
        }
        let mut new = index.iter().filter(|(id, _)| !self.index.contains_key(id));
        if last.cluster.doors.iter().any(|door| door.problem.is_some()) {
            return new.next().is_some();
        }
        self.selection.namespaces.is_empty()
            && new.any(|(id, place)| {
                scan::open(&place.paths(), *id).is_some_and(|new| scan::holds_cilium(&new))
            })
    }

    fn poll(&self, stop: &EventFd, timeout: Duration) -> Option<bool> {
        let mut fds = vec![PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            self.listeners
                .values()
                .map(|socket| PollFd::new(borrow(socket), PollFlags::POLLIN)),
        );
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        // EINTR counts as a time-out: the caller looks at the clock anyway.
        let _ = poll(&mut fds, timeout);
        let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        if ready(&fds[0]) {
            return None;
        }
        Some(fds[1..].iter().any(ready))
    }

    /// One socket in each node's namespace, and one in our own, where new nodes are plugged in.
    fn listen(&mut self, absent: Absent) -> io::Result<()> {
        let own = NetNs::current()?;
        let index = namespaces::index();
        let nodes = scan::nodes(&self.selection, &index, &own, absent)?;
        self.index = index;
        // A socket keeps its namespace: one that nothing else holds any more is let go.
        let any = self.selection.namespaces.is_empty();
        let known =
            |id: &NetNsId| any && *id == own.id() || nodes.iter().any(|(node, _)| node == id);
        self.listeners.retain(|id, _| known(id));
        if any && let Entry::Vacant(place) = self.listeners.entry(own.id()) {
            place.insert(listener()?);
        }
        for (id, paths) in nodes {
            if self.listeners.contains_key(&id) {
                continue;
            }
            if let Some(namespace) = scan::open(&paths, id) {
                let socket = namespace.run(listener)??;
                self.listeners.insert(id, socket);
            }
        }
        Ok(())
    }
}

/// A socket that is told of changes in its namespace and in all those that the namespace has an
/// id for: in those of its pods, without a handle on any of them.
fn listener() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.set_listen_all_namespaces(true)?;
    socket.set_non_blocking(true)?;
    for group in GROUPS {
        socket.add_membership(group)?;
    }
    Ok(socket)
}

/// What was in a socket.
#[derive(Default)]
struct Drained {
    any: bool,
    deleted: Vec<u32>,
}

/// Reads away what is there; the indexes of interfaces that were deleted in the socket's own
/// namespace. That the buffer has run over (`ENOBUFS`) means the same as a notification: something
/// changed.
fn drain(socket: &Socket) -> Drained {
    let mut drained = Drained::default();
    let mut buffer = [0u8; 16 * 1024];
    let mut control = nix::cmsg_space!(libc::c_int);
    loop {
        let mut parts = [io::IoSliceMut::new(&mut buffer)];
        let received = recvmsg::<()>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_DONTWAIT,
        );
        match received {
            Ok(message) => {
                // The kernel adds the id of the namespace when it is another one.
                let own = message.cmsgs().is_ok_and(|mut all| all.next().is_none());
                let length = message.bytes;
                drained.any = true;
                if own {
                    drained.deleted.extend(deletions(&buffer[..length]));
                }
            }
            Err(Errno::ENOBUFS) => {
                drained.any = true;
                log::debug!("notifications were lost; everything is read again");
            }
            Err(Errno::EINTR) => {}
            Err(_) => return drained,
        }
    }
}

/// The interfaces that are deleted by a datagram's messages.
pub(crate) fn deletions(mut datagram: &[u8]) -> Vec<u32> {
    let mut deleted = Vec::new();
    while let Ok(header) = NetlinkBuffer::new_checked(datagram) {
        let length = header.length() as usize;
        // A bridge tells of its ports, which stay, in a family of its own.
        if let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&datagram[..length])
            && let NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) =
                message.payload
            && link.header.interface_family == AddressFamily::Unspec
        {
            deleted.push(link.header.index);
        }
        datagram = &datagram[length.next_multiple_of(4).min(datagram.len())..];
    }
    deleted
}

fn borrow(socket: &Socket) -> BorrowedFd<'_> {
    // SAFETY: the socket owns the descriptor and outlives the borrow.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}
