//! `netviz audit` on the lab: no findings on a correct cluster, the right ones on a faulty one, and
//! no changes.

use std::{collections::BTreeSet, process::Output};

use aya::programs::{LinkOrder, links::FdLink};
use netviz::{
    audit::inspect::{self, Keepers},
    discover::{Selection, scan},
    lab::{Attach, Lab, Mode, Options},
    model::{Direction, Door},
    sys::{netns::NetNs, objects},
};
use netviz_tests::{
    bpf::{
        attached_program::{self, AttachPoint, AttachedProgram},
        attachments::Attachments,
        foreign_program::{self, ForeignProgram, Verdict, tcx_chain},
        skip, test_objects,
    },
    cli::{
        netviz::{command, command_for},
        schema::complaints,
    },
    netns::{self, TestNetns},
};
use serde_json::Value;

use Direction::{Egress, Ingress};

/// Upper half of the handles of netviz's filters, "nv".
const OWN: u32 = 0x6e76;

fn lab(mode: Mode, attach: Attach) -> Lab {
    let options = Options {
        mode,
        attach,
        ..Options::default()
    };
    Lab::up(&options).unwrap_or_else(|error| panic!("{error:#}"))
}

fn run(lab: &Lab, args: &[&str]) -> Output {
    let args = [&["audit"], args].concat();
    command_for(lab, &args).output().unwrap()
}

/// Returns the JSON output, after checking it with its schema.
fn audit(lab: &Lab) -> Value {
    let output = run(lab, &["-o", "json", "--fail-on", "never"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    let value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(complaints(&netviz::views::audit::schema(), &value), [""; 0]);
    value
}

/// Rule, node, interface, pod and hook of each finding.
type Found = BTreeSet<(String, String, String, String, String)>;

fn found(audit: &Value) -> Found {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let findings = audit["findings"].as_array().unwrap().iter();
    let keys = findings.map(|it| {
        (
            text(&it["rule"]),
            text(&it["node"]),
            text(&it["interface"]),
            text(&it["pod"]),
            text(&it["direction"]),
        )
    });
    keys.collect()
}

#[test]
fn clean_cluster_has_no_findings() {
    for mode in Mode::all() {
        let lab = lab(mode, Attach::Auto);
        let audit = audit(&lab);
        assert_eq!(found(&audit), Found::new(), "{mode}");
        assert_eq!(audit["summary"]["not_seen"], 0, "{mode}");
        assert_eq!(run(&lab, &["--fail-on", "info"]).status.code(), Some(0));
    }
}

#[test]
fn clean_cluster_in_clsact_has_no_findings() {
    let lab = lab(Mode::Vxlan, Attach::Clsact);
    let audit = audit(&lab);
    assert_eq!(found(&audit), Found::new());
    let doors = audit["doors"].as_array().unwrap();
    let host = doors.iter().find(|door| door["interface"] == "cilium_host");
    let program = &host.unwrap()["chains"]["egress"]["programs"][0];
    assert_eq!(program["way"], "clsact");
    assert_eq!(program["owner"], "cilium");
    assert_eq!(program["filter"]["direct_action"], true);
    assert_eq!(program["filter"]["priority"], 1);
    assert_eq!(program["filter"]["handle"], 1);
}

/// Chains, links, programs, filters and qdiscs are equal before and after; equal revisions show
/// that nothing was attached in between.
#[test]
fn audit_changes_nothing() {
    let tcx = skip::has_tcx().then_some(Attach::Tcx);
    for attach in tcx.into_iter().chain([Attach::Clsact]) {
        let lab = lab(Mode::Vxlan, attach);
        let before = Attachments::of(&lab);
        let first = audit(&lab);
        let again = audit(&lab);
        assert_eq!(first["doors"], again["doors"]);
        assert_eq!(Attachments::of(&lab), before);
    }
}

/// One fault of each kind, each at another hook.
#[test]
fn each_fault_is_found_at_its_door() {
    if skip::without_tcx() {
        return;
    }
    let lab = lab(Mode::Vxlan, Attach::Tcx);
    let [one, two] = lab.nodes() else {
        panic!("two nodes")
    };
    let [node, other] = [one, two].map(|node| lab.netns(node).unwrap());
    let pods: Vec<_> = lab
        .pods()
        .iter()
        .filter(|pod| pod.node == one.name)
        .collect();
    let [a, b, c] = pods[..] else {
        panic!("{pods:?}")
    };
    let [in_a, in_b] = [a, b].map(|pod| lab.netns(pod).unwrap());
    let lxc = |pod: &netviz::lab::Pod| pod.interface.name.clone();
    let next = Verdict::Next;
    let tcx = |place: &NetNs, device: &str, order| {
        ForeignProgram::tcx(place, device, Ingress, next, order).unwrap()
    };
    let at = |namespace, interface, direction| AttachPoint {
        namespace,
        interface,
        direction,
    };

    let first = tcx(&node, &lxc(a), LinkOrder::first());
    let last = tcx(&node, &lxc(b), LinkOrder::last());
    let filter = ForeignProgram::filter(&node, &lxc(c), Ingress, Verdict::Ok, (2, 7)).unwrap();
    let to = at(&node, "cilium_host", Egress);
    attached_program::filter(objects::LAB, "cil_from_host", to, (1, 1)).unwrap();
    let twice = [(); 2].map(|()| tcx(&in_a, "eth0", LinkOrder::first()));
    attached_program::filter(
        objects::COUNT,
        "netviz_ingress",
        at(&in_b, "eth0", Ingress),
        (1, OWN << 16 | ended_process()),
    )
    .unwrap();
    let taken = ForeignProgram::clsact(&node, "eth0", Egress, Verdict::Ok).unwrap();
    let to = at(&node, "lxc_health", Egress);
    let route =
        AttachedProgram::tcx(objects::LAB, "cil_to_container", to, LinkOrder::last()).unwrap();
    for device in ["cilium_vxlan", "eth0"] {
        let chain = tcx_chain(&other, device, Ingress).unwrap();
        foreign_program::detach_link_of(chain[0].1).unwrap();
    }

    let audit = audit(&lab);
    let (one, two) = (one.name.as_str(), two.name.as_str());
    let expected = [
        (
            "foreign-before-cilium",
            one,
            lxc(a),
            a.name.as_str(),
            "ingress",
        ),
        ("dead-program", one, lxc(b), &b.name, "ingress"),
        ("dead-filter", one, lxc(c), &c.name, "ingress"),
        ("cilium-in-both", one, "cilium_host".into(), "-", "egress"),
        ("duplicate-program", one, "eth0".into(), &a.name, "ingress"),
        ("netviz-left-over", one, "eth0".into(), &b.name, "ingress"),
        ("cilium-place-taken", one, "eth0".into(), "-", "egress"),
        (
            "endpoint-routes-mixed",
            one,
            "lxc_health".into(),
            "-",
            "egress",
        ),
        ("cilium-missing", two, "cilium_vxlan".into(), "-", "ingress"),
        ("cilium-missing", two, "eth0".into(), "-", "ingress"),
    ];
    let expected: Found = expected
        .into_iter()
        .map(|(rule, node, interface, pod, direction)| {
            (
                rule.into(),
                node.into(),
                interface,
                pod.into(),
                direction.into(),
            )
        })
        .collect();
    assert_eq!(found(&audit), expected);
    assert_eq!(
        run(&lab, &[]).status.code(),
        Some(1),
        "cilium-missing is an error"
    );
    let calm = run(&lab, &["--node", one]);
    assert_eq!(calm.status.code(), Some(0), "only warnings on {one}");
    let strict = run(&lab, &["--node", one, "--fail-on", "warning"]);
    assert_eq!(strict.status.code(), Some(1));

    // This process holds the foreign programs.
    let doors = audit["doors"].as_array().unwrap();
    let door = doors
        .iter()
        .find(|door| door["interface"] == lxc(a).as_str());
    let programs = &door.unwrap()["chains"]["ingress"]["programs"];
    assert_eq!(programs[0]["name"], "foreign_next");
    assert_eq!(programs[0]["held_by"].as_array().unwrap().len(), 1);
    assert_eq!(programs[0]["held_by"][0]["pid"], std::process::id());
    assert!(programs[0]["link_id"].is_u64());
    // The kernel stores 15 bytes; the rest is from BTF.
    assert_eq!(programs[1]["name"], "cil_from_container");
    assert_eq!(programs[1]["owner"], "cilium");
    drop((first, last, filter, twice, taken, route));
}

/// Returns the ID of a process that has ended.
fn ended_process() -> u32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let id = child.id();
    child.wait().unwrap();
    id & 0xffff
}

#[test]
fn node_without_cilium_programs_is_one_error() {
    if skip::without_tcx() {
        return;
    }
    let lab = lab(Mode::Vxlan, Attach::Tcx);
    let node = &lab.nodes()[0];
    let namespace = lab.netns(node).unwrap();
    let pods = lab.pods().iter().chain(lab.health());
    let devices = pods
        .filter(|pod| pod.node == node.name)
        .map(|pod| pod.interface.name.as_str());
    for device in devices.chain(["cilium_net", "cilium_host", "cilium_vxlan", "eth0"]) {
        for direction in [Ingress, Egress] {
            for (_, program) in tcx_chain(&namespace, device, direction).unwrap() {
                foreign_program::detach_links_of(program).unwrap();
            }
        }
    }
    let audit = audit(&lab);
    let findings = audit["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0]["rule"], "no-cilium");
    assert_eq!(findings[0]["node"], node.name.as_str());
}

/// netviz recognises a running netviz and its process.
#[test]
fn running_netviz_is_reported_with_its_pid() {
    if skip::without_tcx() {
        return;
    }
    let lab = lab(Mode::Vxlan, Attach::Auto);
    let mut doors = command_for(&lab, &["doors", "-o", "jsonl"]);
    doors.stdout(std::process::Stdio::null());
    let running = netviz_tests::cli::netviz::Running::start(&mut doors);
    let limit = std::time::Duration::from_secs(60);
    let all = netviz_tests::cli::wait::wait_until(limit, || {
        let audit = audit(&lab);
        let of_netviz = |door: &&Value| {
            let program = &door["chains"]["ingress"]["programs"][0];
            program["owner"] == "netviz" && program["held_by"][0]["pid"] == running.child.id()
        };
        let doors = audit["doors"].as_array().unwrap();
        doors.iter().filter(of_netviz).count() == doors.len()
    });
    assert!(all, "{:#}", audit(&lab));
    // It does not affect the order: the only finding is that the last hooks have just been
    // attached.
    let rules = found(&audit(&lab)).into_iter().map(|it| it.0);
    let others: Vec<_> = rules
        .filter(|rule| rule != "changed-while-looking")
        .collect();
    assert_eq!(others, [""; 0]);
}

fn doors_of(namespace: &TestNetns) -> Vec<Door> {
    let selection = Selection::new(vec![namespace.name()], true, &[], &[]).unwrap();
    scan(&selection).unwrap().cluster.doors
}

#[test]
fn chain_that_changes_during_the_audit_is_reported() {
    if skip::without_tcx() {
        return;
    }
    let namespace = netns::pairs(1).unwrap();
    let doors = doors_of(&namespace);
    let door = doors
        .iter()
        .find(|door| door.interface == "veth10")
        .unwrap();
    let inspect_door = || inspect::inspect(door, namespace.netns()).unwrap();
    let before = inspect_door();
    let mut same = inspect_door();
    same.compare(&before);
    assert_eq!(same, before);
    let place = (namespace.netns(), "veth10", Ingress, Verdict::Next);
    let foreign =
        ForeignProgram::tcx(place.0, place.1, place.2, place.3, LinkOrder::first()).unwrap();
    let mut after = inspect_door();
    after.compare(&before);
    assert!(after.ingress.changed && !after.egress.changed, "{after:?}");
    assert!(after.ingress.revision > before.ingress.revision);
    drop(foreign);
    let mut gone = inspect_door();
    gone.compare(&after);
    assert!(gone.ingress.changed && gone.ingress.programs.is_empty());
}

/// Like Cilium's pinned links. The bpf file system is in a private mount namespace of this thread.
#[test]
fn pins_are_found_below_the_root_of_a_node() {
    if skip::without_tcx() {
        return;
    }
    use nix::{
        mount::{MsFlags, mount},
        sched::{CloneFlags, unshare},
    };
    let namespace = netns::pairs(1).unwrap();
    let doors = doors_of(&namespace);
    let door = doors
        .iter()
        .find(|door| door.interface == "veth10")
        .unwrap();
    let spot = AttachPoint {
        namespace: namespace.netns(),
        interface: "veth10",
        direction: Ingress,
    };
    let planted = AttachedProgram::tcx(
        test_objects::FOREIGN,
        "foreign_next",
        spot,
        LinkOrder::last(),
    )
    .unwrap();
    let (id, root) = (planted.id().unwrap(), tempfile::tempdir().unwrap());
    let top = root.path().join("sys/fs/bpf");
    std::fs::create_dir_all(&top).unwrap();
    let mut chains = inspect::inspect(door, namespace.netns()).unwrap();
    let read = || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(none, "/", none, private, none).unwrap();
        mount(Some("bpf"), &top, Some("bpf"), MsFlags::empty(), none).unwrap();
        let directory = top.join("cilium/devices/veth10/links");
        std::fs::create_dir_all(&directory).unwrap();
        let link = FdLink::try_from(planted.link).unwrap();
        let pinned = link.pin(directory.join("foreign_next")).unwrap();
        let keepers = Keepers::read(&[root.path().to_owned()]);
        drop(pinned);
        keepers
    };
    let keepers = std::thread::scope(|scope| scope.spawn(read).join().unwrap());
    keepers.complete(&mut chains);
    let [program] = &chains.ingress.programs[..] else {
        panic!("{chains:?}")
    };
    assert_eq!(program.program_id, Some(id));
    let path = "/sys/fs/bpf/cilium/devices/veth10/links/foreign_next";
    assert_eq!(program.pinned_at, [path]);
}

#[test]
fn failure_to_audit_exits_with_2() {
    for (args, part) in [
        (&["audit", "--netns", "no-such-node"][..], "no-such-node"),
        (&["audit", "--frobnicate"], "--frobnicate"),
    ] {
        let output = command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(part));
    }
    let lab = lab(Mode::Vxlan, Attach::Auto);
    let output = run(&lab, &["--pod", "no-such-pod"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no pod \"no-such-pod\""));
}
