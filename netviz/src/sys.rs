//! The kernel's interfaces that more than one part of netviz needs.

pub mod bpf;
pub mod btf;
pub(crate) mod cgroup;
pub mod descriptors;
pub mod entrance;
pub(crate) mod icmp;
pub(crate) mod mapping;
pub(crate) mod mountinfo;
pub mod netlink;
pub mod netns;
pub mod objects;
pub(crate) mod pause;
pub mod privileges;
pub(crate) mod processes;
pub(crate) mod rcu;
pub(crate) mod rooted_fs;
pub(crate) mod signals;
pub(crate) mod sockets;
pub(crate) mod stderr;
pub mod symbols;
pub(crate) mod threads;
