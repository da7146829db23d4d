//! Helpers that the kernel tests share: namespaces of their own, foreign programs, independent
//! witnesses. Nothing of the machine's own network is ever touched.

pub mod api;
pub mod bed;
pub mod binary;
pub mod browser;
pub mod cgroup;
pub mod cli;
pub mod counting;
pub mod descriptors;
pub mod fault;
pub mod filters;
pub mod flow;
pub mod following;
pub mod foreign;
pub mod frames;
pub mod hooks;
pub mod hostile;
pub mod mangle;
pub mod observe;
pub mod oracle;
pub mod paths;
pub mod plant;
pub mod planted;
pub mod relay;
pub mod remains;
pub mod room;
pub mod seeing;
pub mod send;
pub mod site;
pub mod skip;
pub mod standing;
pub mod stats;
pub mod tap;
pub mod town;
pub mod verdicts;
pub mod wait;
