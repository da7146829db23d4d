//! Continuous traffic during a test, of which no packet may be lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use netviz::sys::netns::NetNs;

use crate::{
    cli::wait::settle,
    netns::{
        End, TestNetns,
        send::{self, Sink},
    },
};

/// A few at a time, so that no queue on the path fills up.
const AT_ONCE: u64 = 20;
const ARRIVAL: Duration = Duration::from_secs(5);
/// Pause between batches, to leave time for the tested code.
const PAUSE: Duration = Duration::from_millis(2);

/// Sends datagrams from one namespace to another until stopped.
#[derive(Debug)]
pub struct SteadyTraffic {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<(u64, u64)>>,
}

impl SteadyTraffic {
    /// Starts sending to `to` in `far`.
    ///
    /// # Panics
    /// If the receiver cannot listen.
    #[must_use]
    pub fn start(near: &TestNetns, far: &TestNetns, to: &End) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let mut sink = Sink::open(far.netns()).unwrap();
        let (ended, to) = (Arc::clone(&over), to.address);
        let from = NetNs::of_process(near.name().parse().unwrap()).unwrap();
        let thread = thread::spawn(move || {
            let (mut sent, mut received) = (0, 0);
            while !ended.load(Ordering::Relaxed) && sent == received {
                sent += send::datagrams(&from, to, AT_ONCE, 100).unwrap();
                received = settle(ARRIVAL, &sent, || sink.received());
                thread::sleep(PAUSE);
            }
            (sent, received)
        });
        Self {
            over,
            thread: Some(thread),
        }
    }

    /// Stops, and returns the number of sent and received datagrams.
    ///
    /// # Panics
    /// If a datagram could not be sent.
    #[must_use]
    pub fn stop(mut self) -> (u64, u64) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for SteadyTraffic {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
