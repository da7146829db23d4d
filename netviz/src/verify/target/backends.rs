//! The pods that may be behind an address that is no pod's or node's.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use super::{address, family::Family, pods::Pods, service};
use crate::{
    model::Cluster,
    verify::{Doubt, Party, Place, Route, expect::remote},
};

/// The most pods to consider as backends.
const MOST_CANDIDATES: usize = 64;

/// The pods behind the service that is the end of a route, as far as a source lists them.
pub(crate) fn known_backends(cluster: &Cluster, route: &Route) -> Vec<Party> {
    let to = &route.to;
    let address = to.address.filter(|_| to.place == Place::Elsewhere);
    let service =
        address.and_then(|address| Some((address, service::by_address(cluster, address)?)));
    let Some((address, service)) = service else {
        return Vec::new();
    };
    let family = Family::of(address);
    let listed = service.backends.iter().map(SocketAddr::ip);
    let mut addresses: BTreeSet<IpAddr> = listed.collect();
    if addresses.is_empty() {
        let pods = service::selected(cluster, service).flat_map(|pod| &pod.addresses);
        addresses.extend(pods);
    }
    addresses.retain(|address| Family::of(*address) == family);
    let addresses = addresses.into_iter().take(MOST_CANDIDATES);
    addresses
        .map(|it| address::by_address(cluster, it))
        .collect()
}

/// Whether the address that is the end of a route may be a service's.
fn may_be_service(cluster: &Cluster, route: &Route) -> bool {
    let to = &route.to;
    let is_one = to.address.is_some_and(|address| match cluster.services {
        Some(_) => service::by_address(cluster, address).is_some(),
        None => service::is_private(address),
    });
    is_one && to.place == Place::Elsewhere && remote(cluster, to).is_none()
}

/// Pods behind a service may have received packets at doors that were left out, if it is not known which
/// pods are behind it.
pub(crate) fn unwatched(cluster: &Cluster, route: &Route, doors: usize) -> Option<Doubt> {
    let unknown = may_be_service(cluster, route) && known_backends(cluster, route).is_empty();
    (doors > 0 && unknown).then_some(Doubt::DoorsNotWatched { doors })
}

/// The pods that may receive packets to an address that is no pod's or node's: those that are known to be
/// behind it, or else all that are here.
pub(crate) fn possible_backends(cluster: &Cluster, route: &Route) -> Vec<Party> {
    let to = &route.to;
    let Some(address) = to.address.filter(|_| may_be_service(cluster, route)) else {
        return Vec::new();
    };
    let known = known_backends(cluster, route);
    if !known.is_empty() {
        return known;
    }
    let pods = Pods::new(cluster);
    let here = pods.all.iter().filter(|pod| pod.place.netns().is_some());
    here.take(MOST_CANDIDATES)
        .map(|pod| pods.party(pod, Some(Family::of(address))))
        .collect()
}
