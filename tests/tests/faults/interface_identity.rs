//! Interfaces are deleted, and others get the same name, index or namespace ID: no count is carried
//! over, and netviz releases what is gone. Renaming, moving and reused indexes in a cluster are in
//! `churn`, equal indexes in two namespaces in `attach`.

use std::time::Duration;

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};
use netviz::{
    attach::AttachOptions,
    model::{AttachState, Counts, Direction, DoorId, Netns},
    sys::netlink::NewLink,
};
use netviz_tests::{
    bpf::{
        descriptors::HeldObjects,
        foreign_program::{ForeignProgram, Verdict, tcx_chain},
        skip::has_tcx,
    },
    cli::{
        fault_table::{Row, many},
        observation::Observation,
        wait::{notify_limit, settle, until, wait_until},
    },
    netns::{
        End, TestNetns, join,
        send::{self, Sink},
    },
};

const SCENARIO: &str = "interface_identity";
const PACKETS: u64 = 1_000;
const SOON: Duration = Duration::from_millis(20);
/// Interval of measurements of time.
const STEP: Duration = Duration::from_millis(5);
const ARRIVAL: Duration = Duration::from_secs(5);

/// Sends to the far end, and waits until all packets have arrived.
fn exchange(near: &TestNetns, far: &TestNetns, to: &End) -> u64 {
    let sent = many(PACKETS);
    let mut sink = Sink::open(far.netns()).unwrap();
    send::datagrams(near.netns(), to.address, sent, 100).unwrap();
    assert_eq!(settle(ARRIVAL, &sent, || sink.received()), sent);
    sent
}

fn start(namespaces: &[&TestNetns]) -> Observation {
    let names = namespaces
        .iter()
        .map(|namespace| namespace.name())
        .collect();
    Observation::start(names, AttachOptions::default()).unwrap()
}

/// Returns the counts of the door that has this index in this namespace now.
fn counted(
    netviz: &mut Observation,
    namespace: &TestNetns,
    index: u32,
) -> Option<(DoorId, [Counts; 2])> {
    let sample = netviz.sample();
    let here = Netns::Known(namespace.netns().id());
    let doors = sample.doors.into_iter();
    let mut there = doors.filter(|(id, door)| {
        id.netns == here && id.ifindex == index && door.meter == AttachState::Counting
    });
    let (id, door) = there.next()?;
    Some((id, [door.ingress?, door.egress?]))
}

fn wait_for(netviz: &mut Observation, namespace: &TestNetns, index: u32) -> (DoorId, [Counts; 2]) {
    let mut there = None;
    let limit = Duration::from_secs(30);
    let found = netviz.until(limit, |_, _| true).unwrap();
    assert!(found);
    let came = wait_until(limit, || {
        netviz.until(SOON, |_, _| false).unwrap();
        there = counted(netviz, namespace, index);
        there.is_some()
    });
    assert!(came, "no counted door {index}");
    there.unwrap()
}

/// Returns netviz's programs at both ends of a pair, which only links hold. With clsact there are
/// none: the filter ends with its device, and nothing of netviz holds its program.
fn linked(ends: [(&TestNetns, &End); 2]) -> HeldObjects {
    let hooks = [Direction::Ingress, Direction::Egress];
    let chains = ends.into_iter().flat_map(|(namespace, end)| {
        hooks.map(|hook| tcx_chain(namespace.netns(), &end.name, hook).unwrap())
    });
    let programs: Vec<_> = chains.flatten().collect();
    assert_eq!(
        programs.len(),
        if has_tcx() { 4 } else { 0 },
        "{programs:?}"
    );
    HeldObjects {
        programs: programs.into_iter().map(|(_, id)| id).collect(),
        ..HeldObjects::default()
    }
}

/// Waits until a door is no longer listed and is reported as gone.
fn wait_until_gone(netviz: &mut Observation, doors: &[DoorId], limit: Duration) -> Duration {
    let ((), took) = until("the doors are gone", limit, || {
        netviz.until(STEP, |_, _| false).unwrap();
        let sample = netviz.sample();
        let shown = &netviz.found.cluster.doors;
        let there = doors.iter().find(|id| {
            sample.doors[*id].meter != AttachState::Gone || shown.iter().any(|door| door.id == **id)
        });
        there.map_or(Ok(()), |id| Err(format!("{id:?} is still there")))
    });
    took
}

/// The peer's namespace is deleted, and a new namespace gets the same ID.
#[test]
fn reused_namespace_id() {
    let near = TestNetns::new().unwrap();
    let mut netviz = start(&[&near]);
    let mut seen = Vec::new();
    let mut rows = (0, 0, 0);
    for round in 0..3 {
        let far = TestNetns::new().unwrap();
        let ends = join(&near, &far, 1).unwrap();
        // Another interface, and therefore another door. Until netviz has been notified, it may
        // briefly take the new one for the old; the counts are separate even then.
        let mut there = None;
        let came = wait_until(Duration::from_secs(30), || {
            netviz.until(SOON, |_, _| false).unwrap();
            there = counted(&mut netviz, &near, ends[0].index);
            there.is_some_and(|(id, _)| !seen.contains(&id))
        });
        let (id, counts) = there.unwrap();
        assert!(came, "round {round}: {id:?} is one of {seen:?}");
        assert_eq!(counts, [Counts::default(); 2], "round {round}");
        let peer = wait_for(&mut netviz, &far, ends[1].index);
        assert_eq!(peer.1, [Counts::default(); 2]);
        let sent = exchange(&near, &far, &ends[1]);
        let (_, [_, egress]) = counted(&mut netviz, &near, ends[0].index).unwrap();
        let (_, [ingress, _]) = counted(&mut netviz, &far, ends[1].index).unwrap();
        assert_eq!((egress.packets, ingress.packets), (sent, sent));
        rows = (
            rows.0 + sent,
            rows.1 + ingress.packets,
            rows.2 + egress.packets,
        );
        seen.push(id);
        let nsid = near.netlink().unwrap().nsid_of(far.netns()).unwrap();
        assert_eq!(
            nsid,
            Some(0),
            "the kernel assigned another id, so the test proves nothing"
        );
        drop(far);
        let gone = wait_until(Duration::from_secs(30), || {
            let links = near.netlink().unwrap().links().unwrap();
            !links.iter().any(|link| link.header.index == ends[0].index)
        });
        assert!(gone, "the kernel keeps the pair");
    }
    Row::new("namespace id reused, 3 times", rows.0, rows.1, rows.2).check(SCENARIO);
}

/// An interface is deleted with its namespace, and its links within a second.
#[test]
fn deleted_namespace() {
    let (near, far) = (TestNetns::new().unwrap(), TestNetns::new().unwrap());
    let ends = join(&near, &far, 1).unwrap();
    let mut netviz = start(&[&near]);
    let own = linked([(&near, &ends[0]), (&far, &ends[1])]);
    let sent = exchange(&near, &far, &ends[1]);
    let (far_id, [ingress, _]) = wait_for(&mut netviz, &far, ends[1].index);
    let (near_id, [_, egress]) = wait_for(&mut netviz, &near, ends[0].index);
    drop(far);
    // The kernel deletes a namespace late; the doors exist until then.
    let took = wait_until_gone(&mut netviz, &[far_id, near_id], notify_limit() * 2);
    let ((), closed) = until("the links are closed", notify_limit(), || {
        let alive = own.alive().programs;
        if alive.is_empty() {
            Ok(())
        } else {
            Err(format!("{alive:?} are loaded"))
        }
    });
    Row::new("namespace deleted", sent, ingress.packets, egress.packets)
        .note(format!(
            "both doors gone after {took:.2?}, links closed {closed:.2?} later"
        ))
        .check(SCENARIO);
}

/// What Cilium's agent does with `lxc_health` when it restarts: same name, other index.
#[test]
fn interface_recreated_with_its_name() {
    let (near, far) = (TestNetns::new().unwrap(), TestNetns::new().unwrap());
    let mut netviz = start(&[&near]);
    let (mut sent, mut received, mut seen) = (0, 0, 0);
    let (mut slowest, mut longest) = (Duration::ZERO, Duration::ZERO);
    for index in [31, 47] {
        let link = |index, host| NewLink {
            name: "veth_health",
            index,
            mac: [2, 0x74, 9, 0, 0, host],
            arp: true,
        };
        let address = |host| std::net::Ipv4Addr::new(10, 99, 9, host);
        let mut netlinks = [near.netlink().unwrap(), far.netlink().unwrap()];
        netlinks[0]
            .create_veth(&link(index, 1), &link(index + 1, 2), Some(far.netns()))
            .unwrap();
        for (netlink, own, host, other) in [(0, index, 1, 2), (1, index + 1, 2, 1)] {
            let netlink = &mut netlinks[netlink];
            netlink.set_up(own).unwrap();
            netlink.add_address(own, address(host).into(), 24).unwrap();
            let mac = [2, 0x74, 9, 0, 0, other];
            netlink
                .add_neighbour(own, address(other).into(), mac)
                .unwrap();
        }
        let end = End {
            name: "veth_health".into(),
            index,
            mac: [2, 0x74, 9, 0, 0, 1],
            address: address(2),
        };
        let hook = netviz::model::Direction::Egress;
        let theirs = ForeignProgram::clsact(near.netns(), &end.name, hook, Verdict::Ok).unwrap();
        let ((id, before), took) = until("it is counted", notify_limit(), || {
            netviz.until(STEP, |_, _| false).unwrap();
            counted(&mut netviz, &near, index).ok_or("it is not")
        });
        slowest = slowest.max(took);
        assert_eq!(before, [Counts::default(); 2]);
        sent += exchange(&near, &far, &end);
        received += theirs.seen().unwrap();
        seen += counted(&mut netviz, &near, index).unwrap().1[1].packets;
        netlinks[0].delete_link(index).unwrap();
        longest = longest.max(wait_until_gone(&mut netviz, &[id], notify_limit()));
    }
    Row::new(
        "recreated with its name and another index",
        sent,
        received,
        seen,
    )
    .note(format!(
        "counted after {slowest:.2?}, gone after {longest:.2?}"
    ))
    .check(SCENARIO);
}

/// The longest possible name, and one with every byte that the kernel allows, while the pair is up.
#[test]
fn rename_to_15_bytes_and_back() {
    let (near, far) = (TestNetns::new().unwrap(), TestNetns::new().unwrap());
    let ends = join(&near, &far, 1).unwrap();
    let mut netviz = start(&[&near]);
    let rename = |name: &str| {
        let mut message = LinkMessage::default();
        message.header.index = ends[0].index;
        message.attributes.push(LinkAttribute::IfName(name.into()));
        near.netlink()
            .unwrap()
            .change(RouteNetlinkMessage::SetLink(message))
    };
    let (id, _) = wait_for(&mut netviz, &near, ends[0].index);
    let (mut sent, mut received) = (0, 0);
    for name in ["veth0123456789a", "veth1"] {
        match rename(name) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                netviz_tests::bpf::skip::because(
                    "this kernel cannot rename an interface that is up",
                );
                return;
            }
            renamed => renamed.unwrap(),
        }
        until("the new name", notify_limit() * 2, || {
            netviz.until(STEP, |_, _| false).unwrap();
            let doors = netviz.found.cluster.doors.iter();
            let named = doors
                .clone()
                .any(|door| door.id == id && door.interface == name);
            if named { Ok(()) } else { Err("the old name") }
        });
        let now = exchange(&near, &far, &ends[1]);
        sent += now;
        received += now;
        // It is the same door, and continues to count.
        let (same, [_, egress]) = counted(&mut netviz, &near, ends[0].index).unwrap();
        assert_eq!((same, egress.packets), (id, sent));
    }
    Row::new(
        "renamed while up, to 15 bytes and back",
        sent,
        received,
        sent,
    )
    .check(SCENARIO);
}
