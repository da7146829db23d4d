//! Layouts of Cilium's maps, versions 1.14 to 1.19. The maps have no type information: their sizes
//! identify a layout.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    model::mac_text,
    names::report::{Lookup, PodFact},
};

/// Bytes of a key and of a value of `cilium_lxc`.
pub const ENDPOINT: (usize, usize) = (20, 48);
/// Bytes of a key of the ipcache, its prefix length included; of its value since `cilium_ipcache_v2`
/// (1.19), and before.
pub const ADDRESS: (usize, [usize; 2]) = (24, [24, 12]);

/// Address families in both maps.
const IPV4: u8 = 1;
const IPV6: u8 = 2;
/// `ENDPOINT_F_HOST`: an address of the node itself.
const HOST: u32 = 1;
/// Flags of a value of 24 bytes: it has a tunnel endpoint, and one that is IPv6.
const TUNNEL: u8 = 2;
const TUNNEL_IPV6: u8 = 4;

/// The endpoints in `cilium_lxc`; one with two addresses has two entries.
pub fn endpoints(entries: &[([u8; ENDPOINT.0], [u8; ENDPOINT.1])]) -> Vec<PodFact> {
    let mut endpoints: BTreeMap<(u16, u32), PodFact> = BTreeMap::new();
    for (key, value) in entries {
        let ifindex = number(value, 0);
        let id = u16::from_ne_bytes([value[6], value[7]]);
        let Some(address) = address(key).filter(|_| number(value, 8) & HOST == 0) else {
            continue;
        };
        let fact = endpoints.entry((id, ifindex)).or_default();
        fact.addresses.push(address);
        fact.addresses.sort();
        fact.ifindex = Some(ifindex);
        fact.endpoint = Some(id);
        // Unknown in 1.14: always 0.
        fact.identity = Some(number(value, 32)).filter(|identity| *identity != 0);
        fact.mac = mac(&value[16..22]);
    }
    endpoints.into_values().collect()
}

/// The ipcache's key for an address, with the number of bits that count.
pub fn key(address: IpAddr) -> (u32, [u8; 20]) {
    // Cluster id, one byte of padding, and the family are always compared.
    let mut key = [0; 20];
    let bits = match address {
        IpAddr::V4(address) => {
            key[3] = IPV4;
            key[4..8].copy_from_slice(&address.octets());
            32
        }
        IpAddr::V6(address) => {
            key[3] = IPV6;
            key[4..20].copy_from_slice(&address.octets());
            128
        }
    };
    (32 + bits, key)
}

/// The ipcache's entry for `address`.
pub fn lookup<const V: usize>(address: IpAddr, value: &[u8; V]) -> Lookup {
    let tunnelled = match V {
        24 => value[23] & (TUNNEL | TUNNEL_IPV6) == TUNNEL,
        _ => true,
    };
    let tunnel = Ipv4Addr::new(value[4], value[5], value[6], value[7]);
    Lookup {
        address,
        identity: number(value, 0),
        tunnel: (tunnelled && !tunnel.is_unspecified()).then_some(tunnel.into()),
    }
}

fn address(key: &[u8; ENDPOINT.0]) -> Option<IpAddr> {
    let bytes: [u8; 16] = key[..16].try_into().ok()?;
    let [a, b, c, d, ..] = bytes;
    match key[16] {
        IPV4 => Some(Ipv4Addr::new(a, b, c, d).into()),
        IPV6 => Some(Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

fn mac(bytes: &[u8]) -> Option<String> {
    bytes.iter().any(|byte| *byte != 0).then(|| mac_text(bytes))
}

/// A number in the machine's byte order.
fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_ne_bytes)
}
