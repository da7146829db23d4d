//! Tells of marked packets at the doors: what `netviz verify` sees.
//!
//! As for counting, every door gets a copy of the object, so that the door is known by the ring
//! buffer that tells of it. One thread attaches, then takes out of the ring buffers what comes, and
//! at the end detaches: nothing of this is left when [`Crossings`] has ended, however it ends.

mod door;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd as _,
    sync::Arc,
    thread,
    time::Duration,
};

use netviz_ebpf::crossing::{HAS_TUNNEL, IS_EGRESS, Seen, TcpReplies};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::{mpsc, oneshot};

use super::{AttachOptions, TraceError, expedite::Expedite, hook::Chains};
use crate::{
    discover::Discovered,
    model::{Chain, Direction, Door, DoorId},
    verify::{Hidden, TunnelKey},
};
use door::{Globals, Loader, Lookout};

/// How long the thread sleeps in between, at the most: so long does an end wait.
const NAP: Duration = Duration::from_millis(20);
/// More attachments than this are a burst, for `--fast-attach`.
const BURST: usize = 4;

/// What a marked packet looks like.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// This run's, by chance.
    pub cookie: [u8; 16],
    /// The shortest and the longest `skb->len` with which a marked packet can be seen.
    pub lengths: [u32; 2],
    /// How answers to marked SYNs are recognised.
    pub tcp: TcpReplies,
}

/// One marked packet at one hook, as the kernel told of it.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// Which door.
    pub door: DoorId,
    /// The packet.
    pub seen: Seen,
}

impl Sighting {
    /// When, on the kernel's monotonic clock.
    #[must_use]
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.seen.time)
    }

    /// At which of the door's hooks.
    #[must_use]
    pub fn direction(&self) -> Direction {
        if self.seen.flags & IS_EGRESS == 0 {
            Direction::Ingress
        } else {
            Direction::Egress
        }
    }

    /// The tunnel key. At ingress the kernel gives the other node as the remote end, at egress of a
    /// device in external mode as the local one (kernel 6.18, Cilium 1.19).
    #[must_use]
    pub fn tunnel(&self) -> Option<TunnelKey> {
        (self.seen.flags & HAS_TUNNEL != 0).then(|| {
            let node = [self.seen.remote, self.seen.local]
                .into_iter()
                .find(|address| *address != 0);
            TunnelKey {
                identity: self.seen.identity,
                node: node.map(|address| IpAddr::V4(Ipv4Addr::from(address))),
            }
        })
    }
}

/// What the thread has to say.
#[derive(Debug)]
pub enum News {
    /// Marked packets, in the order of each door, not of time.
    Seen(Vec<Sighting>),
}

/// Everything stands where it can.
#[derive(Debug, Default)]
pub struct Standing {
    /// Who else is on the hooks of each watched door, ingress and egress.
    pub chains: HashMap<DoorId, [Option<Chain>; 2]>,
    /// Doors that cannot be watched.
    pub hidden: Vec<Hidden>,
}

/// What is known at the end.
#[derive(Debug, Default)]
pub struct Closing {
    /// Doors that were not watched all the time.
    pub hidden: Vec<Hidden>,
    /// Marked packets for which there was no room, by door.
    pub missed: HashMap<DoorId, u64>,
    /// What was seen last.
    pub seen: Vec<Sighting>,
}

/// A running watch over marked packets. Detaches everything when it is dropped.
#[derive(Debug)]
pub struct Crossings {
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<Closing>>,
}

/// Starts to attach to `doors`, in this order.
///
/// # Errors
/// When the thread cannot be started or the machine's RCU switch not be set.
pub fn watch(
    found: Arc<Discovered>,
    doors: Vec<Door>,
    marks: Marks,
    options: AttachOptions,
) -> Result<
    (
        Crossings,
        oneshot::Receiver<Standing>,
        mpsc::UnboundedReceiver<News>,
    ),
    TraceError,
> {
    let expedite = options.fast.then(Expedite::new).transpose()?;
    let (end, ended) = oneshot::channel();
    let (stand, standing) = oneshot::channel();
    let (tell, news) = mpsc::unbounded_channel();
    let worker = Worker {
        found,
        options,
        expedite,
        lookouts: Vec::new(),
        hidden: Vec::new(),
    };
    let thread = thread::Builder::new()
        .name("netviz-watch".into())
        .spawn(move || worker.run(doors, marks, ended, stand, &tell))
        .map_err(TraceError::Thread)?;
    let crossings = Crossings {
        end: Some(end),
        thread: Some(thread),
    };
    Ok((crossings, standing, news))
}

impl Crossings {
    /// Takes the last sightings, and detaches.
    #[must_use]
    pub fn finish(mut self) -> Closing {
        self.join().unwrap_or_default()
    }

    fn join(&mut self) -> Option<Closing> {
        drop(self.end.take());
        self.thread.take()?.join().ok()
    }
}

impl Drop for Crossings {
    fn drop(&mut self) {
        self.join();
    }
}

struct Worker {
    found: Arc<Discovered>,
    options: AttachOptions,
    expedite: Option<Expedite>,
    lookouts: Vec<Lookout>,
    hidden: Vec<Hidden>,
}

impl Worker {
    fn run(
        mut self,
        doors: Vec<Door>,
        marks: Marks,
        mut ended: oneshot::Receiver<()>,
        stand: oneshot::Sender<Standing>,
        tell: &mpsc::UnboundedSender<News>,
    ) -> Closing {
        let mut end = || !matches!(ended.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        let chains = self.attach(doors, marks, &mut end);
        let standing = Standing {
            chains,
            hidden: std::mem::take(&mut self.hidden),
        };
        // Nobody waits for it any more when the run was ended meanwhile.
        let _ = stand.send(standing);
        while !end() {
            self.wait();
            let seen = self.take();
            if !seen.is_empty() && tell.send(News::Seen(seen)).is_err() {
                break;
            }
        }
        self.close()
    }

    fn attach(
        &mut self,
        doors: Vec<Door>,
        marks: Marks,
        end: &mut impl FnMut() -> bool,
    ) -> HashMap<DoorId, [Option<Chain>; 2]> {
        let globals = Globals::from(marks);
        let mut loader = Loader::new(&globals);
        let mut mode = self.options.mode;
        let mut found = HashMap::new();
        self.expedite(doors.len() > BURST);
        for door in doors {
            if end() {
                break;
            }
            match Lookout::post(&mut loader, &self.found, &door, mode) {
                Ok((lookout, chains)) => {
                    mode = mode.or(Some(lookout.mode()));
                    self.hidden.extend(displaced(door.id, &chains));
                    found.insert(door.id, chains);
                    self.lookouts.push(lookout);
                }
                Err(reason) => self.hidden.push(Hidden {
                    door: door.id,
                    reason,
                }),
            }
        }
        self.expedite(false);
        found
    }

    fn expedite(&mut self, on: bool) {
        if let Some(expedite) = &mut self.expedite {
            expedite.set(on);
        }
    }

    /// Until something was seen, or for a moment.
    fn wait(&self) {
        let mut descriptors: Vec<_> = self
            .lookouts
            .iter()
            .map(|lookout| PollFd::new(lookout.as_fd(), PollFlags::POLLIN))
            .collect();
        let nap = PollTimeout::try_from(NAP).unwrap_or(PollTimeout::ZERO);
        if descriptors.is_empty() || poll(&mut descriptors, nap).is_err() {
            thread::sleep(NAP);
        }
    }

    fn take(&mut self) -> Vec<Sighting> {
        self.lookouts.iter_mut().flat_map(Lookout::take).collect()
    }

    fn close(mut self) -> Closing {
        let mut closing = Closing {
            seen: self.take(),
            ..Closing::default()
        };
        self.expedite(self.lookouts.len() > BURST);
        for lookout in self.lookouts.drain(..) {
            let door = lookout.door;
            match lookout.missed() {
                Ok(0) => {}
                Ok(missed) => drop(closing.missed.insert(door, missed)),
                Err(error) => closing.hidden.push(unread(door, &error)),
            }
            match lookout.leave(&self.found) {
                Ok(Some(chains)) => closing.hidden.extend(displaced(door, &chains)),
                Ok(None) => {}
                Err(reason) => closing.hidden.push(Hidden { door, reason }),
            }
        }
        self.expedite(false);
        closing
    }
}

fn unread(door: DoorId, error: &io::Error) -> Hidden {
    Hidden {
        door,
        reason: format!("cannot read how many packets were missed: {error}"),
    }
}

/// A door where somebody runs first is hidden: what he ends is never seen.
fn displaced(door: DoorId, chains: &Chains) -> Option<Hidden> {
    let ahead: Vec<_> = chains
        .iter()
        .flatten()
        .flat_map(Chain::foreign_ahead)
        .collect();
    (!ahead.is_empty()).then(|| Hidden {
        door,
        reason: format!(
            "{} runs before netviz: what it ends is not seen; end it, or start netviz after it",
            ahead.join(", ")
        ),
    })
}
