//! A place to stand beside somebody else: a sender, a receiver, and where packets may be led astray.

use std::time::Duration;

use netviz::{
    model::{Counts, Direction},
    trace::{AttachMode, AttachOptions},
};

use crate::{
    foreign::{Foreign, Verdict},
    observe::Observation,
    room::{End, Room, join},
    send::{self, HEADERS, Sink},
    stats,
    wait::settle,
};

/// Packets of one try.
pub const SENT: u64 = 100;
const SIZE: usize = 100;
/// A packet crosses a veth pair in microseconds; this is for a machine that does other things.
const ARRIVAL: Duration = Duration::from_secs(5);
/// Index of the pairs of [`Site`] that lead to the third room, at the sender and the receiver.
const ASIDE_OF_SENDER: u32 = 12;
const ASIDE_OF_RECEIVER: u32 = 13;

/// A sender and a receiver, each with another pair to a third room, where redirected packets go.
pub struct Site {
    /// Sends.
    pub sender: Room,
    /// Is sent to.
    pub receiver: Room,
    aside: Room,
    /// The pair between sender and receiver.
    pub ends: [End; 2],
}

/// What became of [`SENT`] packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// By the receiver's socket.
    pub received: u64,
    /// Back at the sender's own interface.
    pub returned: u64,
    /// In the third room.
    pub aside: u64,
    /// Shown to the foreign program.
    pub seen: u64,
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// Three rooms and three pairs.
    pub fn new() -> Self {
        let [sender, receiver, aside] = std::array::from_fn(|_| Room::new().unwrap());
        let ends = join(&sender, &receiver, 1).unwrap();
        join(&sender, &aside, 2).unwrap();
        join(&receiver, &aside, 3).unwrap();
        Self {
            sender,
            receiver,
            aside,
            ends,
        }
    }

    /// The room and the interface whose hook is looked at: the receiver's ingress, or the sender's
    /// egress.
    pub fn place(&self, direction: Direction) -> (&Room, &End) {
        match direction {
            Direction::Ingress => (&self.receiver, &self.ends[1]),
            Direction::Egress => (&self.sender, &self.ends[0]),
        }
    }

    /// netviz at the door in question.
    pub fn observe(&self, direction: Direction, mode: AttachMode) -> Observation {
        let (room, _) = self.place(direction);
        let options = AttachOptions {
            fast: false,
            mode: Some(mode),
        };
        Observation::start(vec![room.name()], options).unwrap()
    }

    /// What netviz has counted at the door in question since it stands there, in packets; that
    /// segments and bytes fit them is taken for granted nowhere else.
    pub fn counted(&self, netviz: &mut Observation, direction: Direction) -> u64 {
        let (room, end) = self.place(direction);
        let [ingress, egress] = netviz.counts(room.netns().id(), end.index);
        let counts = match direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        };
        let expected = Counts {
            packets: counts.packets,
            segments: counts.packets,
            bytes: counts.packets * (SIZE as u64 + HEADERS),
        };
        assert_eq!(counts, expected);
        counts.packets
    }

    /// Sends, and waits for `expected`; what was there in the end.
    pub fn fate(&self, foreign: &Foreign, expected: Fate) -> Fate {
        let mut sink = Sink::open(self.receiver.netns()).unwrap();
        let [mut sender, mut aside] =
            [&self.sender, &self.aside].map(|room| room.netlink().unwrap());
        let mut measure = || {
            let aside = stats::links(&mut aside).unwrap();
            Fate {
                received: sink.received(),
                returned: stats::links(&mut sender).unwrap()[&self.ends[0].index].rx_packets,
                aside: aside[&ASIDE_OF_SENDER].rx_packets + aside[&ASIDE_OF_RECEIVER].rx_packets,
                seen: foreign.seen().unwrap(),
            }
        };
        let before = measure();
        let to = self.ends[1].address;
        send::datagrams(self.sender.netns(), to, SENT, SIZE).unwrap();
        settle(ARRIVAL, &expected, || {
            let now = measure();
            Fate {
                received: now.received - before.received,
                returned: now.returned - before.returned,
                aside: now.aside - before.aside,
                seen: now.seen - before.seen,
            }
        })
    }
}

/// Every verdict at every hook, and what it does to [`SENT`] packets.
pub fn cases() -> Vec<(Direction, Verdict, Fate)> {
    use Direction::{Egress, Ingress};
    let seen = Fate {
        seen: SENT,
        ..Fate::default()
    };
    let received = Fate {
        received: SENT,
        ..seen
    };
    let aside = Fate {
        aside: SENT,
        ..seen
    };
    // Out of the device through which it came in.
    let returned = Fate {
        returned: SENT,
        ..seen
    };
    vec![
        (Ingress, Verdict::Ok, received),
        (Ingress, Verdict::Next, received),
        (Ingress, Verdict::Shot, seen),
        (Ingress, Verdict::Redirect(ASIDE_OF_RECEIVER), aside),
        (Ingress, Verdict::Redirect(11), returned),
        (Egress, Verdict::Ok, received),
        (Egress, Verdict::Next, received),
        (Egress, Verdict::Shot, seen),
        (Egress, Verdict::Redirect(ASIDE_OF_SENDER), aside),
    ]
}
