//! One measurement, from attaching to the verdict: with probes, or of existing traffic.

pub(crate) mod batch;
mod drops;
pub(crate) mod passive;
pub(crate) mod probes;
mod receiver;
mod round;
mod session;
mod watch_set;

pub(crate) use session::Options;
