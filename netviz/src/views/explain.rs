//! What interfaces and programs do, and why packets go from one to the next: the one table of
//! explanations, each with its source.
//!
//! Facts about Cilium are of 1.14 to 1.19, on which the paths of packets were measured.

use crate::{
    model::{
        CILIUM_HOST, Direction,
        Direction::{Egress, Ingress},
        Role, Side,
    },
    verify::CrossingRow,
};

/// An explanation, and where to read more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One or two sentences.
    pub text: &'static str,
    /// A manual page, a page of the documentation, or a source file.
    pub source: &'static str,
}

const fn because(text: &'static str, source: &'static str) -> Explanation {
    Explanation { text, source }
}

const VETH: &str = "veth(4)";
const LIFE: &str = "docs.cilium.io: Life of a Packet";
const ROUTING: &str = "docs.cilium.io: Routing";
const LXC: &str = "cilium: bpf/bpf_lxc.c";
const HOST: &str = "cilium: bpf/bpf_host.c";
const OVERLAY: &str = "cilium: bpf/bpf_overlay.c";
const VXLAN: &str = "linux: Documentation/networking/vxlan.rst";
const BRIDGE: &str = "bridge(8)";
const ROUTES: &str = "ip-route(8)";
const PEER: &str = "bpf-helpers(7): bpf_redirect_peer";

/// What an interface is.
#[must_use]
pub fn interface(role: Role, side: Side, name: &str) -> Explanation {
    match (role, side) {
        (Role::Pod, Side::Pod) => because(
            "The pod's own interface. A veth pair works like a cable: what goes into one end comes out of the other.",
            VETH,
        ),
        (Role::Pod, _) => because(
            "The node's end of the pod's veth pair. Cilium names it lxc and a hash, other CNI plugins veth, cali, eni.",
            VETH,
        ),
        (Role::Health, _) => because(
            "Cilium's own test endpoint: the agents of other nodes probe it.",
            "docs.cilium.io: Troubleshooting, cluster connectivity health check",
        ),
        (Role::CiliumHost, _) if name == CILIUM_HOST => because(
            "The node's own way to its pods: it has the node's address in the pod range, and routes to that range point to it.",
            HOST,
        ),
        (Role::CiliumHost, _) => because(
            "The other end of cilium_host: packets for the node itself that come through the tunnel enter here.",
            HOST,
        ),
        (Role::Overlay, _) => because(
            "The tunnel device. On the way out it wraps each packet in a UDP packet between two nodes; on the way in it unwraps it. The tunnel key carries the sender's security identity.",
            VXLAN,
        ),
        (Role::Encryption, _) => because(
            "Encrypts packets to other nodes, and decrypts packets from them.",
            "docs.cilium.io: Transparent Encryption",
        ),
        (Role::Uplink, Side::Host) => because(
            "The machine's end of the node's uplink: this node is a container, as in Kind.",
            VETH,
        ),
        (Role::Uplink, _) => because(
            "The node's interface to the network that joins the nodes.",
            ROUTING,
        ),
        (Role::Bridge, _) => because(
            "A switch in the kernel: it forwards by Ethernet address between the interfaces that are its ports.",
            BRIDGE,
        ),
        (Role::Veth, _) => because("One end of a veth pair within the node.", VETH),
        (Role::Other, _) => because("Not an interface of Kubernetes or Cilium.", "ip-link(8)"),
    }
}

const FROM_CONTAINER: &str = "cil_from_container";
const FROM_OVERLAY: &str = "cil_from_overlay";

/// Bytes of a program's name that the kernel keeps.
const KERNEL_NAME: usize = 15;

/// A table of programs of Cilium's: `NAME, SOURCE: "what it does";`.
macro_rules! programs {
    ($($name:expr, $source:ident: $text:literal;)*) => {
        const PROGRAMS: &[(&str, Explanation)] = &[$(($name, because($text, $source))),*];
    };
}

programs! {
    FROM_CONTAINER, LXC:
        "runs on every packet that the pod sends. It checks egress policy, translates the addresses of services, looks up the identity and the node of the receiver, and sends the packet on its way.";
    "cil_to_container", LXC:
        "checks ingress policy. It is here only if the pod has a route of its own (endpoint routes).";
    "cil_from_host", HOST:
        "runs on what the node itself sends to pods. It delivers to a pod of this node, or sends into the tunnel.";
    "cil_to_host", HOST:
        "runs on what arrives for the node itself.";
    FROM_OVERLAY, OVERLAY:
        "takes the sender's identity from the tunnel key, finds the receiving pod, checks its ingress policy, and delivers.";
    "cil_to_overlay", OVERLAY:
        "is the last program before a packet is wrapped.";
    "cil_from_netdev", HOST:
        "runs on what arrives from the network: services that are reached from outside, the host firewall, and, in native routing, packets for pods of this node.";
    "cil_to_netdev", HOST:
        "runs on what leaves for the network: masquerading and replies of services. It is here with BPF host routing or kube-proxy replacement.";
}

/// The full name of a program of Cilium's, and what it does; `None` for others.
#[must_use]
pub fn program(name: &str) -> Option<(&'static str, Explanation)> {
    let mut programs = PROGRAMS.iter();
    let known = programs.find(|(full, _)| full.get(..KERNEL_NAME).unwrap_or(full) == name);
    known.copied()
}

/// A hook of an interface of some kind; what is `None` is any.
struct Kind(Option<Role>, Option<Side>, Direction);

impl Kind {
    fn fits(&self, row: &CrossingRow) -> bool {
        let Self(role, side, direction) = self;
        role.is_none_or(|role| role == row.role)
            && side.is_none_or(|side| side == row.side)
            && *direction == row.direction
    }
}

const OUT_OF_POD: Kind = Kind(Some(Role::Pod), Some(Side::Node), Ingress);
const TO_POD: Kind = Kind(Some(Role::Pod), Some(Side::Node), Egress);
const INTO_POD: Kind = Kind(Some(Role::Pod), Some(Side::Pod), Ingress);

const fn into(role: Role) -> Kind {
    Kind(Some(role), None, Ingress)
}

const fn out_of(role: Role) -> Kind {
    Kind(Some(role), None, Egress)
}

/// A rule: at the first hook, where this program of Cilium's runs, and then at the second.
type Step = (Kind, Option<&'static str>, Kind, Explanation);

/// Why a packet goes from hook to hook: `FROM, program => TO, SOURCE: "why";`. The first row that fits is
/// right.
macro_rules! steps {
    ($($from:expr, $program:expr => $to:expr, $source:ident: $text:literal;)*) => {
        const STEPS: &[Step] = &[$(($from, $program, $to, because($text, $source))),*];
    };
}

steps! {
    out_of(Role::Pod), None => into(Role::Pod), VETH:
        "The two ends of one veth pair: out of one is into the other.";
    out_of(Role::Health), None => into(Role::Health), VETH:
        "The two ends of one veth pair: out of one is into the other.";
    OUT_OF_POD, Some(FROM_CONTAINER) => out_of(Role::Overlay), LIFE:
        "The receiver is on another node, and this node tunnels. cil_from_container sets the tunnel key and redirects the packet to the tunnel device, past cilium_host and the node's routing table.";
    OUT_OF_POD, None => out_of(Role::Overlay), ROUTES:
        "The receiver is on another node, and this node's routing table has a route to its pods through the tunnel.";
    OUT_OF_POD, None => out_of(Role::Uplink), ROUTES:
        "Without a tunnel the packet leaves as it is, by the node's routing table: the network between the nodes must know the way to pods.";
    OUT_OF_POD, Some(FROM_CONTAINER) => TO_POD, LIFE:
        "The receiver is on the same node: cil_from_container finds it in Cilium's map of endpoints, checks its ingress policy, and sends the packet to its interface.";
    OUT_OF_POD, None => TO_POD, ROUTES:
        "The receiver is on the same node: the routing table has a route to it over its interface.";
    Kind(None, None, Ingress), None => INTO_POD, PEER:
        "bpf_redirect_peer puts the packet straight into the pod's network namespace (BPF host routing): it never goes out of the node's end of the pair.";
    out_of(Role::Overlay), None => out_of(Role::Uplink), VXLAN:
        "The kernel has wrapped the packet: from here on it is a UDP packet from this node to the other, and the routing table chooses the uplink.";
    into(Role::Uplink), None => into(Role::Overlay), VXLAN:
        "A UDP packet to the tunnel's port: the kernel unwraps it, and the packet inside arrives at the tunnel device together with its key.";
    out_of(Role::Uplink), None => into(Role::Uplink), VETH:
        "The wire between the two: a veth pair if nodes are containers, else the network.";
    into(Role::Uplink), None => out_of(Role::Uplink), BRIDGE:
        "The machine's bridge or routing table joins the nodes.";
    into(Role::Overlay), Some(FROM_OVERLAY) => TO_POD, LIFE:
        "cil_from_overlay knows the receiver from Cilium's map of endpoints, and sends the packet to its interface: cilium_host is not on the way.";
    into(Role::Overlay), None => out_of(Role::CiliumHost), HOST:
        "The packet is for the node itself, or for no pod that is here.";
    out_of(Role::CiliumHost), None => into(Role::CiliumHost), HOST:
        "cilium_net and cilium_host are the two ends of one veth pair.";
    into(Role::Uplink), None => out_of(Role::CiliumHost), ROUTING:
        "Native routing with legacy host routing: the routing table sends the whole pod range to cilium_host, whose program delivers.";
    out_of(Role::CiliumHost), None => TO_POD, HOST:
        "cil_from_host finds the pod in Cilium's map of endpoints, and sends the packet to its interface.";
    out_of(Role::CiliumHost), None => out_of(Role::Overlay), HOST:
        "The receiver is on another node: cil_from_host sets the tunnel key and redirects the packet to the tunnel device.";
    Kind(None, None, Ingress), None => TO_POD, ROUTES:
        "The routing table has a route to the pod over this interface.";
    Kind(None, None, Ingress), None => into(Role::Bridge), BRIDGE:
        "The interface is a port of the bridge.";
    out_of(Role::Bridge), None => Kind(None, None, Egress), BRIDGE:
        "The interface is a port of the bridge.";
}

/// Why a packet that was at `here` is at `next` then; `None` if no rule fits.
#[must_use]
pub fn step(here: &CrossingRow, next: &CrossingRow) -> Option<Explanation> {
    let runs = |wanted: &str| {
        let names = here.programs.iter().flatten();
        let mut known = names.filter_map(|name| program(name.raw()));
        known.any(|(name, _)| name == wanted)
    };
    let fits = |(from, program, to, _): &&Step| {
        from.fits(here) && to.fits(next) && program.is_none_or(runs)
    };
    let step = STEPS.iter().find(fits);
    step.map(|(.., explanation)| *explanation)
}

/// Why `cilium_host` is not on a path that does not have it.
pub const PAST_CILIUM_HOST: Explanation = because(
    "cilium_host is not on this path. It is the node's own door to its pods, and only two kinds of packets use it: those of the node itself, and, in native routing with legacy host routing, those that arrive for a pod. Many drawings show it between every pod and the network.",
    LIFE,
);

/// Why a door of the path that a helper bypasses is not crossed.
pub const SKIPPED: Explanation = because(
    "On the path, but not crossed: the packet was put straight into the pod's network namespace. The counters of this interface do not contain it.",
    PEER,
);
