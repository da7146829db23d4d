//! Plain data: the programs at the hooks.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use ipnet::IpNet;

use crate::{
    model::{Direction, Door, DoorId, LinkKind, Node, Reason, Role, Side, Untrusted},
    sys::netns::NetNsId,
};

/// How the names of Cilium's programs begin. Names of filters and pins changed between its versions,
/// these did not.
const CILIUM_PREFIX: &str = "cil_";

/// How a program is attached.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// XDP, in the driver or in front of the stack: ingress only, before all others.
    Xdp,
    /// In the device itself, which hands packets to its other end: an unknown return code drops.
    Netkit,
    /// tcx (Linux 6.6).
    Tcx,
    /// A filter of the clsact qdisc; runs after the tcx chain, if that returns `TCX_NEXT`.
    Clsact,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The owner of a program, by its name.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// `cil_*`.
    Cilium,
    /// `netviz_*`.
    Netviz,
    /// Any other tool's.
    Other,
}

impl Owner {
    /// By the program's name.
    #[must_use]
    pub fn of(program: &str) -> Self {
        if program.starts_with(CILIUM_PREFIX) {
            Self::Cilium
        } else if program.starts_with(netviz_ebpf::PROGRAM_PREFIX) {
            Self::Netviz
        } else {
            Self::Other
        }
    }
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Its id, as seen from here.
    pub pid: u32,
    /// Its name.
    pub command: Untrusted,
}

/// Position of a filter in clsact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FilterPlace {
    /// Lower priorities run first.
    pub priority: u16,
    /// Its handle within the priority.
    pub handle: u32,
    /// Its own name, which is not the program's.
    pub name: String,
    /// Whether the program's return code decides about the packet.
    pub direct_action: bool,
    /// The netviz instance that a filter with netviz's marks belongs to.
    pub maker: Option<u16>,
}

/// One program on a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attached {
    /// How it is attached.
    pub way: Way,
    /// The kernel's ID of the program; `null` for a filter without one.
    pub program_id: Option<u32>,
    /// Its name. The kernel keeps 15 bytes; the rest is from the program's type information, where
    /// it has some.
    pub name: Untrusted,
    /// Hash over its instructions, 16 hexadecimal digits.
    pub tag: Option<String>,
    /// When it was loaded, UTC.
    pub loaded_at: Option<String>,
    /// ID of the user who loaded it.
    pub uid: Option<u32>,
    /// The kernel's id of its link; `null` where it is attached without one.
    pub link_id: Option<u32>,
    /// Position in clsact.
    pub filter: Option<FilterPlace>,
    /// Its owner.
    pub owner: Owner,
    /// Processes that hold the program or its link.
    pub held_by: Vec<Process>,
    /// Paths on the node at which the program or its link is pinned.
    pub pinned_at: Vec<Untrusted>,
    /// Whether it is a filter of a netviz that no longer runs.
    pub left_over: bool,
}

/// One hook of a door.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hook {
    /// The kernel's count of changes of the tcx chain; `null` where the kernel has no tcx.
    pub revision: Option<u64>,
    /// Whether it changed during the inspection.
    pub changed: bool,
    /// The programs in run order.
    pub programs: Vec<Attached>,
}

/// Both hooks of a door.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chains {
    /// Into the device.
    pub ingress: Hook,
    /// Out of the device.
    pub egress: Hook,
}

impl Chains {
    /// One of them.
    #[must_use]
    pub fn hook(&self, direction: Direction) -> &Hook {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// Both, to be changed.
    pub fn hooks_mut(&mut self) -> [&mut Hook; 2] {
        [&mut self.ingress, &mut self.egress]
    }

    /// Marks the hooks that differ from `before`.
    pub fn compare(&mut self, before: &Self) {
        let before = [&before.ingress, &before.egress];
        for (hook, before) in self.hooks_mut().into_iter().zip(before) {
            hook.changed |=
                hook.revision != before.revision || hook.identities() != before.identities();
        }
    }
}

impl Hook {
    fn identities(&self) -> Vec<(Way, Option<u32>, Option<u32>)> {
        let programs = self.programs.iter();
        programs
            .map(|it| (it.way, it.program_id, it.link_id))
            .collect()
    }
}

/// A door and the programs at its hooks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditedDoor {
    /// Identity.
    pub id: DoorId,
    /// Name of its node.
    pub node: Untrusted,
    /// Whether that node has Cilium's devices.
    pub cilium: bool,
    /// In the pod, on the node, or on the host.
    pub side: Side,
    /// Its role.
    pub role: Role,
    /// Its pod.
    pub pod: Option<Untrusted>,
    /// Kubernetes namespace of the pod.
    pub namespace: Option<Untrusted>,
    /// Interface name, `null` where its namespace cannot be entered.
    pub interface: Option<Untrusted>,
    /// Its index, in its own network namespace.
    pub ifindex: u32,
    /// Inode of its network namespace.
    pub netns: Option<NetNsId>,
    /// The kernel's link kind.
    pub kind: Option<LinkKind>,
    /// Addresses with prefix lengths.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<IpNet>,
    /// The programs; `null` where they could not be read.
    pub chains: Option<Chains>,
    /// Why they could not be read.
    pub problem: Option<Reason>,
}

impl AuditedDoor {
    /// A door that was not inspected yet.
    #[must_use]
    pub fn new(door: &Door, node: &Node) -> Self {
        Self {
            id: door.id,
            node: node.name.clone(),
            cilium: node.cilium,
            side: door.side,
            role: door.role,
            pod: door.pod.as_ref().map(Into::into),
            namespace: door.namespace.as_ref().map(Into::into),
            interface: (!door.interface.is_empty()).then(|| (&door.interface).into()),
            ifindex: door.id.ifindex,
            netns: door.id.netns.known(),
            kind: door.kind.clone(),
            addresses: door.addresses.clone(),
            chains: None,
            problem: door.problem.clone(),
        }
    }

    /// `namespace/name` of its pod.
    #[must_use]
    pub fn pod_label(&self) -> Option<Untrusted> {
        Some(self.pod.as_ref()?.within(self.namespace.as_ref()))
    }

    /// Whether its interface has this name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.interface.as_ref().is_some_and(|own| *own == *name)
    }

    /// The name to show: the interface's, or its index where the name is not known.
    #[must_use]
    pub fn label(&self) -> Untrusted {
        let index = || format!("if{}", self.ifindex).into();
        self.interface.clone().unwrap_or_else(index)
    }
}
