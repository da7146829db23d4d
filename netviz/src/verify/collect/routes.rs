//! The kernel's routes between two ends.

use std::net::IpAddr;

use netlink_packet_route::route::RouteAttribute;

use crate::{
    model::NetNsId,
    sys::netlink::{Netlink, only},
    verify::{
        NextHop, Party, Place, Route, Routes,
        context::View,
        expect::doors::{self, PodDoors},
        target::backends::possible_backends,
    },
};

/// The routes between the ends of each pair. Enters network namespaces.
pub(crate) fn read<'a>(view: &View, pairs: impl Iterator<Item = &'a Route>) -> Routes {
    let mut routes = Routes::new();
    for pair in pairs {
        add(&mut routes, view, pair);
    }
    routes
}

/// Adds the routes between the ends, and between A and the pods that may be behind a service.
fn add(routes: &mut Routes, view: &View, route: &Route) {
    add_between(routes, view, route);
    let node = route.from.place.node();
    let node = node.and_then(|node| view.cluster.nodes.get(node));
    if node.is_none_or(|node| node.cilium) {
        return;
    }
    for backend in possible_backends(&view.cluster, route) {
        add_between(routes, view, &Route::new(route.from.clone(), backend));
    }
}

/// Adds the routes to both ends, in the network namespaces of the ends and of their nodes; none if a node has
/// Cilium, whose programs decide.
fn add_between(routes: &mut Routes, view: &View, route: &Route) {
    let ends = [&route.from, &route.to].into_iter();
    let nodes = ends.filter_map(|end| view.cluster.nodes.get(end.place.node()?));
    if nodes.into_iter().any(|node| node.cilium) {
        return;
    }
    for (from, to) in [(&route.from, &route.to), (&route.to, &route.from)] {
        let Some(address) = to.address else {
            continue;
        };
        let node = |end: &Party| Some(view.cluster.nodes.get(end.place.node()?)?.netns);
        let netns = [from.place.netns(), node(from), node(to)];
        for netns in netns.into_iter().flatten() {
            let from = from.address.zip(host_end(view, from, netns));
            if let Some(hop) = next_hop(view, netns, address, from) {
                routes.insert((netns, address), hop);
            }
        }
    }
}

/// The interface of `node` at which packets of a pod arrive: rules may depend on it.
fn host_end(view: &View, pod: &Party, node: NetNsId) -> Option<u32> {
    let Place::Pod { node: index, netns } = pod.place else {
        return None;
    };
    let PodDoors { outer, .. } = doors::of_pod(&view.cluster, index, netns, pod.address);
    let outer = outer.filter(|outer| outer.netns.known() == Some(node));
    outer.map(|outer| outer.ifindex)
}

fn next_hop(
    view: &View,
    netns: NetNsId,
    to: IpAddr,
    from: Option<(IpAddr, u32)>,
) -> Option<NextHop> {
    let namespace = view.found.open(netns).ok()??;
    let mut netlink = Netlink::open_in(&namespace).ok()?;
    let mut route = |from| netlink.route(to, from).ok().flatten();
    let forwarded = from.and_then(|_| route(from));
    // A host end that is a port of a bridge is not where the kernel's stack receives the packet.
    let route = forwarded.or_else(|| route(None))?;
    let index = *route
        .attributes
        .iter()
        .find_map(only!(RouteAttribute::Oif))?;
    let is_gateway =
        |it: &RouteAttribute| matches!(it, RouteAttribute::Gateway(_) | RouteAttribute::Via(_));
    let mut doors = view.doors().iter();
    let door = doors.find(|door| door.id.netns.known() == Some(netns) && door.id.ifindex == index);
    Some(NextHop {
        door: door.map(|door| door.id),
        gateway: route.attributes.iter().any(is_gateway),
    })
}
