//! Forwards the log of the forwarding programs to the `log` crate.

use std::os::fd::AsFd;

use anyhow::{Context as _, Result};
use aya_log::EbpfLogger;

use super::datapath::Datapath;
use crate::sys::threads::{Stop, Worker};

type Logger = EbpfLogger<&'static dyn log::Log>;

/// Forwards the programs' log until it is dropped.
#[derive(Debug)]
pub(super) struct Pump(#[expect(dead_code, reason = "held for its Drop")] Worker);

impl Pump {
    pub(super) fn start<'a>(datapaths: impl Iterator<Item = &'a mut Datapath>) -> Result<Self> {
        let loggers = datapaths
            .map(|datapath| EbpfLogger::init(datapath.object()))
            .collect::<Result<Vec<_>, _>>()
            .context("reading the forwarding programs' log (needs Linux 5.8)")?;
        let work = move |stop: &Stop| pump(loggers, stop);
        Ok(Self(Worker::start("lab-log", "passes on logs", work)?))
    }
}

fn pump(mut loggers: Vec<Logger>, stop: &Stop) {
    loop {
        let ready = stop.poll(loggers.iter().map(AsFd::as_fd), None);
        // Also forward what was logged before the end.
        loggers.iter_mut().for_each(Logger::flush);
        if ready.is_none() {
            return;
        }
    }
}
