//! The kernel's interfaces that more than one part of netviz needs: network namespaces, rtnetlink.

pub mod netlink;
pub mod netns;
