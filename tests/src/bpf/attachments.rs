//! The programs at the doors of a lab, to compare before and after.

use netviz::{
    lab::Lab,
    model::Direction,
    sys::{netlink::Netlink, netns::NetNs},
};

use crate::bpf::{
    filters::{Filter, Qdisc, filters, qdiscs},
    foreign_program,
};

/// All programs, filters and qdiscs at the doors of nodes and pods: tcx programs and filters by ID,
/// qdiscs by handle.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachments {
    /// Programs in tcx, by hook.
    pub programs: Vec<(String, Vec<(String, u32)>)>,
    /// Filters, by hook.
    pub filters: Vec<(String, Vec<Filter>)>,
    /// Qdiscs, by device.
    pub qdiscs: Vec<(String, Vec<Qdisc>)>,
}

impl Attachments {
    /// Lists the current attachments.
    ///
    /// # Panics
    /// If a namespace of the lab does not exist.
    #[must_use]
    pub fn of(lab: &Lab) -> Self {
        let mut all = Self {
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
                let there = qdiscs(&mut netlink, index).unwrap();
                all.qdiscs.push((place.clone(), there));
                for hook in [Direction::Ingress, Direction::Egress] {
                    let place = format!("{place} {hook}");
                    let there = filters(&mut netlink, index, hook).unwrap();
                    all.filters.push((place.clone(), there));
                    let chain = foreign_program::tcx_chain(namespace, &name, hook).unwrap();
                    all.programs.push((place, chain));
                }
            }
        }
        all
    }

    /// Returns the number of netviz's programs and filters.
    #[must_use]
    pub fn netviz(&self) -> usize {
        self.netviz_in_tcx() + self.netviz_filters().count()
    }

    /// Returns the number of netviz's programs in tcx.
    #[must_use]
    pub fn netviz_in_tcx(&self) -> usize {
        let programs = self.programs.iter().flat_map(|(_, chain)| chain);
        programs.filter(|(name, _)| is_netviz(name)).count()
    }

    /// Returns netviz's filters.
    pub fn netviz_filters(&self) -> impl Iterator<Item = &Filter> {
        let filters = self.filters.iter().flat_map(|(_, filters)| filters);
        filters.filter(|it| is_netviz(&it.name))
    }

    /// Returns the number of hooks: both of every device except loopback.
    #[must_use]
    pub fn hooks(&self) -> usize {
        let hooks = self.programs.iter().map(|(place, _)| place);
        hooks.filter(|place| !place.contains(" lo ")).count()
    }

    /// Returns the attachments without clsact and netviz, which must not change. The clsact qdisc
    /// stays where netviz used it, because another tool may rely on it by now.
    #[must_use]
    pub fn of_others(mut self) -> Self {
        for (_, chain) in &mut self.programs {
            chain.retain(|(name, _)| !is_netviz(name));
        }
        for (_, filters) in &mut self.filters {
            filters.retain(|it| !is_netviz(&it.name));
        }
        for (_, qdiscs) in &mut self.qdiscs {
            qdiscs.retain(|it| it.kind != "clsact");
        }
        self
    }
}

fn is_netviz(program: &str) -> bool {
    program.starts_with("netviz_")
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
