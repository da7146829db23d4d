//! The pod that receives what is sent to an address that none of the pods' interfaces has: that of a
//! service, of a virtual machine in the pod, or one on its loopback interface.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    model::{Direction, Side},
    sys::netns::NetNsId,
    verify::{
        BackendPaths, Crossing, Expectation, Note, Observation, Party, Place, Route, Way,
        context::View, expect::remote, target,
    },
};

/// Who received a pair's packets.
pub(super) struct Receiver {
    party: Party,
    /// Its packets left it and came back.
    hairpin: bool,
    packets: BTreeSet<u32>,
}

impl Receiver {
    /// One that was not seen receiving them.
    pub(super) const fn new(party: Party) -> Self {
        Self {
            party,
            hairpin: false,
            packets: BTreeSet::new(),
        }
    }

    /// How many packets it received.
    pub(super) fn count(&self) -> usize {
        self.packets.len()
    }

    /// Whether it is this end.
    pub(super) fn is(&self, party: &Party) -> bool {
        self.party.place == party.place && self.party.address == party.address
    }

    /// The route of its packets.
    pub(super) fn route(&self, route: &Route) -> Route {
        Route {
            hairpin: self.hairpin,
            translated: true,
            ..Route::new(route.from.clone(), self.party.clone())
        }
    }

    /// As one of several backends.
    pub(super) fn with_paths(self, expectations: Vec<Expectation>) -> BackendPaths {
        BackendPaths {
            party: self.party,
            hairpin: self.hairpin,
            entered: self.packets,
            expectations,
        }
    }

    /// Replaces the end of the route, but for its name.
    pub(super) fn apply(self, route: &mut Route, observation: &mut Observation) {
        let pod = self.party.name.clone();
        observation.notes.push(Note::DeliveredTo { pod });
        (route.hairpin, route.translated) = (self.hairpin, true);
        route.to = Party {
            name: route.to.name.clone(),
            ..self.party
        };
    }
}

/// The pods that requests entered, the one that most entered first; none if the address is that of one of
/// the ends that are here.
pub(super) fn receivers(view: &View, route: &Route, crossings: &[Crossing]) -> Vec<Receiver> {
    let is_remote = remote(&view.cluster, &route.to).is_some();
    if route.to.place != Place::Elsewhere || is_remote {
        return Vec::new();
    }
    let doors = view.doors().iter().filter(|door| door.side == Side::Pod);
    let inside: BTreeMap<_, _> = doors.map(|door| (door.id, door)).collect();
    // Where each packet entered a pod last.
    let mut last = BTreeMap::new();
    for crossing in crossings {
        let enters = crossing.way == Way::Request && crossing.direction == Direction::Ingress;
        if enters && inside.contains_key(&crossing.door) {
            let entered = last.entry(crossing.sequence).or_insert(crossing);
            if entered.at <= crossing.at {
                *entered = crossing;
            }
        }
    }
    let family = route.to.address.map(target::Family::of);
    let mut receivers: BTreeMap<Option<NetNsId>, Receiver> = BTreeMap::new();
    for (packet, crossing) in last {
        let netns = crossing.door.netns.known();
        let receiver = receivers.entry(netns).or_insert_with(|| Receiver {
            hairpin: route.from.place.netns() == netns,
            ..Receiver::new(target::pod_party(inside[&crossing.door], family))
        });
        receiver.packets.insert(packet);
    }
    let mut receivers: Vec<_> = receivers.into_values().collect();
    receivers.sort_by_key(|receiver| Reverse(receiver.packets.len()));
    receivers
}
