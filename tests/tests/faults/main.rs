//! Faults caused by other tools, the kernel and the machine, one file per kind. Each test reports
//! how many packets were sent, how many the other party received, and how many netviz counted.

mod deprived;
mod endings;
mod exact;
mod exhausted;
mod flat;
mod frames;
mod pair;
mod places;
mod queues;
mod rivals;
mod signals;
mod stalled;
mod verdicts;
