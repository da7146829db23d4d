//! A thousand veth pairs come and go at full speed: at the end, netviz shows exactly the kernel's
//! list, and holds nothing that it does not need.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use netlink_packet_route::link::LinkAttribute;
use netviz::discover::{Discovered, Selection, Watch};
use netviz_tests::{
    cli::{
        fault_table::{Row, is_emulated},
        wait::{notify_limit, until, wait_until},
    },
    netns::{TestNetns, add_pair, delete_group, net_faults, set_group},
};
use tokio::sync::watch::Receiver;

const SCENARIO: &str = "thousand_pairs";
const LIMIT: Duration = Duration::from_secs(10);
/// Each group has half of a round's pairs.
const GROUPS: [u32; 2] = [7, 8];
/// Names of the interfaces, by index.
type Set = BTreeSet<(u32, String)>;

/// Serializes the tests, because they count descriptors.
fn serial() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pairs() -> u32 {
    if is_emulated() { 40 } else { 1_000 }
}

struct Place {
    namespace: TestNetns,
    receiver: Receiver<Arc<Discovered>>,
    _watch: Watch,
}

impl Place {
    fn new() -> Self {
        let namespace = TestNetns::new().unwrap();
        let mut netlink = namespace.netlink().unwrap();
        // A permanent one.
        add_pair(&mut netlink, 10).unwrap();
        let selection =
            Selection::new(vec![namespace.name()], false, &["veth*".into()], &[]).unwrap();
        let watch = Watch::start(selection).unwrap();
        Self {
            namespace,
            receiver: watch.subscribe(),
            _watch: watch,
        }
    }

    fn add(&self, half: u32) {
        let mut netlink = self.namespace.netlink().unwrap();
        for pair in 0..pairs() / 2 {
            let near = 100 + 2 * (pair + half * pairs());
            add_pair(&mut netlink, near).unwrap();
            set_group(&mut netlink, near, GROUPS[half as usize]).unwrap();
        }
    }

    fn delete(&self, half: u32) {
        let mut netlink = self.namespace.netlink().unwrap();
        delete_group(&mut netlink, GROUPS[half as usize]).unwrap();
    }

    fn listed(&self) -> Set {
        let links = self.namespace.netlink().unwrap().links().unwrap();
        let named = links.iter().filter_map(|link| {
            let name = link.attributes.iter().find_map(|it| match it {
                LinkAttribute::IfName(name) => Some(name.clone()),
                _ => None,
            })?;
            name.starts_with("veth")
                .then_some((link.header.index, name))
        });
        named.collect()
    }

    fn shown(&self) -> Set {
        let found = self.receiver.borrow();
        let doors = found.cluster.doors.iter();
        doors
            .map(|door| (door.id.ifindex, door.interface.clone()))
            .collect()
    }

    /// Waits until netviz shows the kernel's list. Returns the time that took.
    fn same(&self, what: &str) -> Duration {
        let listed = self.listed();
        let ((), took) = until(what, notify_limit() * 2, || {
            let shown = self.shown();
            match shown.symmetric_difference(&listed).count() {
                0 => Ok(()),
                differ => Err(format!("{differ} of {} differ", listed.len())),
            }
        });
        took
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Adds, deletes, and does both at once, for some rounds. Returns the longest time until the list
/// was right.
fn rounds(place: &Place, rounds: u32) -> (Duration, f64) {
    let (mut longest, mut speed, mut before) = (Duration::ZERO, 0.0_f64, 0);
    for round in 0..rounds {
        let start = Instant::now();
        thread::scope(|scope| {
            let other = scope.spawn(|| place.add(1));
            place.add(0);
            other.join().unwrap();
        });
        speed = speed.max(f64::from(pairs()) / start.elapsed().as_secs_f64());
        longest = longest.max(place.same("pairs come"));
        place.delete(0);
        longest = longest.max(place.same("pairs go"));
        thread::scope(|scope| {
            let other = scope.spawn(|| place.delete(1));
            place.add(0);
            other.join().unwrap();
        });
        longest = longest.max(place.same("pairs come and go"));
        place.delete(0);
        longest = longest.max(place.same("all go"));
        assert_eq!(place.listed().len(), 2);
        // Descriptors opened in the first round may remain open.
        if round == 0 {
            before = descriptors();
        }
    }
    // A running scan has one more open for a moment.
    assert!(
        wait_until(LIMIT, || descriptors() <= before),
        "{} descriptors, {before} after one round",
        descriptors()
    );
    (longest, speed)
}

/// Runs the test; `buffer` sets the receive buffer for notifications.
fn report(fault: &str, number: u32, buffer: Option<usize>) {
    let place = Place::new();
    if let Some(bytes) = buffer {
        assert!(net_faults::shrink_listeners(bytes) > 0, "nothing listens");
    }
    let (longest, speed) = rounds(&place, number);
    Row {
        fault: format!("{fault}, {} pairs, {number} rounds", pairs()),
        note: format!("{speed:.0} pairs/s, list correct within {longest:.2?}, no new descriptors"),
        ..Row::default()
    }
    .check(SCENARIO);
}

#[test]
fn rapid_changes_end_in_the_right_list() {
    let _serial = serial();
    report("added, deleted, both at once", 10, None);
}

/// Nearly all notifications are lost.
#[test]
fn lost_notifications_end_in_the_right_list() {
    let _serial = serial();
    report("the same with a receive buffer of 4 KiB", 3, Some(4_096));
}
