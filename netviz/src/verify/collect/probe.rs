//! Sends marked packets out of A's network namespace, and hears what comes back.
//!
//! Few, small and paced. The thread that does it enters the namespace of A's network and nothing
//! else of A; it ends with the run.

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

use super::{crossings::Marks, fragments::Shape};
use crate::{
    sys::{
        netns::NetNs,
        privileges,
        threads::{Stop, Worker},
    },
    verify::observation::Answer,
};
pub use packet::Protocol;
pub(super) use packet::of_initial;
use socket::Sender;

/// For the tests: whether a socket of a pair takes `datagram` for an answer or a refusal.
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

/// A nap while nothing is due: so long does an end wait at the most.
const NAP: Duration = Duration::from_millis(20);
/// Headers that a packet can have in front of it at some door: Ethernet with two VLAN tags, outer
/// IPv6, UDP, VXLAN, another Ethernet, or those of an ICMPv6 error that quotes it.
const HEADERS: u32 = 160;
/// The smallest answer to a SYN: a reset, without an Ethernet header.
const RESET: u32 = 40;
/// Of a packet longer than this, the last fragment alone carries the marker, and may be short: no
/// network that carries IPv6 has less room, and a tunnel's headers are in it too.
const FRAGMENTS: u32 = 1_280 - 70;

/// What all probes of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Protocol.
    pub protocol: Protocol,
    /// How many to each.
    pub count: u32,
    /// Between two of one pair.
    pub interval: Duration,
    /// Length of the IP packet in bytes, as far as the protocol leaves a choice.
    pub size: u32,
    /// It may not be fragmented on its way (DF in IPv4).
    pub whole: bool,
    /// How long an answer is waited for.
    pub patience: Duration,
    /// This run's mark.
    pub cookie: [u8; 16],
    /// Upper half of the sequence numbers that marked SYNs begin with.
    pub prefix: u16,
}

/// The most packets of a run whose answers can be told apart where they are marked SYNs.
pub const MOST_SYNS: u32 = 1 << 16;

impl Manner {
    /// What fragments may come of.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            size: self.size,
            whole: self.whole,
        }
    }

    /// What to look for at the doors, where so many pairs take part.
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

/// What the sender has to say, in order.
#[derive(Clone, Debug)]
pub enum Report {
    /// It is about to send from this port, or with this identifier, and this address.
    Opened {
        /// Which pair.
        flow: u32,
        /// Own port, or ICMP identifier.
        port: u16,
        /// Own address.
        address: IpAddr,
    },
    /// Nothing of this pair can be sent at all.
    Failed {
        /// Which pair.
        flow: u32,
        /// Why, and the remedy.
        reason: String,
    },
    /// One packet was handed to the kernel.
    Sent {
        /// Which pair.
        flow: u32,
        /// Which packet.
        sequence: u32,
    },
    /// Something came back for it.
    Answered {
        /// Which pair.
        flow: u32,
        /// Which packet.
        sequence: u32,
        /// What.
        answer: Answer,
    },
}

/// A sender at work, which stops when it is dropped.
#[derive(Debug)]
pub struct Probing(#[expect(dead_code, reason = "held for its Drop")] Worker);

/// Starts to send from `namespace` to all of `aims`; reports until all is sent and answered, or
/// waited for in vain, then closes the channel.
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
        // Of this thread, which ends with the run: what is open needs nothing more.
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
            self.hear(&ready);
            let all = self.senders.iter().all(Sender::complete);
            if next == total && (all || last.elapsed() > self.manner.patience) {
                return;
            }
        }
    }

    /// When the packet with this number is due: the pairs take turns within an interval.
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

    fn hear(&mut self, ready: &[usize]) {
        for place in ready {
            let sender = &mut self.senders[*place];
            for (sequence, answer) in sender.hear() {
                let _ = self.reports.send(Report::Answered {
                    flow: sender.flow(),
                    sequence,
                    answer,
                });
            }
        }
    }
}
