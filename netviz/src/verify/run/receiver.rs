//! The pod that receives what is sent to an address that none of the pods' interfaces has: that of a
//! service, of a virtual machine in the pod, or one on its loopback interface.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{Direction, DoorId, Side},
    verify::{
        Crossing, Note, Observation, Party, Place, Route, Way, context::View, expect::remote,
        target,
    },
};

/// Who received a pair's packets.
pub(super) struct Receiver {
    party: Party,
    /// Its packets left it and came back.
    hairpin: bool,
}

impl Receiver {
    pub(super) const fn new(party: Party) -> Self {
        Self {
            party,
            hairpin: false,
        }
    }

    /// Replaces the end of the route, but for its name.
    pub(super) fn apply(self, route: &mut Route, observation: &mut Observation) {
        let pod = self.party.name.clone();
        observation.notes.push(Note::DeliveredTo { pod });
        route.hairpin = self.hairpin;
        route.to = Party {
            name: route.to.name.clone(),
            ..self.party
        };
    }
}

/// The pod that most requests entered, if the address is not that of one of the ends that are here.
pub(super) fn receiver(view: &View, route: &Route, crossings: &[Crossing]) -> Option<Receiver> {
    let is_remote = remote(&view.cluster, &route.to).is_some();
    if route.to.place != Place::Elsewhere || is_remote {
        return None;
    }
    let mut entered: BTreeMap<DoorId, BTreeSet<u32>> = BTreeMap::new();
    for crossing in crossings {
        if crossing.way == Way::Request && crossing.direction == Direction::Ingress {
            let packets = entered.entry(crossing.door).or_default();
            packets.insert(crossing.sequence);
        }
    }
    let doors = view.doors().iter().rev();
    let inside = doors.filter(|door| door.side == Side::Pod && entered.contains_key(&door.id));
    let door = inside.max_by_key(|door| entered[&door.id].len())?;
    let family = route.to.address.map(target::Family::of);
    Some(Receiver {
        party: target::pod_party(door, family),
        hairpin: route.from.place.netns() == door.id.netns.known(),
    })
}
