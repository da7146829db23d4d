//! Resolves an end on the command line: a pod, a node, a service, a workload or an address. A name is
//! resolved once, to a place: nothing that was resolved is looked up by its name or address again.

mod address;
mod any_of;
pub(crate) mod backends;
mod family;
pub(crate) mod pods;
mod search;
pub(crate) mod service;
mod spelling;
mod workload;

pub(crate) use address::by_address;
pub(crate) use family::Family;
pub(crate) use search::{Reading, Target, find, pod_party};
