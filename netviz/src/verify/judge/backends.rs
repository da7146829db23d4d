//! Distributes packets among the backends of a service: each request goes to whichever backend, and is
//! right on the path to that one.

use std::{cmp::Reverse, collections::BTreeSet};

use super::best;
use crate::verify::{
    Answer, Backend, BackendShare, Crossing, Expectation, Note, Observation, Party, Place, Route,
    Way, expect::join,
};

/// A pod that may be behind a service.
#[derive(Clone, Debug)]
pub struct BackendPaths {
    /// The pod.
    pub party: Party,
    /// It is the sender itself: packets leave it and come back.
    pub hairpin: bool,
    /// Packets that were seen entering it.
    pub entered: BTreeSet<u32>,
    /// The expected path to it, in each mode that is possible.
    pub expectations: Vec<Expectation>,
}

/// The route to a service whose packets went to several backends, and the path that is expected of
/// each packet: the path to its backend. A packet that entered none is on the path to the one that it
/// came closest to.
///
/// The expectation is empty if no path is known to a backend.
pub fn distribute(
    route: &Route,
    mut backends: Vec<BackendPaths>,
    observation: &mut Observation,
) -> (Route, Vec<Expectation>) {
    backends.sort_by_key(|backend| Reverse(backend.entered.len()));
    let shares = backends.iter().map(|backend| BackendShare {
        pod: backend.party.name.clone(),
        packets: super::count(backend.entered.len()),
    });
    let shares: Vec<_> = shares.filter(|share| share.packets > 0).collect();
    let note = (!shares.is_empty()).then_some(Note::DeliveredToBackends { shares });
    observation.notes.extend(note);
    let mut packets: Vec<BTreeSet<u32>> = backends.iter().map(|it| it.entered.clone()).collect();
    for packet in 0..observation.sent {
        if packets.iter().all(|packets| !packets.contains(&packet)) {
            packets[closest(&backends, observation, packet)].insert(packet);
        }
    }
    let mut route = route.clone();
    let mut paths = Some(Vec::new());
    for (backend, packets) in backends.into_iter().zip(packets) {
        if packets.is_empty() {
            continue;
        }
        let own = of_packets(observation, &packets);
        let (best, _) = best(&backend.expectations, &own);
        paths = paths.zip(best).map(|(mut paths, best)| {
            paths.push((best.clone(), packets.clone()));
            paths
        });
        route.backends.push(Backend {
            party: backend.party,
            hairpin: backend.hairpin,
            packets,
        });
    }
    (route, paths.and_then(join).into_iter().collect())
}

/// The backend on whose path a packet crossed most doors; of several, the one that most packets entered. A
/// packet that was answered and entered none was received where nothing is seen.
fn closest(backends: &[BackendPaths], observation: &Observation, packet: u32) -> usize {
    let is_answered = matches!(observation.answers.get(&packet), Some(Answer::Reply(_)));
    let crossings = observation.crossings.iter();
    let own: Vec<_> = crossings
        .filter(|it| it.sequence == packet && it.way == Way::Request)
        .map(Crossing::hook)
        .collect();
    let crossed = |backend: &BackendPaths| {
        let steps = backend.expectations.first().map(|it| &it.request);
        let steps = steps.into_iter().flatten();
        steps
            .filter(|step| own.iter().any(|hook| step.accepts(*hook)))
            .count()
    };
    let rank = |(place, backend): &(usize, &BackendPaths)| {
        let is_unseen = is_answered && backend.party.place == Place::Elsewhere;
        (is_unseen, crossed(backend), Reverse(*place))
    };
    let closest = backends.iter().enumerate().max_by_key(rank);
    closest.map_or(0, |(place, _)| place)
}

/// What was observed of some packets.
fn of_packets(observation: &Observation, packets: &BTreeSet<u32>) -> Observation {
    let crossings = observation.crossings.iter();
    let own = crossings.filter(|crossing| packets.contains(&crossing.sequence));
    Observation {
        sent: observation.sent,
        one_way: observation.one_way,
        hidden: observation.hidden.clone(),
        crossings: own.copied().collect(),
        ..Observation::default()
    }
}
