//! Faults caused by other tools, the kernel and the machine, one file per kind. Each test reports
//! how many packets were sent, how many the other party received, and how many netviz counted.

mod cleanup;
mod exact_counts;
mod foreign_verdicts;
mod frames;
mod hook_conflicts;
mod interface_identity;
mod leaks;
mod missing_features;
mod pair;
mod queues;
mod resource_limits;
mod signals;
mod stalled_reader;
