//! Values that no listing has, the same in every lab.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::sys::netlink::Mac;

/// Address number `number` of a /24.
pub(super) fn host(network: Ipv4Addr, number: u8) -> Ipv4Addr {
    let [a, b, c, _] = network.octets();
    Ipv4Addr::new(a, b, c, number)
}

/// 10.10.2.117 is `fd00:10:10:2::117`: the same digits, so that people recognise them.
pub(super) fn address6(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets().map(|byte| {
        let byte = u16::from(byte);
        (byte / 100) << 8 | (byte / 10 % 10) << 4 | (byte % 10)
    });
    Ipv6Addr::new(0xfd00, a, b, c, 0, 0, 0, d)
}

/// A locally administered MAC that contains the address it belongs to.
pub(super) fn made_mac(address: Ipv4Addr, end: u8) -> Mac {
    let [_, b, c, d] = address.octets();
    [0x02, 0x6c, end, b, c, d]
}

/// Pods of one deployment have one identity, as labels give it in Kubernetes.
pub(super) fn identity(name: &str) -> u32 {
    let deployment = name.split('-').next().unwrap_or(name);
    // Cilium's own range for a cluster's identities begins at 256 and ends at 65535.
    256 + u32::try_from(fingerprint(deployment) % 65_280).unwrap_or_default()
}

/// FNV-1a: the same in every run and on every machine.
pub(in crate::lab) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_addresses_show_the_digits_of_ipv4() {
        let address = address6(Ipv4Addr::new(10, 10, 2, 117));
        assert_eq!(address.to_string(), "fd00:10:10:2::117");
    }

    #[test]
    fn pods_of_one_deployment_have_one_identity() {
        assert_eq!(identity("busybox-1"), identity("busybox-2"));
        assert_ne!(identity("busybox-1"), identity("netshoot-1"));
        assert!((256..65_536).contains(&identity("")));
    }
}
