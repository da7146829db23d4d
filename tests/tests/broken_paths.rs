//! Paths of the lab that are broken in one way each: `netviz verify` names the place and one cause, the
//! right one, and the command that comes next.

use std::{net::Ipv4Addr, os::unix::process::CommandExt as _, process::Command};

use aya::programs::LinkOrder;
use netviz::{
    lab::{Attach, Lab, Mode, Node, Options, Place, Pod},
    model::Direction,
    sys::{
        btf::{Btf, VMLINUX},
        netlink::Netlink,
    },
    verify::Verdict,
    views::verdict::summary,
};
use netviz_tests::{
    bpf::{
        foreign_program::{self, ForeignProgram},
        skip,
    },
    cli::{
        netviz::command_for,
        verify::{VerifyOutput, parse, run},
    },
    netns::net_faults::{delete_route, set_down, set_mtu},
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// A lab, a pod (A) and a pod of the other node (B).
struct Broken {
    lab: Lab,
    a: Pod,
    b: Pod,
    own: Node,
    far: Node,
    /// Part of the fault.
    program: Option<ForeignProgram>,
}

impl Broken {
    fn up() -> Self {
        let options = Options {
            mode: Mode::Vxlan,
            attach: Attach::Auto,
            ..Options::default()
        };
        let lab = Lab::up(&options).unwrap();
        let a = lab.pods()[0].clone();
        let b = lab.pods().iter().find(|pod| pod.node != a.node);
        let b = b.unwrap().clone();
        let node = |name: &str| {
            let mut nodes = lab.nodes().iter();
            nodes.find(|node| node.name == name).unwrap().clone()
        };
        Self {
            own: node(&a.node),
            far: node(&b.node),
            a,
            b,
            lab,
            program: None,
        }
    }

    fn netlink(&self, place: &impl Place) -> Netlink {
        Netlink::open_in(&self.lab.netns(place).unwrap()).unwrap()
    }

    fn run(&self, place: &impl Place, command: &str) {
        let netns = self.lab.netns(place).unwrap();
        let mut words = command.split(' ');
        let mut process = Command::new(words.next().unwrap());
        let output = netns.run(|| process.args(words).output());
        let output = output.unwrap().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }

    fn delete_default_route(&self, pod: &Pod) {
        let everything = Ipv4Addr::UNSPECIFIED.into();
        delete_route(&mut self.netlink(pod), everything, 0).unwrap();
    }

    /// Replaces `{a}` and so on by the names and addresses of this lab, and of this result.
    fn fill(&self, text: &str, result: &VerifyOutput) -> String {
        let [x, y, z, _] = self.b.address.octets();
        let pod = |end: &str| result.json[end]["pod"].as_str().unwrap_or("?").to_owned();
        [
            ("{a}", self.a.address.to_string()),
            ("{b}", self.b.address.to_string()),
            ("{free}", Ipv4Addr::new(x, y, z, 99).to_string()),
            ("{pod A}", format!("pod {}", pod("from"))),
            ("{pod B}", format!("pod {}", pod("to"))),
            ("{node A}", format!("node {}", self.own.name)),
            ("{node B}", format!("node {}", self.far.name)),
            ("{address of node B}", self.far.address.to_string()),
            ("{lxcB}", self.b.interface.name.clone()),
            ("{pid}", std::process::id().to_string()),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, &value)
        })
    }
}

/// One way to break a path.
struct Fault {
    name: &'static str,
    apply: fn(&mut Broken),
    /// Arguments after A; `{b}` is B.
    args: &'static str,
    /// Where the packets ended.
    place: &'static str,
    cause: &'static str,
    /// Part of the next command.
    next: &'static str,
    /// Whether only the kernel's drop reason tells.
    needs_reasons: bool,
}

const FIREWALLS: [Fault; 2] = [
    Fault {
        name: "firewall in the receiver",
        apply: |it| it.run(&it.b, "iptables -A INPUT -j DROP"),
        args: "{b}",
        place: "{pod B} received 10 of 10 requests and did not answer",
        cause: "netfilter (iptables, nftables) dropped 10 packets in {pod B} (NETFILTER_DROP",
        next: "nsenter --net=",
        needs_reasons: true,
    },
    Fault {
        name: "tunnel port firewalled",
        apply: |it| it.run(&it.far, "iptables -A INPUT -p udp --dport 8472 -j DROP"),
        args: "{b}",
        place: "10 of 10 requests, on {node B} between ▼ eth0 and ▼ cilium_vxlan",
        cause: "netfilter (iptables, nftables) dropped 10 packets of the tunnel (UDP 8472) on {node B} (NETFILTER_DROP",
        next: "nsenter --net=",
        needs_reasons: true,
    },
];

/// The route back of the receiver is by another interface than the packets come in by.
const REVERSE_PATH: Fault = Fault {
    name: "rp_filter",
    apply: |it| {
        for command in [
            "ip link add spare type veth peer name other",
            "ip link set other up",
            "ip link set spare up",
            &format!("ip route add {}/32 dev spare", it.a.address),
        ] {
            it.run(&it.b, command);
        }
        let b = it.lab.netns(&it.b).unwrap();
        let strict = || std::fs::write("/proc/sys/net/ipv4/conf/eth0/rp_filter", "1");
        b.run(strict).unwrap().unwrap();
    },
    args: "{b}",
    place: "{pod B} received 10 of 10 requests and did not answer",
    cause: "rp_filter of eth0 in {pod B} dropped them: the route back to {a} uses another interface",
    next: " ip route get {a}",
    needs_reasons: false,
};

const FAULTS: [Fault; 13] = [
    Fault {
        name: "no route on the node",
        apply: |it| {
            let [x, y, ..] = it.own.address.octets();
            let between = Ipv4Addr::new(x, y, 0, 0);
            delete_route(&mut it.netlink(&it.own), between.into(), 16).unwrap();
        },
        args: "{b}",
        place: "10 of 10 requests, on {node A} between ▲ cilium_vxlan and ▲ eth0",
        cause: "{node A} has no route to {address of node B}",
        next: " ip route get {address of node B}",
        needs_reasons: true,
    },
    Fault {
        name: "no route to the outside",
        apply: |_| {},
        args: "8.8.8.8",
        place: "on {node A} between ▼ ",
        cause: "{node A} has no route to 8.8.8.8",
        next: " ip route get 8.8.8.8",
        needs_reasons: true,
    },
    Fault {
        name: "lxc down",
        apply: |it| set_down(&mut it.netlink(&it.far), it.b.interface.index).unwrap(),
        args: "{b}",
        place: "between ▲ {lxcB} on {node B} and ▼ eth0 in {pod B}",
        cause: "{lxcB} on {node B} is down",
        next: " ip link set {lxcB} up",
        needs_reasons: false,
    },
    Fault {
        name: "the pod's eth0 down",
        apply: |it| set_down(&mut it.netlink(&it.b), it.b.eth0.index).unwrap(),
        args: "{b}",
        place: "between ▲ {lxcB} on {node B} and ▼ eth0 in {pod B}",
        cause: "eth0 in {pod B} is down",
        next: " ip link set eth0 up",
        needs_reasons: false,
    },
    Fault {
        name: "route back missing",
        apply: |it| it.delete_default_route(&it.b),
        args: "{b}",
        place: "{pod B} received 10 of 10 requests and did not answer",
        cause: "{pod B} has no route to {a}",
        next: " ip route get {a}",
        needs_reasons: false,
    },
    Fault {
        name: "sender without a default route",
        apply: |it| it.delete_default_route(&it.a),
        args: "{b}",
        place: "could not send",
        cause: "{pod A} has no route to {b}",
        next: " ip route get {b}",
        needs_reasons: false,
    },
    Fault {
        name: "MTU at lxc",
        apply: |it| {
            set_mtu(&mut it.netlink(&it.far), it.b.interface.index, 1000).unwrap();
            set_mtu(&mut it.netlink(&it.b), it.b.eth0.index, 1000).unwrap();
        },
        args: "{b} --size 1400",
        place: "between ▲ {lxcB} on {node B} and ▼ eth0 in {pod B}",
        cause: "1400 bytes > MTU 1000 of {lxcB} on {node B}",
        next: "--size 1000",
        needs_reasons: false,
    },
    Fault {
        name: "MTU at the uplink",
        apply: |it| set_mtu(&mut it.netlink(&it.own), it.own.eth0.index, 1200).unwrap(),
        args: "{b} --size 1400",
        place: "eth0 on {node A}",
        cause: "1400 bytes + 50 of the tunnel > MTU 1200 of eth0 on {node A}",
        next: "--size 1150",
        needs_reasons: false,
    },
    Fault {
        name: "wrong neighbour",
        apply: |it| {
            let address = it.far.address;
            let entry = format!("{address} lladdr 02:00:00:00:00:99 dev eth0 nud permanent");
            it.run(&it.own, &format!("ip neigh replace {entry}"));
        },
        args: "{b}",
        place: "10 of 10 requests, ",
        cause: "{node A} has the MAC address 02:00:00:00:00:99 for {address of node B} at eth0, but eth0 on {node B} has ",
        next: " ip neigh del {address of node B} dev eth0",
        needs_reasons: false,
    },
    Fault {
        name: "no neighbour",
        apply: |it| {
            let address = it.far.address;
            let (subnet, gone) = (format!("{address}/32"), "172.18.0.99");
            it.run(
                &it.own,
                &format!("ip route add {subnet} via {gone} dev eth0"),
            );
        },
        args: "{b}",
        place: "10 of 10 requests, on {node A} between ▲ cilium_vxlan and ▲ eth0",
        cause: "nobody answers for 172.18.0.99 at eth0 on {node A} (ARP",
        next: " ip neigh show dev eth0",
        needs_reasons: false,
    },
    Fault {
        name: "foreign tcx program",
        apply: |it| {
            let netns = it.lab.netns(&it.far).unwrap();
            let shot = foreign_program::Verdict::Shot;
            let (device, direction) = (&it.b.interface.name, Direction::Egress);
            let program = ForeignProgram::tcx(&netns, device, direction, shot, LinkOrder::first());
            it.program = Some(program.unwrap());
        },
        args: "{b}",
        place: "between ▲ {lxcB} on {node B} and ▼ eth0 in {pod B}",
        cause: "foreign_shot (tcx, pid {pid}) dropped them at ▲ {lxcB} on {node B}",
        next: "netviz audit --device {lxcB}",
        needs_reasons: true,
    },
    Fault {
        name: "free address",
        apply: |_| {},
        args: "{free}",
        place: "10 of 10 requests, on {node B} behind ▲ cilium_host",
        cause: "nobody has {free}",
        next: "netviz doors --once",
        needs_reasons: false,
    },
    Fault {
        name: "longer than the MTU",
        apply: |_| {},
        args: "{b} --size 9000",
        place: "could not send",
        cause: "9000 bytes > MTU 1500 of eth0 in {pod A}",
        next: "--size 1500",
        needs_reasons: false,
    },
];

/// Whether the kernel reports why it drops packets.
fn has_reasons() -> bool {
    let btf = std::path::Path::new(VMLINUX).exists();
    btf && !Btf::of_kernel()
        .unwrap()
        .names("skb_drop_reason")
        .is_empty()
}

/// Returns what is wrong with the result.
fn check(fault: &Fault, prepare: fn(&mut Command)) -> Option<String> {
    let mut broken = Broken::up();
    (fault.apply)(&mut broken);
    let args = format!(
        "{{a}} {} --fast-attach --interval 5ms --timeout 300ms",
        fault.args
    );
    let none = VerifyOutput {
        code: None,
        stderr: String::new(),
        json: serde_json::Value::Null,
    };
    let args = broken.fill(&args, &none);
    let args: Vec<_> = ["verify", "-o", "json"]
        .into_iter()
        .chain(args.split(' '))
        .collect();
    let mut command = command_for(&broken.lab, &args);
    prepare(&mut command);
    let result = parse(&command.output().unwrap());
    let cause = &result.json["losses"][0]["causes"];
    let verdict: Result<Verdict, _> = serde_json::from_value(result.json.clone());
    let place = verdict.map_or_else(|error| error.to_string(), |verdict| summary(&verdict));
    let word = |field: &str| cause[0][field].as_str().unwrap_or_default();
    let [expected_place, expected, next] =
        [fault.place, fault.cause, fault.next].map(|text| broken.fill(text, &result));
    let sent = fault.place != "could not send";
    let right = result.code == Some(if sent { 1 } else { 2 })
        && place.contains(&expected_place)
        && cause.as_array().is_some_and(|all| all.len() == 1)
        && word("text").starts_with(&expected)
        && word("next").contains(&next);
    (!right).then(|| {
        format!(
            "{}:\n  {place}\n  expected: {expected_place}\n  {:#}\n  expected: {expected}; {next}\n  {}",
            fault.name, result.json["losses"], result.stderr
        )
    })
}

/// Runs the program as on a kernel without BTF, which does not give the reasons of drops.
fn without_reasons(command: &mut Command) {
    let none: Option<&str> = None;
    let hide = move || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        let empty = Some("tmpfs");
        Ok(mount(
            empty,
            "/sys/kernel/btf",
            empty,
            MsFlags::empty(),
            none,
        )?)
    };
    // SAFETY: system calls only; the paths are short enough for the stack.
    unsafe { command.pre_exec(hide) };
}

#[track_caller]
fn check_all(faults: &[Fault]) {
    let has_reasons = has_reasons();
    if !has_reasons {
        skip::because("this kernel gives no drop reasons");
    }
    let faults = faults.iter().filter(|it| has_reasons || !it.needs_reasons);
    let wrong: Vec<_> = faults.filter_map(|it| check(it, |_| {})).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn reverse_path_filter_is_found_with_and_without_drop_reasons() {
    if skip::without_tcx() || skip::without_programs(&["ip"]) {
        return;
    }
    let with = check(&REVERSE_PATH, |_| {});
    let without = check(&REVERSE_PATH, without_reasons);
    assert_eq!((with, without), (None, None));
}

#[test]
fn each_fault_has_one_cause() {
    if !skip::without_tcx() {
        check_all(&FAULTS);
    }
}

#[test]
fn firewalls_are_named() {
    if !skip::without_tcx() && !skip::without_programs(&["iptables"]) {
        check_all(&FIREWALLS);
    }
}

/// Refusals are answers: the path is not broken, and the kernel limits how many it sends.
#[test]
fn refusals_are_answers() {
    let closed = (
        "{b} --proto udp --port 9",
        "",
        "{b} received and refused 10 of 10: port unreachable; ",
    );
    let rejected = (
        "{b} --port 80",
        "iptables -A INPUT -p tcp --dport 80 -j REJECT",
        "{b} received 10 of 10, and netfilter (iptables, nftables) there refused them: port unreachable; ",
    );
    let mut cases = vec![closed];
    if !skip::without_programs(&["iptables"]) && has_reasons() {
        cases.push(rejected);
    }
    for (args, firewall, expected) in cases {
        let broken = Broken::up();
        if !firewall.is_empty() {
            broken.run(&broken.b, firewall);
        }
        let args = format!(
            "{} {args} --fast-attach --interval 5ms --timeout 300ms",
            broken.a.address
        );
        let args = args.replace("{b}", &broken.b.address.to_string());
        let result = run(&broken.lab, &args.split(' ').collect::<Vec<_>>());
        let verdict = &result.json;
        let b = verdict["to"]["name"].as_str().unwrap_or_default();
        let expected = expected.replace("{b}", b);
        assert_eq!(
            (result.code, &verdict["verdict"]),
            (Some(0), &"verified".into()),
            "{verdict:#}"
        );
        assert_eq!(verdict["delivered"], 10, "{verdict:#}");
        let notes = verdict["notes"].as_array().unwrap().iter();
        let texts: Vec<_> = notes.filter_map(|note| note["text"].as_str()).collect();
        let refused = texts.iter().find(|text| text.starts_with(&expected));
        let refused = refused.unwrap_or_else(|| panic!("{texts:?}"));
        assert!(
            refused.ends_with(" refusals sent, the kernel limits them"),
            "{refused}"
        );
    }
}
