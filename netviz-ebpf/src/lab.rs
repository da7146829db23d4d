//! What the laboratory's forwarding programs share with user space.
//!
//! Addresses are 16 bytes everywhere, IPv4 in its mapped form (`::ffff:a.b.c.d`): one map, one
//! lookup for both families.

/// Array with one entry: the node's [`Config`].
pub const CONFIG_MAP: &str = "LAB_CONFIG";
/// Hash from an address to the [`Endpoint`] of this node that has it.
pub const ENDPOINTS_MAP: &str = "LAB_ENDPOINTS";
/// Longest-prefix trie from a network to the [`Route`] that leads there.
pub const ROUTES_MAP: &str = "LAB_ROUTES";
/// Hash from a service's [`Frontend`] to that of its backend.
pub const SERVICES_MAP: &str = "LAB_SERVICES";
/// Hash from a MAC to the port behind which it is: the wire between the nodes.
pub const PORTS_MAP: &str = "LAB_PORTS";
/// The program that is the network between the nodes.
pub const WIRE_PROGRAM: &str = "lab_wire";
/// Security identity of a node itself (`remote-node` in Cilium).
pub const NODE_IDENTITY: u32 = 6;
/// Security identity of the health endpoints.
pub const HEALTH_IDENTITY: u32 = 4;

/// Packets to other nodes' pods travel in VXLAN.
pub const TUNNEL: u32 = 1;
/// BPF host routing: packets bypass the node's stack where they can.
pub const HOST_ROUTING: u32 = 2;
/// One route per pod: the node's stack delivers, `cil_to_container` sees it.
pub const ENDPOINT_ROUTES: u32 = 4;

/// What one node's programs have to know about it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Bits [`TUNNEL`], [`HOST_ROUTING`], [`ENDPOINT_ROUTES`].
    pub flags: u32,
    /// Index of `cilium_net`.
    pub net_index: u32,
    /// Index of `cilium_vxlan`.
    pub vxlan_index: u32,
    /// Index of `eth0`.
    pub eth0_index: u32,
    /// The node's IPv4 address, network order: the source of what is masqueraded.
    pub address: [u8; 4],
    /// MAC of `cilium_net`.
    pub net_mac: [u8; 6],
    /// MAC of `cilium_host`.
    pub host_mac: [u8; 6],
    /// MAC of `eth0`.
    pub eth0_mac: [u8; 6],
    /// No bytes of chance in a map's value.
    pub padding: [u8; 2],
}

/// [`Endpoint::kind`]: a pod.
pub const POD: u32 = 0;
/// [`Endpoint::kind`]: an address of the node itself.
pub const OWN: u32 = 1;

/// One address of a node.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// [`POD`] or [`OWN`].
    pub kind: u32,
    /// Index of the pod's `lxc*`.
    pub index: u32,
    /// Security identity.
    pub identity: u32,
    /// MAC of the pod's own end.
    pub mac: [u8; 6],
    /// MAC of `lxc*`.
    pub node_mac: [u8; 6],
}

/// [`Route::kind`]: this node's own pods. A packet that comes so far is for a pod that is not there.
pub const LOCAL_PODS: u32 = 0;
/// [`Route::kind`]: pods of another node.
pub const REMOTE_PODS: u32 = 1;
/// [`Route::kind`]: another node itself.
pub const REMOTE_NODE: u32 = 2;
/// [`Route::kind`]: outside of the cluster.
pub const WORLD: u32 = 3;

/// Where a network lies.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// [`LOCAL_PODS`], [`REMOTE_PODS`], [`REMOTE_NODE`] or [`WORLD`].
    pub kind: u32,
    /// The node to tunnel to: IPv4 in host order, as `bpf_skb_set_tunnel_key` wants it.
    pub tunnel: u32,
    /// MAC of the next hop on `eth0`.
    pub mac: [u8; 6],
    /// No bytes of chance in a map's value.
    pub padding: [u8; 2],
}

/// Where a service, or its backend, takes what is sent to it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frontend {
    /// IPv4 address.
    pub address: [u8; 4],
    /// Port, in network order.
    pub port: u16,
    /// Number of the protocol: 6 or 17.
    pub protocol: u16,
}

/// Array with two entries, ingress and egress: what the tests' probe noted.
pub const SEEN_MAP: &str = "LAB_SEEN";

/// What the last packet at a hook carried.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// TTL, or hop limit.
    pub ttl: u32,
    /// Identity in its tunnel key; 0 where it has none.
    pub identity: u32,
}

/// `address` in the form of the maps' keys.
#[must_use]
pub const fn mapped(address: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = address;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

#[cfg(feature = "user")]
mod user {
    use super::{Config, Endpoint, Frontend, Route, Seen};

    // SAFETY: plain `repr(C)` structures of integers without padding of the compiler's, every bit
    // pattern is valid.
    unsafe impl aya::Pod for Config {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Endpoint {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Route {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Seen {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Frontend {}
}

const _: () = {
    assert!(size_of::<Config>() == 20 + 18 + 2);
    assert!(size_of::<Endpoint>() == 24);
    assert!(size_of::<Route>() == 16);
    assert!(size_of::<Frontend>() == 8);
};
