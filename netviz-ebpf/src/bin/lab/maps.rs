//! Maps filled by user space, and lookups in them.

use aya_ebpf::{
    macros::map,
    maps::{
        Array, HashMap, LpmTrie,
        lpm_trie::{self},
    },
};
use netviz_ebpf::lab::{Config, Endpoint, NODE_IDENTITY, Route};

#[map]
static LAB_CONFIG: Array<Config> = Array::with_max_entries(1, 0);

#[map]
static LAB_ENDPOINTS: HashMap<[u8; 16], Endpoint> = HashMap::with_max_entries(4096, 0);

#[map]
static LAB_ROUTES: LpmTrie<[u8; 16], Route> = LpmTrie::with_max_entries(64, 0);

#[map]
static LAB_PORTS: HashMap<[u8; 6], u32> = HashMap::with_max_entries(16, 0);

#[inline(always)]
pub(super) fn config() -> Option<&'static Config> {
    LAB_CONFIG.get(0)
}

#[inline(always)]
pub(super) fn endpoint(address: &[u8; 16]) -> Option<&'static Endpoint> {
    // SAFETY: an entry that is removed at the same time may be reused for another pod; a packet to
    // the removed pod is lost either way.
    unsafe { LAB_ENDPOINTS.get(address) }
}

/// Returns the security identity of `address` on this node.
#[inline(always)]
pub(super) fn identity(address: &[u8; 16]) -> u32 {
    endpoint(address).map_or(NODE_IDENTITY, |endpoint| endpoint.identity)
}

#[inline(always)]
pub(super) fn route(address: &[u8; 16]) -> Option<&'static Route> {
    LAB_ROUTES.get(lpm_trie::Key::new(128, *address))
}

#[inline(always)]
pub(super) fn port(mac: [u8; 6]) -> Option<u32> {
    // SAFETY: written once, before the first packet.
    unsafe { LAB_PORTS.get(mac) }.copied()
}
