//! Background traffic: every pod exchanges a few packets with every other, and one TCP stream runs
//! between nodes.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    TCP_PORT, UDP_PORT,
    lifecycle::Lab,
    plan::{Pod, PodKind},
    traffic,
};
use crate::sys::{
    icmp,
    threads::{Stop, Worker},
};

/// Each pair exchanges one ping and one datagram in this time.
const ROUND: Duration = Duration::from_millis(500);
/// The stream sends [`CHUNK`] bytes as often as this: 200 KiB/s.
const BEAT: Duration = Duration::from_millis(100);
const CHUNK: usize = 20 * 1024;

/// Running traffic; it ends when this value is dropped. It keeps the namespaces of its pods alive: stop it
/// before you remove a pod.
#[derive(Debug)]
pub struct Traffic {
    _workers: [Worker; 2],
}

/// The sockets of one pod.
struct Talker {
    address: IpAddr,
    udp: UdpSocket,
    icmp: UdpSocket,
}

impl Traffic {
    /// Starts pings and datagrams between all pods of the blog, and one TCP stream between two nodes.
    pub fn start(lab: &Lab) -> Result<Self> {
        let pods: Vec<_> = lab
            .pods()
            .iter()
            .filter(|pod| pod.kind != PodKind::Extra)
            .collect();
        let talkers = pods
            .iter()
            .map(|pod| talker(lab, pod).with_context(|| format!("sockets in pod {}", pod.name)))
            .collect::<Result<Vec<_>>>()?;
        let named = pods.iter().find(|pod| pod.name.starts_with("busybox"));
        let from = named.context("the lab has no busybox")?;
        let other = |pod: &&&Pod| pod.node != from.node && pod.name.starts_with("netshoot");
        let to = pods.iter().find(other);
        let to = SocketAddr::new(to.context("the lab has one node")?.address.into(), TCP_PORT);
        let stream = lab
            .netns(*from)?
            .run(|| TcpStream::connect_timeout(&to, traffic::PATIENCE))?
            .with_context(|| format!("a stream from pod {} to {to}", from.name))?;
        let talk = move |stop: &Stop| talk(&talkers, stop);
        let pour = move |stop: &Stop| {
            if let Err(error) = pour(&stream, stop) {
                log::warn!("the lab's stream to {to} ended: {error}");
            }
        };
        Ok(Self {
            _workers: [
                Worker::start("lab-talk", "sends the lab's packets", talk)?,
                Worker::start("lab-stream", "sends the lab's stream", pour)?,
            ],
        })
    }

    /// Stops the traffic and waits for its threads.
    pub fn stop(self) {}
}

fn talker(lab: &Lab, pod: &Pod) -> io::Result<Talker> {
    let address = pod.address.into();
    lab.netns(pod)?.run(|| {
        let udp = UdpSocket::bind(SocketAddr::new(address, 0))?;
        let icmp = icmp::open(address)?;
        udp.set_nonblocking(true)?;
        icmp.set_nonblocking(true)?;
        Ok(Talker { address, udp, icmp })
    })?
}

/// One pair at a time, evenly over the round, so that nothing comes in bursts.
fn talk(talkers: &[Talker], stop: &Stop) {
    let pairs = talkers.len() * talkers.len().saturating_sub(1);
    let pause = ROUND / u32::try_from(pairs.max(1)).unwrap_or(u32::MAX);
    let identifier = traffic::next_identifier();
    let sequence = AtomicU16::new(0);
    loop {
        for from in talkers {
            for to in talkers.iter().filter(|to| to.address != from.address) {
                if stop.within(pause) {
                    return;
                }
                from.speak(
                    to.address,
                    identifier,
                    sequence.fetch_add(1, Ordering::Relaxed),
                );
                from.listen();
            }
        }
    }
}

impl Talker {
    /// Sends without waiting for the reply: the doors show a loss.
    fn speak(&self, to: IpAddr, identifier: u16, sequence: u16) {
        let request = traffic::ping_request(to, identifier, sequence);
        self.icmp.send_to(&request, icmp::destination(to)).ok();
        let datagram = sequence.to_be_bytes();
        self.udp
            .send_to(&datagram, SocketAddr::new(to, UDP_PORT))
            .ok();
    }

    fn listen(&self) {
        let mut datagram = [0; 2048];
        while self.udp.recv(&mut datagram).is_ok() {}
        while self.icmp.recv(&mut datagram).is_ok() {}
    }
}

/// Sends at each beat, and discards what is echoed.
fn pour(mut stream: &TcpStream, stop: &Stop) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let chunk = vec![0x6e; CHUNK];
    let mut back = vec![0; 4 * CHUNK];
    while !stop.within(BEAT) {
        while or_nothing(stream.read(&mut back))?.is_some_and(|length| length > 0) {}
        // If the window is full, this beat is skipped.
        or_nothing(stream.write(&chunk))?;
    }
    Ok(())
}

fn or_nothing(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
