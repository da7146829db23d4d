//! Types that the lab's forwarding programs share with user space.
//!
//! All addresses have 16 bytes, with IPv4 in its mapped form (`::ffff:a.b.c.d`): one map and one
//! lookup for both families.

/// Array with one entry: the node's [`Config`].
pub const CONFIG_MAP: &str = "LAB_CONFIG";
/// Hash from an address to this node's [`Endpoint`].
pub const ENDPOINTS_MAP: &str = "LAB_ENDPOINTS";
/// Longest-prefix trie from a network to its [`Route`].
pub const ROUTES_MAP: &str = "LAB_ROUTES";
/// Hash from a service's [`Frontend`] to that of its backend.
pub const SERVICES_MAP: &str = "LAB_SERVICES";
/// Hash from a MAC address to its port in the network between the nodes.
pub const PORTS_MAP: &str = "LAB_PORTS";
/// Program of the network between the nodes.
pub const WIRE_PROGRAM: &str = "lab_wire";
/// Security identity of a node (`remote-node` in Cilium).
pub const NODE_IDENTITY: u32 = 6;
/// Security identity of the health endpoints.
pub const HEALTH_IDENTITY: u32 = 4;

/// Packets to other nodes' pods use VXLAN.
pub const TUNNEL: u32 = 1;
/// BPF host routing: packets bypass the node's stack where they can.
pub const HOST_ROUTING: u32 = 2;
/// One route per pod: the node's stack routes the packet, and `cil_to_container` processes it.
pub const ENDPOINT_ROUTES: u32 = 4;

/// Configuration of one node's programs.
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
    /// The node's IPv4 address in network order: the source of masqueraded packets.
    pub address: [u8; 4],
    /// MAC of `cilium_net`.
    pub net_mac: [u8; 6],
    /// MAC of `cilium_host`.
    pub host_mac: [u8; 6],
    /// MAC of `eth0`.
    pub eth0_mac: [u8; 6],
    /// Explicit, so that a map's value has no uninitialised bytes.
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

/// [`Route::kind`]: this node's own pods. A packet that uses this route is for a pod that does not
/// exist.
pub const LOCAL_PODS: u32 = 0;
/// [`Route::kind`]: pods of another node.
pub const REMOTE_PODS: u32 = 1;
/// [`Route::kind`]: another node itself.
pub const REMOTE_NODE: u32 = 2;
/// [`Route::kind`]: outside of the cluster.
pub const WORLD: u32 = 3;

/// Destination of a network.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// [`LOCAL_PODS`], [`REMOTE_PODS`], [`REMOTE_NODE`] or [`WORLD`].
    pub kind: u32,
    /// The node to tunnel to: IPv4 in host order, as `bpf_skb_set_tunnel_key` requires.
    pub tunnel: u32,
    /// MAC of the next hop on `eth0`.
    pub mac: [u8; 6],
    /// Explicit, so that a map's value has no uninitialised bytes.
    pub padding: [u8; 2],
}

/// Address and port of a service or its backend.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frontend {
    /// IPv4 address.
    pub address: [u8; 4],
    /// Port, in network order.
    pub port: u16,
    /// Protocol number: 6 or 17.
    pub protocol: u16,
}

/// Array with two entries, ingress and egress: written by the tests' probe.
pub const SEEN_MAP: &str = "LAB_SEEN";

/// Fields of the last packet at a hook.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastPacket {
    /// TTL, or hop limit.
    pub ttl: u32,
    /// Identity in its tunnel key; 0 without one.
    pub identity: u32,
}

/// Returns `address` in the form of the maps' keys.
#[must_use]
pub const fn mapped(address: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = address;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

#[cfg(feature = "user")]
mod user {
    use super::{Config, Endpoint, Frontend, LastPacket, Route};

    // SAFETY: plain `repr(C)` structures of integers without compiler padding, every bit pattern is
    // valid.
    unsafe impl aya::Pod for Config {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Endpoint {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Route {}
    // SAFETY: as above.
    unsafe impl aya::Pod for LastPacket {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Frontend {}
}

const _: () = {
    assert!(size_of::<Config>() == 20 + 18 + 2);
    assert!(size_of::<Endpoint>() == 24);
    assert!(size_of::<Route>() == 16);
    assert!(size_of::<Frontend>() == 8);
};
