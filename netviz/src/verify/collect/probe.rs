//! Sends marked packets from A's network namespace, and receives replies.
//!
//! Packets are few, small and paced. The thread that sends enters A's network namespace and no other
//! namespace of A; it ends with the run.

mod errors;
mod packet;
mod socket;

use std::{
    io,
    net::IpAddr,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use netviz_ebpf::crossing::TcpReplies;
use tokio::sync::mpsc;

use super::crossings::Marks;
pub use crate::verify::protocol::Protocol;
use crate::{
    sys::{
        netns::NetNs,
        privileges,
        threads::{Stop, Worker},
    },
    verify::{expect::Shape, observation::Answer},
};
pub(super) use packet::of_initial;
use socket::Sender;

/// For the tests: whether a socket of a pair reads `datagram` as a reply or a refusal.
#[cfg(feature = "mutants")]
pub(crate) fn is_answer(manner: &Manner, to: IpAddr, datagram: &[u8]) -> bool {
    let aim = Aim {
        flow: 1,
        to,
        port: 80,
    };
    packet::read(manner, &aim, 40_000, datagram).is_some()
        || packet::marked(manner, &aim, datagram).is_some()
}

/// The longest wait while nothing is due, and so for the end.
const NAP: Duration = Duration::from_millis(20);
/// The longest headers before a packet at any door: Ethernet with two VLAN tags, outer IPv6, UDP,
/// VXLAN, Ethernet, or those of an ICMPv6 error that quotes it.
const HEADERS: u32 = 160;
/// The shortest reply to a SYN: a reset, without an Ethernet header.
const RESET: u32 = 40;
/// Only the last fragment of a longer packet carries the marker, and it may be short: no network with
/// IPv6 has a smaller MTU, which includes a tunnel's headers.
const FRAGMENTS: u32 = 1_280 - 70;

/// How a run sends its probes.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The protocol.
    pub protocol: Protocol,
    /// How many to each destination.
    pub count: u32,
    /// Time between two packets of one pair.
    pub interval: Duration,
    /// Length of the IP packet in bytes, if the protocol leaves a choice.
    pub size: u32,
    /// Whether packets must not be fragmented (DF in IPv4).
    pub whole: bool,
    /// How long to wait for a reply.
    pub patience: Duration,
    /// The marker of this run.
    pub cookie: [u8; 16],
    /// Upper half of the sequence numbers of marked SYNs.
    pub prefix: u16,
}

/// The most marked SYNs of a run whose replies can be distinguished.
pub const MOST_SYNS: u32 = 1 << 16;

impl Manner {
    /// What decides whether they are fragmented.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            size: self.size,
            whole: self.whole,
        }
    }

    /// What to look for at the hooks, in a run of this many pairs.
    #[must_use]
    pub fn marks(&self, pairs: usize) -> Marks {
        let tcp = self.protocol == Protocol::Tcp;
        let shortest = match self.size {
            _ if tcp => RESET,
            size if size > FRAGMENTS => RESET,
            size => size,
        };
        Marks {
            cookie: self.cookie,
            lengths: [shortest, self.size + HEADERS],
            tcp: TcpReplies {
                wanted: u32::from(tcp),
                prefix: u32::from(self.prefix),
            },
            pairs,
        }
    }
}

/// One pair.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// Its number in this run.
    pub flow: u32,
    /// Destination.
    pub to: IpAddr,
    /// Destination port, for UDP and TCP.
    pub port: u16,
}

/// What the sender reports, in order.
#[derive(Clone, Debug)]
pub enum Report {
    /// It is about to send from this port (or with this identifier) and address.
    Opened {
        /// Which pair.
        flow: u32,
        /// Own port, or ICMP identifier.
        port: u16,
        /// Own address.
        address: IpAddr,
    },
    /// It cannot send to this pair at all.
    Failed {
        /// Which pair.
        flow: u32,
        /// Why, and the remedy.
        reason: String,
    },
    /// The kernel accepted one packet.
    Sent {
        /// Which pair.
        flow: u32,
        /// Which packet.
        sequence: u32,
    },
    /// One packet has its answer.
    Answered {
        /// Which pair.
        flow: u32,
        /// Which packet.
        sequence: u32,
        /// The answer.
        answer: Answer,
    },
}

/// A sender at work, which stops when it is dropped.
#[derive(Debug)]
pub struct Probing(#[expect(dead_code, reason = "held for its Drop")] Worker);

/// Starts to send from `namespace` to all of `aims`; reports until all packets are answered or timed
/// out, then closes the channel.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    namespace: NetNs,
    aims: Vec<Aim>,
    manner: Manner,
    reports: mpsc::UnboundedSender<Report>,
) -> io::Result<Probing> {
    let work = move |stop: &Stop| {
        let entered = namespace.run(|| Run::open(&aims, manner, &reports).work(stop));
        if let Err(error) = entered {
            let reason = format!("cannot enter the network namespace of the sender: {error}");
            for aim in &aims {
                let reason = reason.clone();
                let flow = aim.flow;
                let _ = reports.send(Report::Failed { flow, reason });
            }
        }
    };
    Worker::start("netviz-probe", "sends", work).map(Probing)
}

struct Run<'a> {
    senders: Vec<Sender>,
    manner: Manner,
    reports: &'a mpsc::UnboundedSender<Report>,
}

impl<'a> Run<'a> {
    fn open(aims: &[Aim], manner: Manner, reports: &'a mpsc::UnboundedSender<Report>) -> Self {
        let mut senders = Vec::new();
        for aim in aims {
            let flow = aim.flow;
            let report = match Sender::open(*aim, manner) {
                Ok(sender) => {
                    let (port, address) = (sender.port(), sender.address());
                    senders.push(sender);
                    Report::Opened {
                        flow,
                        port,
                        address,
                    }
                }
                Err(error) => Report::Failed {
                    flow,
                    reason: error.to_string(),
                },
            };
            let _ = reports.send(report);
        }
        // This thread ends with the run, and its open sockets need no privileges.
        privileges::keep_only(&[]);
        Self {
            senders,
            manner,
            reports,
        }
    }

    fn work(mut self, stop: &Stop) {
        let begin = Instant::now();
        let mut next = 0;
        let total = self.manner.count as usize * self.senders.len();
        let mut last = begin;
        loop {
            while next < total && self.due(begin, next) <= Instant::now() {
                self.send(next);
                next += 1;
                last = Instant::now();
            }
            let timeout = self.until_due(begin, next, total);
            let sources = self.senders.iter().map(AsFd::as_fd);
            let Some(ready) = stop.poll(sources, Some(timeout)) else {
                return;
            };
            self.receive(&ready);
            let all = self.senders.iter().all(Sender::complete);
            if next == total && (all || last.elapsed() > self.manner.patience) {
                return;
            }
        }
    }

    /// When this packet is due: the pairs take turns within an interval.
    fn due(&self, begin: Instant, number: usize) -> Instant {
        let turn = self
            .manner
            .interval
            .div_f64(self.senders.len().max(1) as f64);
        begin + turn.mul_f64(number as f64)
    }

    fn send(&mut self, number: usize) {
        let pairs = self.senders.len();
        let sequence = (number / pairs) as u32;
        let sender = &mut self.senders[number % pairs];
        let flow = sender.flow();
        let report = match sender.send(sequence) {
            Ok(()) => Report::Sent { flow, sequence },
            Err(error) => Report::Answered {
                flow,
                sequence,
                answer: Answer::Unsent(error.to_string()),
            },
        };
        let _ = self.reports.send(report);
    }

    fn until_due(&self, begin: Instant, next: usize, total: usize) -> Duration {
        if next == total {
            return NAP;
        }
        let due = self.due(begin, next);
        due.saturating_duration_since(Instant::now()).min(NAP)
    }

    fn receive(&mut self, ready: &[usize]) {
        for place in ready {
            let sender = &mut self.senders[*place];
            for (sequence, answer) in sender.receive() {
                let _ = self.reports.send(Report::Answered {
                    flow: sender.flow(),
                    sequence,
                    answer,
                });
            }
        }
    }
}
