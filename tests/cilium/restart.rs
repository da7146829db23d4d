//! Restarts the agents of both nodes while netviz counts and packets are in flight.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    net::IpAddr,
    process::Stdio,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use ipnet::IpNet;
use netviz::{lab::traffic, sys::netns::NetNs};
use netviz_tests::{
    cilium::cilium_lab::{CiliumLab, Pod},
    cli::netviz::{Running, command},
};
use serde_json::Value;

/// An agent recompiles its programs.
const PATIENCE: Duration = Duration::from_secs(100);
/// Well below the capacity of a link, and many while an agent starts.
const INTERVAL: Duration = Duration::from_millis(5);

pub(crate) fn during_a_run(cilium: &CiliumLab) -> Result<()> {
    let netviz = Netviz::start(cilium)?;
    let before = netviz.until("all doors are counted", |seen| {
        is_settled(seen) && health(cilium, seen).is_some()
    })?;
    let old = health(cilium, &before).context("no lxc_health")?;
    let [from, to] = on_two_nodes(cilium, &before)?;
    let destination = address(&before, to).context("a pod without an address")?;
    let over = AtomicBool::new(false);
    let (sent, answered, after) = thread::scope(|scope| {
        let pinger = scope.spawn(|| ping(&from.netns, destination, &over));
        let after = restart(cilium, &netviz, &old);
        over.store(true, Ordering::Relaxed);
        let (sent, answered) = pinger
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        anyhow::Ok((sent, answered, after?))
    })?;
    ensure!(
        answered == sent,
        "{} of {sent} pings were lost",
        sent - answered
    );
    // The last ping may have been sent after that snapshot.
    let enough = netviz.until("the pings are counted", |seen| {
        doors(seen).all(|door| {
            let place = place(door);
            let other = doors(&before).find(|other| self::place(other) == place);
            other.is_none_or(|other| {
                ["ingress", "egress"].iter().all(|hook| {
                    let packets = |door: &Value| door[hook]["packets"].as_u64();
                    let is_pinger = door["netns"] == from.netns.id().0;
                    let least = if is_pinger { sent } else { 0 };
                    packets(door).unwrap_or(0) >= packets(other).unwrap_or(0) + least
                })
            })
        })
    });
    enough.map(drop).with_context(|| format!("after {after}"))
}

/// Restarts both agents, and returns the snapshot in which both have new health endpoints that are
/// counted.
fn restart(cilium: &CiliumLab, netviz: &Netviz, old: &Health) -> Result<Value> {
    for node in &cilium.nodes {
        cilium.agent("restart", node)?;
    }
    netviz.until("the new health endpoints are counted", |seen| {
        is_settled(seen)
            && health(cilium, seen)
                .is_some_and(|new| new.iter().all(|(node, index)| old.get(node) != Some(index)))
    })
}

/// Index of `lxc_health` on each node that has one, by the node's name.
type Health = BTreeMap<String, u64>;

/// Returns `None` if a node has no counted `lxc_health`, or not both of its ends.
fn health(cilium: &CiliumLab, seen: &Value) -> Option<Health> {
    let health: Health = doors(seen)
        .filter(|door| door["interface"] == "lxc_health" && door["state"] == "counting")
        .filter_map(|door| {
            let mut ends = doors(seen);
            ends.find(|end| {
                end["peer_interface"] == "lxc_health"
                    && end["node"] == door["node"]
                    && end["peer_ifindex"] == door["ifindex"]
                    && end["state"] == "counting"
            })?;
            Some((door["node"].as_str()?.to_owned(), door["ifindex"].as_u64()?))
        })
        .collect();
    (health.len() == cilium.nodes.len()).then_some(health)
}

fn is_settled(seen: &Value) -> bool {
    doors(seen).all(|door| {
        matches!(
            door["state"].as_str(),
            Some("counting" | "bypassed" | "gone")
        )
    })
}

fn doors(seen: &Value) -> impl Iterator<Item = &Value> {
    seen["doors"].as_array().into_iter().flatten()
}

fn place(door: &Value) -> (&Value, &Value) {
    (&door["netns"], &door["ifindex"])
}

/// Returns two pods on different nodes.
fn on_two_nodes<'a>(cilium: &'a CiliumLab, seen: &Value) -> Result<[&'a Pod; 2]> {
    let home = |pod: &Pod| {
        let mut doors = doors(seen);
        let door = doors.find(|door| door["netns"] == pod.netns.id().0)?;
        door["node"].as_str().map(str::to_owned)
    };
    let one = cilium.pods.first().context("no pod")?;
    let mut others = cilium.pods.iter();
    let other = others.find(|pod| home(pod) != home(one));
    Ok([one, other.context("all pods are on one node")?])
}

fn address(seen: &Value, pod: &Pod) -> Option<IpAddr> {
    let door = doors(seen).find(|door| door["netns"] == pod.netns.id().0)?;
    let addresses = door["addresses"].as_array()?.iter();
    let mut plain = addresses.filter_map(|text| Some(text.as_str()?.parse::<IpNet>().ok()?.addr()));
    plain.find(IpAddr::is_ipv4)
}

/// Pings at a steady rate until `over` is set. Returns the number of requests and of replies.
fn ping(from: &NetNs, to: IpAddr, over: &AtomicBool) -> Result<(u64, u64)> {
    let (mut sent, mut answered) = (0, 0);
    while !over.load(Ordering::Relaxed) {
        answered += u64::from(traffic::ping(from, to, 1)?);
        sent += 1;
        thread::sleep(INTERVAL);
    }
    Ok((sent, answered))
}

/// The real binary, and each snapshot that it prints.
struct Netviz {
    _running: Running,
    snapshots: Receiver<Value>,
}

impl Netviz {
    fn start(cilium: &CiliumLab) -> Result<Self> {
        let mut command = command(&["doors", "-o", "jsonl", "--watch", "250ms"]);
        command
            .env("NETVIZ_NETNS", cilium.netns().join(","))
            .stdout(Stdio::piped());
        let mut running = Running::start(&mut command);
        let output = running.child.stdout.take().context("no stdout")?;
        let (sender, snapshots) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(snapshot) = serde_json::from_str(&line) else {
                    return;
                };
                if sender.send(snapshot).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            _running: running,
            snapshots,
        })
    }

    /// Returns the first new snapshot that satisfies `is_so`.
    fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let end = Instant::now() + PATIENCE;
        let mut last = Value::Null;
        // Discard snapshots that were printed earlier.
        while self.snapshots.try_recv().is_ok() {}
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.snapshots.recv_timeout(left) {
                Ok(seen) if is_so(&seen) => return Ok(seen),
                Ok(seen) => last = seen,
                Err(error) => anyhow::bail!("waiting until {what}: {error}; last: {last}"),
            }
        }
    }
}
