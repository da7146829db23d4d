//! A running Cilium, and the counts of its doors.

pub mod cilium_lab;
pub mod oracle;
pub mod oracle_cluster;
