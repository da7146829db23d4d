//! A sender and a receiver for tests with foreign programs, and a third namespace for redirected
//! packets.

use std::{net::Ipv4Addr, time::Duration};

use netviz::{
    attach::{AttachMode, AttachOptions},
    model::{Counts, Direction},
};

use crate::{
    bpf::foreign_program::{ForeignProgram, Verdict},
    cli::{observation::Observation, wait::settle},
    netns::{
        End, TestNetns, join,
        send::{self, HEADERS, Sink},
        stats,
    },
};

/// Packets of one try, if few are enough.
pub const SENT: u64 = 100;
const SIZE: usize = 100;
/// Packets sent without waiting. The queue between the two ends of a pair holds 1 000
/// (`netdev_max_backlog`) while the receiving processor is busy.
const AT_ONCE: u64 = 500;
/// A packet crosses a veth pair in microseconds; this allows for other load.
const ARRIVAL: Duration = Duration::from_secs(5);
/// Index of the pairs of [`TrafficFixture`] to the third namespace, at the sender and the receiver.
const ASIDE_OF_SENDER: u32 = 12;
const ASIDE_OF_RECEIVER: u32 = 13;

/// A sender and a receiver, each with a second pair to a third namespace for redirected packets.
pub struct TrafficFixture {
    /// Sending namespace.
    pub sender: TestNetns,
    /// Receiving namespace.
    pub receiver: TestNetns,
    _aside: TestNetns,
    /// The pair between sender and receiver.
    pub ends: [End; 2],
    /// Programs at the third namespace's interfaces, which count incoming packets. The statistics
    /// of the links are unsuitable: they omit packets of `bpf_redirect_peer` before Linux 5.13.
    witnesses: [ForeignProgram; 2],
}

/// Where packets arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// At the receiver's socket.
    pub received: u64,
    /// Back at the sender's interface.
    pub returned: u64,
    /// In the third namespace.
    pub aside: u64,
    /// At the foreign program.
    pub seen: u64,
}

impl Default for TrafficFixture {
    fn default() -> Self {
        Self::new()
    }
}

impl TrafficFixture {
    /// Creates three namespaces and three pairs.
    pub fn new() -> Self {
        let [sender, receiver, aside] = std::array::from_fn(|_| TestNetns::new().unwrap());
        let ends = join(&sender, &receiver, 1).unwrap();
        let witnesses = [(&sender, 2), (&receiver, 3)].map(|(namespace, number)| {
            let [_, end] = join(namespace, &aside, number).unwrap();
            ForeignProgram::clsact(aside.netns(), &end.name, Direction::Ingress, Verdict::Ok)
                .unwrap()
        });
        Self {
            sender,
            receiver,
            _aside: aside,
            ends,
            witnesses,
        }
    }

    /// Returns namespace and interface of the hook under test: the receiver's ingress, or the
    /// sender's egress.
    pub fn place(&self, direction: Direction) -> (&TestNetns, &End) {
        match direction {
            Direction::Ingress => (&self.receiver, &self.ends[1]),
            Direction::Egress => (&self.sender, &self.ends[0]),
        }
    }

    /// Starts netviz at the hook under test.
    pub fn observe(&self, direction: Direction, mode: AttachMode) -> Observation {
        let (namespace, _) = self.place(direction);
        let options = AttachOptions {
            fast: false,
            mode: Some(mode),
        };
        Observation::start(vec![namespace.name()], options).unwrap()
    }

    /// Returns the packets that netviz has counted at the hook under test, and checks that segments
    /// and bytes match.
    pub fn counted(&self, netviz: &mut Observation, direction: Direction) -> u64 {
        let (namespace, end) = self.place(direction);
        let [ingress, egress] = netviz.counts(namespace.netns().id(), end.index);
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

    /// Sends [`SENT`] packets and waits for `expected`. Returns the final outcome.
    pub fn outcome(&self, foreign: &ForeignProgram, expected: Outcome) -> Outcome {
        self.outcome_of(SENT, foreign, expected.of(SENT))
    }

    /// Sends packets and waits for `expected`. Returns the final outcome.
    pub fn outcome_of(&self, sent: u64, foreign: &ForeignProgram, expected: Outcome) -> Outcome {
        let mut sink = Sink::open(self.receiver.netns()).unwrap();
        let mut measure = || Outcome {
            received: sink.received(),
            returned: stats::received(&self.sender.name(), &self.ends[0].name).unwrap(),
            aside: self.witnesses.iter().map(|it| it.seen().unwrap()).sum(),
            seen: foreign.seen().unwrap(),
        };
        let before = measure();
        let to = self.ends[1].address;
        let (mut done, mut outcome) = (0, Outcome::default());
        while done < sent {
            let count = AT_ONCE.min(sent - done);
            send::datagrams(self.sender.netns(), to, count, SIZE).unwrap();
            done += count;
            let so_far = expected.of(done);
            outcome = settle(ARRIVAL, &so_far, || measure().since(before));
            if outcome != so_far {
                break;
            }
        }
        outcome
    }
}

impl Outcome {
    /// Returns the same outcome for another number of packets: each field is all or none.
    #[must_use]
    pub fn of(self, packets: u64) -> Self {
        let all = |number| if number == 0 { 0 } else { packets };
        Self {
            received: all(self.received),
            returned: all(self.returned),
            aside: all(self.aside),
            seen: all(self.seen),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            received: self.received - before.received,
            returned: self.returned - before.returned,
            aside: self.aside - before.aside,
            seen: self.seen - before.seen,
        }
    }
}

/// Returns all verdicts at all hooks, with their effect on [`SENT`] packets.
pub fn cases() -> Vec<(Direction, Verdict, Outcome)> {
    use Direction::{Egress, Ingress};
    let seen = Outcome {
        seen: SENT,
        ..Outcome::default()
    };
    let received = Outcome {
        received: SENT,
        ..seen
    };
    let aside = Outcome {
        aside: SENT,
        ..seen
    };
    // Out of the device through which it came in.
    let returned = Outcome {
        returned: SENT,
        ..seen
    };
    // Of the third namespace, as assigned by `join`.
    let [of_sender, of_receiver] = [2, 3].map(|number| Ipv4Addr::new(10, 99, number, 2));
    vec![
        (Ingress, Verdict::Ok, received),
        (Ingress, Verdict::Next, received),
        (Ingress, Verdict::Shot, seen),
        (Ingress, Verdict::Redirect(ASIDE_OF_RECEIVER), aside),
        (Ingress, Verdict::Redirect(11), returned),
        (Ingress, Verdict::Peer(ASIDE_OF_RECEIVER), aside),
        (
            Ingress,
            Verdict::Neigh(ASIDE_OF_RECEIVER, of_receiver),
            aside,
        ),
        (Ingress, Verdict::Unknown, received),
        (Egress, Verdict::Ok, received),
        (Egress, Verdict::Next, received),
        (Egress, Verdict::Shot, seen),
        (Egress, Verdict::Redirect(ASIDE_OF_SENDER), aside),
        // The kernel drops it: redirecting to a peer works only at ingress.
        (Egress, Verdict::Peer(ASIDE_OF_SENDER), seen),
        (Egress, Verdict::Neigh(ASIDE_OF_SENDER, of_sender), aside),
        (Egress, Verdict::Unknown, received),
    ]
}
