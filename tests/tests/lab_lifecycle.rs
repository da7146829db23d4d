//! The lab starts, works and ends, and leaves nothing behind.

use std::{
    io::{BufRead as _, BufReader},
    net::{IpAddr, SocketAddr},
    process::{Command, Stdio},
    time::Instant,
};

use aya::programs::{SchedClassifier, TcAttachType};
use netviz::{
    lab::{Attach, Lab, Mode, Options, TCP_PORT, Traffic, UDP_PORT, traffic},
    sys::{netlink::Netlink, netns::NetNs},
};
use netviz_tests::{
    bpf::skip,
    cli::wait::wait_for,
    netns::lab_leftovers::{self, LabLeftovers},
};

fn up(mode: Mode, change: impl FnOnce(&mut Options)) -> Lab {
    let mut options = Options {
        mode,
        ..Options::default()
    };
    change(&mut options);
    Lab::up(&options).unwrap_or_else(|error| panic!("{mode}: {error:#}"))
}

/// Returns the failed transfers between any two pods, in both families and all protocols.
fn lost(lab: &Lab) -> Vec<String> {
    let mut lost = Vec::new();
    for from in lab.pods() {
        let namespace = lab.netns(from).unwrap();
        for to in lab.pods().iter().filter(|to| to.name != from.name) {
            let mut addresses = vec![IpAddr::from(to.address)];
            if lab.options().ipv6 {
                addresses.push(to.address6.into());
            }
            for address in addresses {
                let udp = SocketAddr::new(address, UDP_PORT);
                let tcp = SocketAddr::new(address, TCP_PORT);
                if traffic::ping(&namespace, address, 1).unwrap() != 1 {
                    lost.push(format!("ping {} to {address}", from.name));
                }
                if traffic::udp(&namespace, udp, 1, 100).unwrap() != 1 {
                    lost.push(format!("udp {} to {udp}", from.name));
                }
                match traffic::tcp(&namespace, tcp, 500_000) {
                    Ok(500_000) => {}
                    other => lost.push(format!("tcp {} to {tcp}: {other:?}", from.name)),
                }
            }
        }
    }
    lost
}

#[test]
fn all_pods_reach_each_other_in_every_mode() {
    for mode in Mode::all() {
        let started = Instant::now();
        let lab = up(mode, |options| options.ipv6 = true);
        let took = started.elapsed();
        assert_eq!(lost(&lab), Vec::<String>::new(), "{mode}");
        let started = Instant::now();
        lab.down().unwrap();
        println!("{mode}: up in {took:?}, down in {:?}", started.elapsed());
    }
}

/// Masqueraded in the tunnel modes: TCP from a pod to the other node and back.
#[test]
fn pods_reach_every_node_by_tcp() {
    for mode in Mode::all() {
        let lab = up(mode, |_| {});
        let pod = lab.netns(&lab.pods()[0]).unwrap();
        for node in lab.nodes() {
            let to = SocketAddr::new(node.address.into(), TCP_PORT);
            assert_eq!(traffic::tcp(&pod, to, 300_000).unwrap(), 300_000, "{mode}");
        }
        drop(pod);
        lab.down().unwrap();
    }
}

#[test]
fn lab_leaves_nothing_behind() {
    if skip::without_tcx() {
        return;
    }
    for (attach, mode) in [
        (Attach::Tcx, Mode::VxlanHostRouting),
        (Attach::Clsact, Mode::NativeEndpointRoutes),
    ] {
        let lab = up(mode, |options| options.attach = attach);
        let leftovers = LabLeftovers::of(&lab).unwrap();
        assert_eq!(leftovers.processes.len(), 10);
        assert_eq!(leftovers.programs.is_empty(), attach == Attach::Clsact);
        assert!(!leftovers.left().unwrap().is_empty());
        assert_eq!(
            leftovers.seen_on_the_machine().unwrap(),
            Vec::<String>::new()
        );
        lab.down().unwrap();
        assert_eq!(
            leftovers.left().unwrap(),
            Vec::<String>::new(),
            "{attach:?}"
        );
    }
}

#[test]
fn drop_removes_the_lab() {
    let lab = up(Mode::Vxlan, |_| {});
    let leftovers = LabLeftovers::of(&lab).unwrap();
    drop(lab);
    assert_eq!(leftovers.left().unwrap(), Vec::<String>::new());
}

#[test]
fn two_labs_run_at_once() {
    let one = up(Mode::Vxlan, |_| {});
    let two = up(Mode::Vxlan, |_| {});
    assert_eq!(lost(&one), Vec::<String>::new());
    one.down().unwrap();
    assert_eq!(lost(&two), Vec::<String>::new());
    two.down().unwrap();
}

/// Set in the process that owns the lab.
const OWNER: &str = "NETVIZ_TEST_OWNER";

/// Not a test: the owner that [`killed_owner_leaves_nothing_behind`] kills.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn owner() {
    // `--include-ignored` would wait for ever.
    if std::env::var_os(OWNER).is_none() {
        skip::because(skip::BY_ANOTHER);
        return;
    }
    let lab = up(Mode::Vxlan, |_| {});
    let _traffic = Traffic::start(&lab).unwrap();
    let mut leftovers = LabLeftovers::of(&lab).unwrap();
    // Including the wire's process, which belongs to no node or pod.
    leftovers
        .processes
        .extend(lab_leftovers::children().unwrap());
    println!("\n{}", leftovers.to_line());
    loop {
        std::thread::park();
    }
}

#[test]
fn killed_owner_leaves_nothing_behind() {
    if skip::without_tcx() {
        return;
    }
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "owner", "--nocapture"])
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let told = lines
        .map_while(Result::ok)
        .find_map(|line| LabLeftovers::from_line(&line));
    owner.kill().unwrap();
    owner.wait().unwrap();
    let leftovers = told.expect("the owner ended before its lab was up");
    assert_eq!(
        (leftovers.processes.len(), leftovers.programs.len()),
        (11, 12)
    );
    let left = wait_for(|| {
        let left = leftovers.left().unwrap();
        left.is_empty().then_some(()).ok_or(left)
    });
    assert_eq!(left, Ok(()));
}

#[test]
fn pods_are_added_and_removed() {
    let mut lab = up(Mode::VxlanHostRouting, |_| {});
    let node = lab.nodes()[1].name.clone();
    let pod = lab.add_pod(&node, "late-comer").unwrap().clone();
    assert_eq!(lost(&lab), Vec::<String>::new());
    assert!(lab.add_pod(&node, "late-comer").is_err());
    let node = lab.nodes()[1].clone();
    // Held open, because the kernel reuses the inode of a deleted namespace, also in other labs.
    let inside = lab.netns(&pod).unwrap();
    lab.remove_pod("late-comer").unwrap();
    assert!(lab.remove_pod("late-comer").is_err());
    let mut netlink = Netlink::open_in(&lab.netns(&node).unwrap()).unwrap();
    let links = netlink.links().unwrap();
    assert!(
        !links
            .iter()
            .any(|link| link.header.index == pod.interface.index)
    );
    assert!(
        !lab_leftovers::namespaces()
            .unwrap()
            .contains(&inside.id().0)
    );
    drop(inside);
    assert_eq!(
        traffic::ping(&lab.netns(&node).unwrap(), pod.address.into(), 0).unwrap(),
        0
    );
    drop(netlink);
    lab.down().unwrap();
}

#[test]
fn node_has_the_devices_of_a_cilium_node() {
    if skip::without_tcx() {
        return;
    }
    let lab = up(Mode::Vxlan, |_| {});
    for node in lab.nodes() {
        let root = format!("/proc/{}/root", node.pid);
        let mut names: Vec<_> = std::fs::read_dir(format!("{root}/run/netns"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let pods = || lab.pods().iter().filter(|pod| pod.node == node.name);
        let mut wanted: Vec<_> = pods().filter_map(|pod| pod.netns_name.clone()).collect();
        wanted.sort();
        assert_eq!(names, wanted);
        for pod in pods() {
            let path = format!("{root}/run/netns/{}", pod.netns_name.as_ref().unwrap());
            let named = NetNs::open(path.as_ref()).unwrap().id();
            assert_eq!(named, lab.netns(pod).unwrap().id());
        }
        let programs = lab.netns(node).unwrap().run(|| {
            SchedClassifier::query_tcx("cilium_host", TcAttachType::Egress)
                .unwrap()
                .1
        });
        let names: Vec<_> = programs
            .unwrap()
            .iter()
            .map(|it| it.name_as_str().map(String::from))
            .collect();
        assert_eq!(names, [Some("cil_from_host".to_owned())]);
    }
    lab.down().unwrap();
}

#[test]
fn many_pods_are_added_quickly() {
    let started = Instant::now();
    let lab = up(Mode::Vxlan, |options| options.extra_pods_per_node = 100);
    let took = started.elapsed();
    assert_eq!(lab.pods().len(), 206);
    let last = lab.pods().last().unwrap();
    let first = lab.netns(&lab.pods()[0]).unwrap();
    assert_eq!(traffic::ping(&first, last.address.into(), 3).unwrap(), 3);
    drop(first);
    let started = Instant::now();
    lab.down().unwrap();
    println!(
        "200 more pods: up in {took:?}, down in {:?}",
        started.elapsed()
    );
}

#[test]
fn traffic_runs_until_it_is_stopped() {
    let lab = up(Mode::NativeEndpointRoutes, |_| {});
    let pod = lab.netns(&lab.pods()[0]).unwrap();
    let mut netlink = Netlink::open_in(&pod).unwrap();
    let running = Traffic::start(&lab).unwrap();
    let grown = |than: u64, netlink: &mut Netlink| {
        let bytes = lab_leftovers::received(netlink);
        if bytes > than { Ok(bytes) } else { Err(bytes) }
    };
    let some = wait_for(|| grown(100_000, &mut netlink)).unwrap();
    wait_for(|| grown(some, &mut netlink)).unwrap();
    running.stop();
    drop((netlink, pod));
    lab.down().unwrap();
}
