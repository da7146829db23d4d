//! Two namespaces, a pair between them, and netviz at both ends, compared with the kernel's
//! statistics.

use std::time::Duration;

use netviz::{attach::AttachOptions, model::Counts};
use netviz_tests::{
    cli::{observation::Observation, wait::settle},
    netns::{
        End, TestNetns, join,
        net_faults::set_mtu,
        stats::{self, LinkStats},
    },
};

/// Time for sent packets to arrive.
pub(crate) const ARRIVAL: Duration = Duration::from_secs(20);

/// Two namespaces, a pair, and netviz at both ends.
pub(crate) struct Pair {
    pub(crate) namespaces: [TestNetns; 2],
    pub(crate) ends: [End; 2],
    pub(crate) netviz: Observation,
    /// Statistics of both ends when netviz was attached.
    before: [LinkStats; 2],
}

impl Pair {
    pub(crate) fn new(mtu: u32) -> Self {
        let namespaces = [TestNetns::new().unwrap(), TestNetns::new().unwrap()];
        let ends = join(&namespaces[0], &namespaces[1], 1).unwrap();
        for (namespace, end) in namespaces.iter().zip(&ends) {
            set_mtu(&mut namespace.netlink().unwrap(), end.index, mtu).unwrap();
        }
        let names = namespaces.iter().map(TestNetns::name).collect();
        let netviz = Observation::start(names, AttachOptions::default()).unwrap();
        let mut pair = Self {
            namespaces,
            ends,
            netviz,
            before: Default::default(),
        };
        pair.before = pair.links();
        pair
    }

    /// Returns the kernel's statistics of both ends since netviz was attached.
    pub(crate) fn links(&self) -> [LinkStats; 2] {
        [0, 1].map(|end: usize| {
            let mut netlink = self.namespaces[end].netlink().unwrap();
            let now = stats::links(&mut netlink).unwrap()[&self.ends[end].index];
            now - self.before[end]
        })
    }

    /// Returns ingress and egress counts of both ends.
    pub(crate) fn counts(&mut self) -> [[Counts; 2]; 2] {
        [0, 1].map(|end: usize| {
            let id = self.namespaces[end].netns().id();
            self.netviz.counts(id, self.ends[end].index)
        })
    }

    /// Returns the counts of the first end's egress and the second end's ingress.
    pub(crate) fn passed(&mut self) -> [Counts; 2] {
        let [[_, offered], [came, _]] = self.counts();
        [offered, came]
    }

    /// Waits until all of `offered` have arrived or were dropped by the driver, and compares all
    /// four hooks with the kernel's statistics: every packet and byte.
    pub(crate) fn compare(&mut self, offered: u64) -> [[Counts; 2]; 2] {
        settle(ARRIVAL, &offered, || {
            let [near, far] = self.links();
            far.rx_packets + near.tx_dropped
        });
        let links = self.links();
        let counts = self.counts();
        for (link, [ingress, egress]) in links.iter().zip(counts) {
            assert_eq!(
                (ingress.packets, ingress.bytes),
                (link.rx_packets, link.rx_bytes)
            );
            // Egress counts packets before the driver drops them.
            assert_eq!(egress.packets, link.tx_packets + link.tx_dropped);
            if link.tx_dropped == 0 {
                assert_eq!(egress.bytes, link.tx_bytes);
            }
        }
        counts
    }
}
