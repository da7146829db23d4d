//! Sends marked packets from A's network namespace, and receives replies.
//!
//! Packets are few, small and paced. The thread that sends enters A's network namespace and no other
//! namespace of A; it ends with the run.

mod errors;
mod options;
pub mod packet;
mod socket;

use std::{
    io,
    net::IpAddr,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

pub use crate::verify::protocol::Protocol;
use crate::{
    sys::{
        cgroup::Cgroup,
        netns::NetNs,
        privileges,
        threads::{Stop, Worker},
    },
    verify::Answer,
};
pub use options::{MOST_SYNS, ProbeOptions, ProbeTarget};
use socket::{OpenError, Sender};

/// The longest wait while nothing is due, and so for the end.
const NAP: Duration = Duration::from_millis(20);

/// What the sender reports of one pair.
#[derive(Clone, Debug)]
pub enum Report {
    /// It is about to send.
    Opened {
        /// From this address,
        from: IpAddr,
        /// and these ports, or with this identifier,
        ports: Vec<u16>,
        /// to this address: that of a backend if programs at the cgroup translate the service's.
        to: IpAddr,
    },
    /// The packet with this number was sent, or could not be.
    Sent(u32, Instant),
    /// The packet with this number has its answer.
    Answered(u32, Answer),
}

/// Reports, with the numbers of their pairs.
pub(crate) type Reports = mpsc::UnboundedSender<(u32, Report)>;

/// Starts to send from `namespace`, to services by sockets of `cgroup`, to all of `targets` until the
/// worker is dropped; reports until all packets are answered or timed out, then closes the channel.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn start(
    namespace: NetNs,
    cgroup: Option<Cgroup>,
    targets: Vec<ProbeTarget>,
    probe_options: ProbeOptions,
    reports: Reports,
) -> io::Result<Worker> {
    let work = move |stop: &Stop| {
        let cgroup = cgroup.as_ref();
        let run = || Run::open(&targets, cgroup, probe_options, &reports).work(stop);
        let entered = namespace.run(run);
        if let Err(error) = entered {
            let reason = format!("cannot enter the network namespace of the sender: {error}");
            targets
                .iter()
                .for_each(|target| fail(target, probe_options, &reason, &reports));
        }
    };
    Worker::start("netviz-probe", "sends", work)
}

/// Reports that nothing can be sent to a pair.
fn fail(target: &ProbeTarget, probe_options: ProbeOptions, reason: &str, reports: &Reports) {
    for sequence in 0..probe_options.count {
        let answer = Answer::Unsent(reason.into());
        let _ = reports.send((target.flow, Report::Answered(sequence, answer)));
    }
}

/// The most sockets of one pair. Packets to a service take turns, because those of one socket mostly go to
/// one pod.
const SOCKETS: usize = 8;
/// The most sockets of all pairs that have more than one.
const ALL_SOCKETS: usize = 512;

/// The sockets of one pair.
struct Senders {
    flow: u32,
    all: Vec<Sender>,
}

impl Senders {
    fn open(
        target: ProbeTarget,
        cgroup: Option<&Cgroup>,
        probe_options: ProbeOptions,
        most: usize,
    ) -> Result<Self, OpenError> {
        let is_connection = probe_options.protocol != Protocol::Icmp;
        let sockets = match target.may_be_service && is_connection {
            true => most.min(probe_options.count as usize),
            false => 1,
        };
        let mut all = vec![Sender::open(target, cgroup, probe_options)?];
        // Packets can be sent with one socket, too.
        let more = (1..sockets).map_while(|_| Sender::open(target, cgroup, probe_options).ok());
        all.extend(more);
        Ok(Self {
            flow: target.flow,
            all,
        })
    }

    fn opened(&self) -> Option<Report> {
        let first = self.all.first()?;
        Some(Report::Opened {
            from: first.own.0,
            ports: self.all.iter().map(|sender| sender.own.1).collect(),
            to: first.to(),
        })
    }

    fn send(&mut self, sequence: u32) -> io::Result<()> {
        let place = sequence as usize % self.all.len();
        self.all[place].send(sequence)
    }

    /// Whether every packet has its answer.
    fn complete(&self, count: u32) -> bool {
        self.all.iter().map(Sender::answered).sum::<u32>() >= count
    }
}

struct Run<'a> {
    senders: Vec<Senders>,
    probe_options: ProbeOptions,
    reports: &'a Reports,
}

impl<'a> Run<'a> {
    fn open(
        targets: &[ProbeTarget],
        cgroup: Option<&Cgroup>,
        probe_options: ProbeOptions,
        reports: &'a Reports,
    ) -> Self {
        let mut senders = Vec::new();
        let most = (ALL_SOCKETS / targets.len().max(1)).clamp(1, SOCKETS);
        for target in targets {
            let cgroup = cgroup.filter(|_| target.may_be_service);
            match Senders::open(*target, cgroup, probe_options, most) {
                Ok(pair) => {
                    if let Some(opened) = pair.opened() {
                        let _ = reports.send((target.flow, opened));
                    }
                    senders.push(pair);
                }
                Err(error) => fail(target, probe_options, &error.to_string(), reports),
            }
        }
        // This thread ends with the run, and its open sockets need no privileges.
        privileges::keep_only(&[]);
        Self {
            senders,
            probe_options,
            reports,
        }
    }

    fn work(mut self, stop: &Stop) {
        let begin = Instant::now();
        let mut next = 0;
        let total = self.probe_options.count as usize * self.senders.len();
        let mut last = begin;
        loop {
            while next < total && self.due(begin, next) <= Instant::now() {
                self.send(next);
                next += 1;
                last = Instant::now();
            }
            let until_due = match next == total {
                true => NAP,
                false => self
                    .due(begin, next)
                    .saturating_duration_since(Instant::now()),
            };
            let sockets = self.senders.iter().flat_map(|pair| &pair.all);
            let Some(ready) = stop.poll(sockets.map(AsFd::as_fd), Some(until_due.min(NAP))) else {
                return;
            };
            self.receive(&ready);
            let count = self.probe_options.count;
            let all = self.senders.iter().all(|pair| pair.complete(count));
            if next == total && (all || last.elapsed() > self.probe_options.patience) {
                return;
            }
        }
    }

    /// Reads the sockets at these places.
    fn receive(&mut self, ready: &[usize]) {
        let pairs = self.senders.iter_mut();
        let sockets = pairs.flat_map(|pair| pair.all.iter_mut().map(|sender| (pair.flow, sender)));
        for (place, (flow, sender)) in sockets.enumerate() {
            if ready.contains(&place) {
                for (sequence, answer) in sender.receive() {
                    let _ = self
                        .reports
                        .send((flow, Report::Answered(sequence, answer)));
                }
            }
        }
    }

    /// When this packet is due: the pairs take turns within an interval.
    fn due(&self, begin: Instant, number: usize) -> Instant {
        let pairs = self.senders.len().max(1) as f64;
        begin + self.probe_options.interval.mul_f64(number as f64 / pairs)
    }

    fn send(&mut self, number: usize) {
        let pairs = self.senders.len();
        let sequence = (number / pairs) as u32;
        let pair = &mut self.senders[number % pairs];
        let sent = pair.send(sequence);
        let at = Report::Sent(sequence, Instant::now());
        let _ = self.reports.send((pair.flow, at));
        if let Err(error) = sent {
            let report = Report::Answered(sequence, Answer::Unsent(error.to_string()));
            let _ = self.reports.send((pair.flow, report));
        }
    }
}
