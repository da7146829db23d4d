//! What is looked for at the doors.

use std::{fmt::Debug, io, time::Duration};

use aya::{Ebpf, EbpfLoader};
use netviz_ebpf::crossing::{
    COOKIE_GLOBAL, CROSSINGS_MAP, CROSSINGS_ROOM, LENGTHS_GLOBAL, MISSED_MAP, SEE_EGRESS_PROGRAM,
    SEE_INGRESS_PROGRAM, Seen, TCP_GLOBAL, TcpReplies,
};

use crate::{
    model::{Door, Role},
    sys::objects,
};

/// An object of which every door gets a copy, and how it is dealt with.
pub trait Collector: Send + 'static {
    /// What the kernel tells of one packet.
    type Record: Copy + Debug + Send + 'static;
    /// What else a copy has.
    type Maps: Debug + Send + 'static;
    /// What that says in the end.
    type Totals: Debug + Send + 'static;

    /// Programs for ingress and egress.
    const PROGRAMS: [&'static str; 2];
    /// Ring buffer in which packets are told of, and per-CPU array that counts those for which it
    /// had no room.
    const MAPS: [&'static str; 2];

    /// The compiled object.
    fn object() -> &'static [u8];

    /// Sets the object's constants.
    fn globals<'a>(&'a self, loader: &mut EbpfLoader<'a>);

    /// Bytes of the ring buffer at this door: a power of two, of at least a page.
    fn room(&self, door: &Door) -> u32;

    /// Reads what the kernel wrote; `None` where it is too short.
    fn read(bytes: &[u8]) -> Option<Self::Record>;

    /// Takes the copy's other maps.
    ///
    /// # Errors
    /// When the object has them not.
    fn open(object: &mut Ebpf) -> io::Result<Self::Maps>;

    /// Called at every door at one time (of the monotonic clock), when everything stands.
    ///
    /// # Errors
    /// When a map cannot be written.
    fn begin(&self, books: &mut Self::Maps, now: Duration) -> io::Result<()>;

    /// What the copy's other maps say.
    ///
    /// # Errors
    /// When a map cannot be read.
    fn balance(books: &Self::Maps) -> io::Result<Self::Totals>;
}

/// What a marked packet looks like.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// This run's, by chance.
    pub cookie: [u8; 16],
    /// The shortest and the longest `skb->len` with which a marked packet can be seen.
    pub lengths: [u32; 2],
    /// How answers to marked SYNs are recognised.
    pub tcp: TcpReplies,
    /// So many pairs take part, and share the doors that are not a pod's.
    pub pairs: usize,
}

/// For a second and more of all that a run sends, with its answers.
const ROOM_FOR_MANY: u32 = 1024 * 1024;

impl Collector for Marks {
    type Record = Seen;
    type Maps = ();
    type Totals = ();

    const PROGRAMS: [&'static str; 2] = [SEE_INGRESS_PROGRAM, SEE_EGRESS_PROGRAM];
    const MAPS: [&'static str; 2] = [CROSSINGS_MAP, MISSED_MAP];

    fn object() -> &'static [u8] {
        objects::SEE
    }

    fn globals<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader.override_global(COOKIE_GLOBAL, &self.cookie[..], true);
        loader.override_global(LENGTHS_GLOBAL, &self.lengths[..], true);
        loader.override_global(TCP_GLOBAL, &self.tcp, true);
    }

    fn room(&self, door: &Door) -> u32 {
        let shared = matches!(
            door.role,
            Role::CiliumHost | Role::Overlay | Role::Encryption | Role::Uplink | Role::Bridge
        );
        if shared && self.pairs > 1 {
            ROOM_FOR_MANY
        } else {
            CROSSINGS_ROOM
        }
    }

    fn read(bytes: &[u8]) -> Option<Seen> {
        Seen::read(bytes)
    }

    fn open(_: &mut Ebpf) -> io::Result<()> {
        Ok(())
    }

    fn begin(&self, (): &mut (), _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn balance((): &()) -> io::Result<()> {
        Ok(())
    }
}
