//! Pods come, go and change while netviz watches: it shows the current state, within a second if
//! nothing must be attached.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkFlags, LinkMessage, State},
};
use netviz::{
    attach::AttachOptions,
    count::Tracer,
    discover::{Discovered, Selection, Watch},
    lab::{Lab, Options, traffic},
    model::{AttachState, Counts, Direction, DoorId, DoorSample, Sample, Side},
    sys::{
        netlink::{Mac, Netlink, NewLink},
        netns::{NetNs, NetNsId},
    },
};
use netviz_tests::{
    bpf::{filters::filters, foreign_program::tcx_chain, frames},
    cli::{
        lab_doors::{Known, found, planned},
        wait::{notify_limit, until},
    },
    netns::send,
};
use tokio::sync::watch::Receiver;

const LONG: Duration = Duration::from_secs(60);

/// While doors are attached, each attachment holds rtnl_lock for a grace period, and every scan of
/// a pod waits for it: a scan of many pods takes longer than a second.
const BUSY: Duration = Duration::from_secs(30);

/// netviz without views.
struct Observer {
    tracer: Tracer,
    receiver: Receiver<Arc<Discovered>>,
    found: Arc<Discovered>,
    _watch: Watch,
}

impl Observer {
    fn start(lab: &Lab) -> Self {
        let pids = lab.nodes().iter().map(|node| node.pid.to_string());
        let selection = Selection::new(pids.collect(), false, &[], &[]).unwrap();
        let watch = Watch::start(selection).unwrap();
        let mut receiver = watch.subscribe();
        let found = receiver.borrow_and_update().clone();
        let mut tracer = Tracer::start(AttachOptions::default()).unwrap();
        tracer.want(&found);
        Self {
            tracer,
            receiver,
            found,
            _watch: watch,
        }
    }

    /// Applies new discoveries and attachments.
    fn update(&mut self) {
        if self.receiver.has_changed().unwrap() {
            self.found = self.receiver.borrow_and_update().clone();
            self.tracer.want(&self.found);
        }
        let waited = async { tokio::time::timeout(Duration::ZERO, self.tracer.changed()).await };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let _ = runtime.unwrap().block_on(waited);
    }

    fn sample(&mut self) -> Sample {
        self.tracer.sample()
    }

    /// Waits until exactly `wanted` is shown. Returns the time that took.
    fn shows(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn() -> BTreeSet<Known>,
    ) -> Duration {
        let ((), took) = until(what, limit, || {
            self.update();
            let (shown, there) = (found(&self.found.cluster), wanted());
            let differs: Vec<_> = shown.symmetric_difference(&there).collect();
            if differs.is_empty() {
                Ok(())
            } else {
                Err(format!(
                    "{} of {} differ: {:#?}",
                    differs.len(),
                    there.len(),
                    &differs[..differs.len().min(4)]
                ))
            }
        });
        took
    }

    /// Waits until every door is counted.
    fn counts(&mut self, what: &str, limit: Duration) -> Duration {
        let ((), took) = until(what, limit, || {
            self.update();
            let sample = self.sample();
            let bad: Vec<_> = self
                .found
                .cluster
                .doors
                .iter()
                .filter(|door| {
                    sample.doors.get(&door.id).is_none_or(|door| {
                        door.meter != AttachState::Counting || door.ingress.is_none()
                    })
                })
                .map(|door| {
                    format!(
                        "{} {:?} {:?}",
                        door.interface,
                        door.id,
                        sample.doors.get(&door.id).map(|door| &door.meter)
                    )
                })
                .collect();
            if bad.is_empty() {
                Ok(())
            } else {
                Err(format!("{bad:?}"))
            }
        });
        took
    }

    fn find(&self, netns: NetNsId, ifindex: u32) -> Option<DoorId> {
        let mut ids = self.found.cluster.doors.iter().map(|door| door.id);
        ids.find(|id| id.netns.known() == Some(netns) && id.ifindex == ifindex)
    }

    fn id(&self, netns: NetNsId, ifindex: u32) -> DoorId {
        self.find(netns, ifindex).expect("no such door")
    }

    fn of(&mut self, id: DoorId) -> DoorSample {
        self.sample().doors[&id].clone()
    }
}

/// Serializes the tests, because they count descriptors and measure times.
fn serial() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lab(extra: u16) -> Lab {
    let options = Options {
        extra_pods_per_node: extra,
        ..Options::default()
    };
    Lab::up(&options).unwrap_or_else(|error| panic!("{error:#}"))
}

fn wire(observer: &Observer) -> NetNsId {
    let doors = observer.found.cluster.doors.iter();
    let mut outside = doors.filter(|door| door.side == Side::Host);
    outside.next().unwrap().id.netns.known().unwrap()
}

fn set(index: u32, attributes: Vec<LinkAttribute>, up: Option<bool>) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = attributes;
    if let Some(up) = up {
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up {
            LinkFlags::Up
        } else {
            LinkFlags::empty()
        };
    }
    RouteNetlinkMessage::SetLink(message)
}

/// Returns the two ends of a pod's veth pair, one of them changed.
fn with(
    mut all: BTreeSet<Known>,
    netns: NetNsId,
    index: u32,
    change: impl Fn(&mut Known),
) -> BTreeSet<Known> {
    let door = all
        .iter()
        .find(|door| door.netns == netns && door.ifindex == index)
        .unwrap()
        .clone();
    let mut other = all
        .iter()
        .find(|other| {
            door.peer
                .as_ref()
                .is_some_and(|peer| peer.0 == other.netns && peer.1 == other.ifindex)
        })
        .unwrap()
        .clone();
    all.remove(&door);
    all.remove(&other);
    let mut door = door;
    change(&mut door);
    if let Some(peer) = &mut other.peer {
        peer.2.clone_from(&door.interface);
    }
    all.insert(door);
    all.insert(other);
    all
}

#[test]
fn pods_are_added_removed_and_changed() {
    let _serial = serial();
    let mut lab = lab(0);
    let mut observer = Observer::start(&lab);
    let wire = wire(&observer);
    observer.shows("the beginning", notify_limit(), || planned(&lab, wire));
    println!(
        "26 doors counted after {:?}",
        observer.counts("the beginning", LONG)
    );

    lab.add_pod("mycluster-worker", "new").unwrap();
    println!(
        "add_pod: {:?}",
        observer.shows("a pod comes", notify_limit(), || planned(&lab, wire))
    );
    println!(
        "  counted {:?}",
        observer.counts("a pod comes", notify_limit())
    );

    let pod = lab
        .pods()
        .iter()
        .find(|pod| pod.name == "new")
        .unwrap()
        .clone();
    let inside = lab.netns(&pod).unwrap();
    let id = inside.id();
    let mut netlink = Netlink::open_in(&inside).unwrap();
    drop(inside);
    let before = observer.id(id, pod.eth0.index);
    let index = pod.eth0.index;
    let name = |name: &str| vec![LinkAttribute::IfName(name.into())];

    netlink.change(set(index, name("renamed"), None)).unwrap();
    let renamed = with(planned(&lab, wire), id, index, |door| {
        door.interface = "renamed".into()
    });
    println!(
        "rename while up: {:?}",
        observer.shows("renamed while up", notify_limit(), || renamed.clone())
    );
    netlink.change(set(index, vec![], Some(false))).unwrap();
    netlink.change(set(index, name("again"), None)).unwrap();
    let again = with(planned(&lab, wire), id, index, |door| {
        door.interface = "again".into()
    });
    println!(
        "rename while down: {:?}",
        observer.shows("renamed while down", notify_limit(), || again.clone())
    );
    netlink.change(set(index, name("eth0"), None)).unwrap();
    netlink.change(set(index, vec![], Some(true))).unwrap();
    observer.shows("the old name", notify_limit(), || planned(&lab, wire));

    netlink
        .add_address(index, "10.99.0.1".parse().unwrap(), 32)
        .unwrap();
    let more = with(planned(&lab, wire), id, index, |door| {
        door.addresses.push("10.99.0.1/32".into())
    });
    println!(
        "an address inside of the pod: {:?}",
        observer.shows("an address more", notify_limit(), || more.clone())
    );

    let mac: Mac = [2, 0x6e, 0, 0, 0, 0x99];
    netlink
        .change(set(index, vec![LinkAttribute::Address(mac.to_vec())], None))
        .unwrap();
    let other = with(more.clone(), id, index, |door| {
        door.mac = "02:6e:00:00:00:99".into()
    });
    println!(
        "another MAC: {:?}",
        observer.shows("another MAC", notify_limit(), || other.clone())
    );
    // It is the same door throughout.
    assert_eq!(observer.id(id, index), before);
    observer.counts("after all changes", notify_limit());
    assert_eq!(observer.of(before).epoch, 0);
    drop(netlink);

    lab.remove_pod("new").unwrap();
    println!(
        "remove_pod: {:?}",
        observer.shows("the pod goes", notify_limit(), || planned(&lab, wire))
    );
    drop(observer);
    lab.down().unwrap();
}

fn link(door: &netviz::lab::Door) -> NewLink<'_> {
    NewLink {
        name: &door.name,
        index: door.index,
        mac: door.mac,
        arp: true,
    }
}

/// Returns the counters of both hooks.
fn counted(sample: &DoorSample) -> [Counts; 2] {
    [sample.ingress.unwrap(), sample.egress.unwrap()]
}

#[test]
fn reused_ifindex_starts_at_0() {
    let _serial = serial();
    let mut lab = lab(0);
    let mut observer = Observer::start(&lab);
    let wire = wire(&observer);
    let node = lab.nodes()[0].clone();
    let pod = lab.add_pod(&node.name, "twice").unwrap().clone();
    observer.shows("a pod comes", notify_limit(), || planned(&lab, wire));
    observer.counts("a pod comes", LONG);
    let target = lab.pods()[0].address.into();
    let (inside, outside) = (lab.netns(&pod).unwrap(), lab.netns(&node).unwrap());
    assert_eq!(traffic::ping(&inside, target, 5).unwrap(), 5);
    let [old_eth0, old_lxc] = [
        observer.id(inside.id(), pod.eth0.index),
        observer.id(outside.id(), pod.interface.index),
    ];
    let before = counted(&observer.of(old_lxc));
    assert_eq!(before.map(|counts| counts.packets), [5, 5]);

    // Deleted and recreated at once: same namespaces, names, indexes and MACs.
    let changed = Instant::now();
    {
        let mut netlink = Netlink::open_in(&outside).unwrap();
        netlink.delete_link(pod.interface.index).unwrap();
        let (lxc, eth0) = (link(&pod.interface), link(&pod.eth0));
        netlink.create_veth(&lxc, &eth0, Some(&inside)).unwrap();
        netlink.set_up(pod.interface.index).unwrap();
        let mut netlink = Netlink::open_in(&inside).unwrap();
        netlink.set_up(pod.eth0.index).unwrap();
        let address = pod.address.into();
        netlink.add_address(pod.eth0.index, address, 32).unwrap();
    }
    println!("made anew within {:?}", changed.elapsed());
    let places = [
        (inside.id(), pod.eth0.index),
        (outside.id(), pod.interface.index),
    ];
    let (ids, took) = until("two new doors are counted", notify_limit(), || {
        observer.update();
        let sample = observer.sample();
        let counting = |id: &DoorId| {
            let door = sample.doors.get(id);
            door.is_some_and(|door| door.meter == AttachState::Counting && door.ingress.is_some())
        };
        let ids = places.map(|(netns, index)| observer.find(netns, index));
        match ids {
            [Some(eth0), Some(lxc)]
                if eth0 != old_eth0 && lxc != old_lxc && counting(&eth0) && counting(&lxc) =>
            {
                Ok([eth0, lxc])
            }
            _ => Err(format!("{ids:?}")),
        }
    });
    println!("counted anew: {took:?}");
    observer.shows("the new pair", notify_limit(), || planned(&lab, wire));
    for id in ids {
        assert_eq!(counted(&observer.of(id)), [Counts::default(); 2]);
        assert_eq!(observer.of(id).epoch, 0);
    }
    // The counts of the old door stay with it.
    let old = observer.of(old_lxc);
    assert_eq!(old.meter, AttachState::Gone);
    assert_eq!(counted(&old), before);
    drop((inside, outside));
    lab.remove_pod("twice").unwrap();
    observer.shows("the pod goes", notify_limit(), || planned(&lab, wire));
    drop(observer);
    lab.down().unwrap();
}

/// Returns the number of netviz's programs at the hooks of a device, in any attach mode.
fn attached(netns: &NetNs, door: (&str, u32)) -> [usize; 2] {
    let (name, index) = door;
    let mut netlink = Netlink::open_in(netns).unwrap();
    [Direction::Ingress, Direction::Egress].map(|hook| {
        let chain = tcx_chain(netns, name, hook).unwrap().into_iter();
        let filters = filters(&mut netlink, index, hook).unwrap().into_iter();
        let names = chain.map(|(name, _)| name).chain(filters.map(|it| it.name));
        names.filter(|name| name.starts_with("netviz_")).count()
    })
}

/// Waits until an interface sends packets: it drops all until the kernel has noticed that its peer
/// is up.
fn wait_until_up(netns: &NetNs, index: u32) {
    let mut netlink = Netlink::open_in(netns).unwrap();
    let up = LinkAttribute::OperState(State::Up);
    until("the interface is up", LONG, || {
        let links = netlink.links().unwrap();
        let mut own = links.iter().filter(|link| link.header.index == index);
        match own.any(|link| link.attributes.contains(&up)) {
            true => Ok(()),
            false => Err("it is not"),
        }
    });
}

/// The tcx link moves with the device and continues to count on another node: netviz must release
/// it.
#[test]
fn interface_moved_out_of_the_node_is_dropped() {
    let _serial = serial();
    let mut lab = lab(0);
    let mut observer = Observer::start(&lab);
    let wire = wire(&observer);
    let (one, two) = (lab.nodes()[0].clone(), lab.nodes()[1].clone());
    let pod = lab.add_pod(&one.name, "moving").unwrap().clone();
    observer.shows("a pod comes", notify_limit(), || planned(&lab, wire));
    observer.counts("a pod comes", LONG);
    let (from, to) = (lab.netns(&one).unwrap(), lab.netns(&two).unwrap());
    let inside = lab.netns(&pod).unwrap();
    let (pod_id, from_id, to_id) = (inside.id(), from.id(), to.id());
    let old = observer.id(from_id, pod.interface.index);
    let target = lab.pods()[0].address.into();
    assert_eq!(traffic::ping(&inside, target, 5).unwrap(), 5);
    let before = counted(&observer.of(old));
    assert_eq!(before.map(|counts| counts.packets), [5, 5]);
    let at = lab
        .pods()
        .iter()
        .filter(|pod| pod.node == two.name)
        .map(|pod| pod.interface.index)
        .max()
        .unwrap()
        + 500;
    let mut netlink = Netlink::open_in(&from).unwrap();
    let destination = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&to));
    let target = LinkAttribute::NetNsFd(destination);
    let index = LinkAttribute::NewIfIndex(i32::try_from(at).unwrap());
    netlink
        .change(set(pod.interface.index, vec![target, index], None))
        .unwrap();
    drop((netlink, from));
    // It is now on the other node, and so is the pod behind it.
    let moved = || {
        let mut all = planned(&lab, wire);
        let pair: Vec<_> = all
            .iter()
            .filter(|door| door.pod.as_deref() == Some("moving"))
            .cloned()
            .collect();
        for mut door in pair {
            all.remove(&door);
            door.node.clone_from(&two.name);
            if door.side == Side::Node {
                (door.netns, door.ifindex) = (to_id, at);
            } else {
                door.peer = Some((to_id, at, pod.interface.name.clone()));
            }
            all.insert(door);
        }
        all
    };
    println!(
        "moved: {:?}",
        observer.shows("the moved interface", notify_limit(), moved)
    );
    println!(
        "  counted: {:?}",
        observer.counts("the moved interface", notify_limit())
    );
    let ((), closed) = until(
        "the moved link is released",
        notify_limit(),
        || match attached(&to, (&pod.interface.name, at)) {
            [1, 1] => Ok(()),
            there => Err(format!("{there:?} programs of netviz")),
        },
    );
    println!("  let go: {closed:?}");
    let new = observer.id(to_id, at);
    let eth0 = observer.id(pod_id, pod.eth0.index);
    assert_eq!(counted(&observer.of(new)), [Counts::default(); 2]);

    // Packets sent now count only at the new door.
    Netlink::open_in(&to).unwrap().set_up(at).unwrap();
    wait_until_up(&inside, pod.eth0.index);
    let eth0_before = counted(&observer.of(eth0))[1].packets;
    let frame = frames::ipv4(98);
    let five = std::iter::repeat_n(&frame[..], 5);
    let taken = send::frames(&inside, pod.eth0.index, five).unwrap();
    assert_eq!(taken, [true; 5]);
    until("five packets are counted", notify_limit(), || {
        observer.update();
        let there = counted(&observer.of(new)).map(|counts| counts.packets);
        let sent = counted(&observer.of(eth0))[1].packets - eth0_before;
        match (there, sent) {
            ([5, 0], 5) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let gone = observer.of(old);
    assert_eq!(gone.meter, AttachState::Gone);
    assert_eq!(counted(&gone), before);
    drop(inside);
    let mut netlink = Netlink::open_in(&to).unwrap();
    netlink.delete_link(at).unwrap();
    drop((netlink, to));
    let without = || {
        planned(&lab, wire)
            .into_iter()
            .filter(|door| door.pod.as_deref() != Some("moving"))
            .collect()
    };
    observer.shows("the pair goes", notify_limit(), without);
    drop(observer);
    drop(lab);
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn bursts_of_changes_leak_nothing() {
    let _serial = serial();
    let mut lab = lab(0);
    let mut observer = Observer::start(&lab);
    let wire = wire(&observer);
    observer.counts("the beginning", LONG);
    let before = descriptors();
    for round in 0..5 {
        let start = Instant::now();
        for number in 0..20 {
            let node = lab.nodes()[number % 2].name.clone();
            lab.add_pod(&node, &format!("burst-{number}")).unwrap();
        }
        let added = start.elapsed();
        let shown = observer.shows("a burst comes", BUSY, || planned(&lab, wire));
        // Removed while half of them are being attached.
        for number in 0..20 {
            lab.remove_pod(&format!("burst-{number}")).unwrap();
        }
        let gone = observer.shows("a burst goes", BUSY, || planned(&lab, wire));
        observer.counts("what stays", LONG);
        println!(
            "round {round}: 20 pods added in {added:?}, shown after {shown:?}, gone after {gone:?}"
        );
        // Detaching takes time.
        let ((), took) = until("removed doors are released", LONG, || {
            observer.update();
            match descriptors() {
                now if now <= before => Ok(()),
                now => Err(format!("{now} descriptors, and {before} before")),
            }
        });
        println!("  let go after {took:?}");
    }
    drop(observer);
    lab.down().unwrap();
}

#[test]
fn hundreds_of_pods() {
    let _serial = serial();
    let mut lab = lab(150);
    let start = Instant::now();
    let mut observer = Observer::start(&lab);
    println!("first scan: {:?}", start.elapsed());
    let wire = wire(&observer);
    observer.shows("300 pods", BUSY, || planned(&lab, wire));
    println!(
        "626 doors counted after {:?}",
        observer.counts("300 pods", Duration::from_secs(120))
    );
    // One more among this many.
    let node = lab.nodes()[0].name.clone();
    lab.add_pod(&node, "late").unwrap();
    println!(
        "one more: {:?}",
        observer.shows("one more", notify_limit(), || planned(&lab, wire))
    );
    println!("  counted: {:?}", observer.counts("one more", BUSY));
    for number in 1..=100 {
        lab.remove_pod(&format!("extra-{number}")).unwrap();
    }
    println!(
        "100 fewer: {:?}",
        observer.shows("100 fewer", BUSY, || planned(&lab, wire))
    );
    for number in 1..=100 {
        let node = lab.nodes()[number % 2].name.clone();
        lab.add_pod(&node, &format!("more-{number}")).unwrap();
    }
    println!(
        "100 more: {:?}",
        observer.shows("100 more", BUSY, || planned(&lab, wire))
    );
    println!("  counted: {:?}", observer.counts("100 more", LONG));
    drop(observer);
    lab.down().unwrap();
}

/// A watch keeps neither pods nor nodes alive: namespaces that only it could hold are gone.
#[test]
fn removed_namespaces_are_not_held() {
    let _serial = serial();
    let lab = lab(0);
    let mut observer = Observer::start(&lab);
    observer.counts("the beginning", LONG);
    let pod = lab.pods()[0].clone();
    let node = lab
        .nodes()
        .iter()
        .find(|node| node.name == pod.node)
        .unwrap();
    let mut netlink = Netlink::open_in(&lab.netns(node).unwrap()).unwrap();
    let there = |netlink: &mut Netlink| {
        netlink
            .links()
            .unwrap()
            .iter()
            .any(|link| link.header.index == pod.interface.index)
    };
    assert!(there(&mut netlink));
    // The lab's own sockets are in its pods, so the whole lab is removed, pods first.
    let started = Instant::now();
    let down = std::thread::spawn(move || lab.down());
    let ((), took) = until(
        "the pod's lxc device goes with its namespace",
        Duration::from_secs(5),
        || {
            if there(&mut netlink) {
                Err("it is there")
            } else {
                Ok(())
            }
        },
    );
    println!("the pods' namespaces are gone after {took:?}");
    drop(netlink);
    // The node's namespace is released only after its process is known to have ended.
    down.join().unwrap().unwrap();
    println!("all removed after {:?}", started.elapsed());
    observer.shows("nothing", Duration::from_secs(3), BTreeSet::new);
}
