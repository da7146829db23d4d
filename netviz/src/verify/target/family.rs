//! The addresses of an end by family.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Door, is_link_local};

/// IPv4 or IPv6, for names that have both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    #[default]
    V4,
    V6,
}

impl Family {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Addresses without link-local ones.
pub(super) fn global(door: &Door) -> Vec<IpAddr> {
    let addresses = door.addresses.iter().map(IpNet::addr);
    addresses.filter(|it| !is_link_local(*it)).collect()
}

/// The first of the requested family; IPv4 before IPv6 without a request.
pub(crate) fn choose(addresses: &[IpAddr], family: Option<Family>) -> Option<IpAddr> {
    let addresses = addresses.iter().copied();
    let fitting = addresses.filter(|it| family.is_none_or(|family| Family::of(*it) == family));
    fitting.min_by_key(IpAddr::is_ipv6)
}
