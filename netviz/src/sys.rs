//! The kernel's interfaces that more than one part of netviz needs.

pub mod bpf;
pub mod netlink;
pub mod netns;
pub mod privileges;
