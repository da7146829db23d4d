//! Options of sockets that nix does not define.

use std::{
    io,
    net::{IpAddr, UdpSocket},
};

use nix::{setsockopt_impl, sockopt_impl, sys::socket::setsockopt};

sockopt_impl!(
    MtuDiscoverV4,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    libc::c_int
);
sockopt_impl!(
    MtuDiscoverV6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    libc::c_int
);

/// Sets whether packets to `to` may be fragmented on their way. If not, the sender does not fragment
/// them either, whatever path MTU it knows.
pub(crate) fn allow_fragments(socket: &UdpSocket, to: IpAddr, allowed: bool) -> io::Result<()> {
    let choose = |never, always| if allowed { always } else { never };
    match to {
        IpAddr::V4(_) => {
            let mode = choose(libc::IP_PMTUDISC_PROBE, libc::IP_PMTUDISC_DONT);
            setsockopt(socket, MtuDiscoverV4, &mode)?;
        }
        IpAddr::V6(_) => {
            let mode = choose(libc::IPV6_PMTUDISC_PROBE, libc::IPV6_PMTUDISC_DONT);
            setsockopt(socket, MtuDiscoverV6, &mode)?;
        }
    }
    Ok(())
}
