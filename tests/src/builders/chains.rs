//! Doors with programs as plain data, for audit rules and views.

use netviz::{
    audit::{Attached, AuditedDoor, Chains, FilterPlace, Hook, Owner, Process, Way},
    model::{Direction, DoorId, Role, Side},
    sys::netns::NetNsId,
};

use super::snapshot_builder::net;

/// Returns a program in tcx.
#[must_use]
pub fn tcx(id: u32, name: &str) -> Attached {
    Attached {
        way: Way::Tcx,
        program_id: Some(id),
        name: name.into(),
        tag: Some(format!("{id:016x}")),
        loaded_at: Some("2026-01-02T03:04:05Z".into()),
        uid: Some(0),
        link_id: Some(id + 1_000),
        filter: None,
        owner: Owner::of(name),
        held_by: Vec::new(),
        pinned_at: Vec::new(),
        left_over: false,
    }
}

/// Returns a filter in clsact.
#[must_use]
pub fn filter(id: u32, name: &str, priority: u16, handle: u32) -> Attached {
    Attached {
        way: Way::Clsact,
        link_id: None,
        filter: Some(FilterPlace {
            priority,
            handle,
            name: format!("{name}-device"),
            direct_action: true,
            maker: None,
        }),
        ..tcx(id, name)
    }
}

/// Returns the same program, held by a process.
#[must_use]
pub fn held(mut program: Attached, pid: u32, command: &str) -> Attached {
    program.held_by.push(Process {
        pid,
        command: command.into(),
    });
    program
}

/// A cluster under construction.
#[derive(Default)]
pub struct ChainBuilder {
    /// Its doors.
    pub doors: Vec<AuditedDoor>,
}

impl ChainBuilder {
    /// Adds a door without programs to a node with Cilium; each node has one namespace.
    pub fn door(&mut self, node: u64, side: Side, role: Role, interface: &str) -> &mut AuditedDoor {
        let ifindex = 2 + self.doors.len() as u32;
        let netns = NetNsId(match side {
            Side::Node => node,
            Side::Pod | Side::Host => 1_000 + u64::from(ifindex),
        });
        self.doors.push(AuditedDoor {
            id: DoorId::new(netns, ifindex),
            node: format!("worker{node}").into(),
            cilium: true,
            side,
            role,
            pod: None,
            namespace: None,
            interface: Some(interface.into()),
            ifindex,
            netns: Some(netns),
            kind: Some("veth".into()),
            addresses: vec![net("10.0.0.1/32")],
            chains: Some(Chains {
                ingress: empty(),
                egress: empty(),
            }),
            problem: None,
        });
        self.doors.last_mut().expect("just added")
    }

    /// Adds a correct node, vxlan with legacy host routing: two pods and all of Cilium's devices.
    pub fn node(&mut self, node: u64) {
        for (pod, lxc) in [("busybox-a", "lxcaaaa"), ("netshoot-b", "lxcbbbb")] {
            for (side, interface) in [(Side::Pod, "eth0"), (Side::Node, lxc)] {
                let door = self.door(node, side, Role::Pod, interface);
                door.pod = Some(format!("{pod}{node}").into());
                door.namespace = Some("shop".into());
            }
        }
        for (role, device, ingress, egress) in [
            (Role::Health, "lxc_health", "", ""),
            (Role::CiliumHost, "cilium_net", "cil_to_host", ""),
            (
                Role::CiliumHost,
                "cilium_host",
                "cil_to_host",
                "cil_from_host",
            ),
            (
                Role::Overlay,
                "cilium_vxlan",
                "cil_from_overlay",
                "cil_to_overlay",
            ),
            (Role::Uplink, "eth0", "cil_from_netdev", ""),
        ] {
            let door = self.door(node, Side::Node, role, device);
            for (direction, name) in [(Direction::Ingress, ingress), (Direction::Egress, egress)] {
                if !name.is_empty() {
                    hook(door, direction).programs.push(tcx(40, name));
                }
            }
        }
        for door in self
            .doors
            .iter_mut()
            .filter(|door| door.node == format!("worker{node}"))
        {
            if door.label().raw().starts_with("lxc") {
                hook(door, Direction::Ingress)
                    .programs
                    .push(tcx(41, "cil_from_container"));
            }
        }
    }

    /// Returns a hook of a device in a node's namespace.
    ///
    /// # Panics
    /// If there is no such hook.
    pub fn hook(&mut self, node: u64, interface: &str, direction: Direction) -> &mut Hook {
        let mut doors = self.doors.iter_mut();
        let door =
            doors.find(|door| door.netns == Some(NetNsId(node)) && door.label() == *interface);
        hook(door.expect("no such door"), direction)
    }
}

fn empty() -> Hook {
    Hook {
        revision: Some(1),
        ..Hook::default()
    }
}

/// Returns one hook of an inspected door.
///
/// # Panics
/// If the door was not inspected.
pub fn hook(door: &mut AuditedDoor, direction: Direction) -> &mut Hook {
    let chains = door.chains.as_mut().expect("an inspected door");
    match direction {
        Direction::Ingress => &mut chains.ingress,
        Direction::Egress => &mut chains.egress,
    }
}
