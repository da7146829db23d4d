//! Who stands at the doors of a laboratory: to be compared before and after.

use netviz::{
    lab::Lab,
    model::Direction,
    sys::{netlink::Netlink, netns::NetNs},
};

use crate::{
    filters::{Filter, filters, qdiscs},
    foreign,
};

/// Everything that stands at the doors of the nodes and of the pods: tcx programs by id, filters,
/// qdiscs.
#[derive(Debug, PartialEq)]
pub struct Standing {
    /// Programs in tcx, by hook.
    pub programs: Vec<(String, Vec<(String, u32)>)>,
    /// Filters, by hook.
    pub filters: Vec<(String, Vec<Filter>)>,
    /// Kinds of qdiscs, by device.
    pub qdiscs: Vec<(String, Vec<String>)>,
}

impl Standing {
    /// What is there now.
    ///
    /// # Panics
    /// When a namespace of the laboratory is not there.
    #[must_use]
    pub fn of(lab: &Lab) -> Self {
        let mut standing = Self {
            programs: Vec::new(),
            filters: Vec::new(),
            qdiscs: Vec::new(),
        };
        let mut places: Vec<_> = lab
            .nodes()
            .iter()
            .map(|it| lab.netns(it).unwrap())
            .collect();
        places.extend(lab.pods().iter().map(|it| lab.netns(it).unwrap()));
        for namespace in &places {
            let mut netlink = Netlink::open_in(namespace).unwrap();
            for (name, index) in interfaces(namespace) {
                let place = format!("{} {name}", namespace.id());
                let kinds = qdiscs(&mut netlink, index).unwrap();
                standing.qdiscs.push((place.clone(), kinds));
                for hook in [Direction::Ingress, Direction::Egress] {
                    let place = format!("{place} {hook}");
                    let there = filters(&mut netlink, index, hook).unwrap();
                    standing.filters.push((place.clone(), there));
                    let chain = foreign::tcx_chain(namespace, &name, hook).unwrap();
                    standing.programs.push((place, chain));
                }
            }
        }
        standing
    }

    /// How many of them are netviz's.
    #[must_use]
    pub fn netviz(&self) -> usize {
        let programs = self.programs.iter().flat_map(|(_, chain)| chain);
        let filters = self.filters.iter().flat_map(|(_, filters)| filters);
        programs
            .filter(|(name, _)| name.starts_with("netviz_"))
            .count()
            + filters.filter(|it| it.name.starts_with("netviz_")).count()
    }
}

fn interfaces(namespace: &NetNs) -> Vec<(String, u32)> {
    let names = || {
        let names = nix::net::if_::if_nameindex().unwrap();
        let pairs = names
            .iter()
            .map(|it| (it.name().to_str().unwrap().to_owned(), it.index()));
        pairs.collect()
    };
    namespace.run(names).unwrap()
}
