//! Reads what the kernel knows near a loss: devices, routes, neighbours and programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    sync::{Arc, mpsc},
};

use netlink_packet_route::{
    link::{
        AfSpecInet, AfSpecUnspec, InfoData, InfoGeneve, InfoVxlan, LinkAttribute, LinkFlags,
        LinkInfo, LinkMessage,
    },
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::{RouteAddress, RouteAttribute, RouteMessage},
};

use crate::{
    audit::{Attached, Chains, Keepers, Owner, inspect},
    discover::{Discovered, mac},
    model::{Direction, DoorId, NetNsId},
    names::{
        SourceOptions,
        policies::lookup::{PolicyReader, Subject},
    },
    sys::{
        entrance::Entrance,
        netlink::{Netlink, only},
        netns::NetNs,
        threads::Worker,
    },
    verify::{
        Hook, Program,
        lookups::{Device, Hop, Lookups, Namespace, Neighbour, RpFilter},
    },
};

/// What to look up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Question {
    /// Doors near the losses.
    pub(crate) doors: BTreeSet<DoorId>,
    /// Addresses to which routes may be missing.
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// Pods whose policies dropped packets, and in which direction.
    pub(crate) policed: Vec<(Subject, Direction)>,
}

type Job = (Question, mpsc::Sender<Lookups>);

/// A thread that keeps the privileges to enter network namespaces, which the rest of the process gives
/// up before it judges.
pub(crate) struct Inspector(Worker<(), mpsc::Sender<Job>>);

impl Inspector {
    /// `None` if there is no thread.
    pub(crate) fn start(found: Arc<Discovered>, sources: SourceOptions) -> Option<Self> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let work = move || {
            let mut reader = Reader::new(found, sources);
            for (question, answer) in waiting {
                // Fails if nobody waits any more.
                let _ = answer.send(reader.read(&question));
            }
        };
        Worker::until(jobs, "netviz-inspect", "looks for causes", work)
            .inspect_err(|error| log::warn!("{error}"))
            .ok()
            .map(Self)
    }

    /// Looks up. What cannot be read is missing.
    pub(crate) fn read(&self, question: Question) -> Lookups {
        let (answer, answers) = mpsc::channel();
        let asked = self.0.end().map(|jobs| jobs.send((question, answer)));
        match asked {
            Some(Ok(())) => answers.recv().unwrap_or_default(),
            _ => Lookups::default(),
        }
    }
}

/// Reads each namespace, route and hook once.
struct Reader {
    found: Arc<Discovered>,
    known: Lookups,
    keepers: Option<Keepers>,
    sources: SourceOptions,
    policies: Option<PolicyReader>,
}

impl Reader {
    fn new(found: Arc<Discovered>, sources: SourceOptions) -> Self {
        Self {
            found,
            known: Lookups::default(),
            keepers: None,
            sources,
            policies: None,
        }
    }

    fn read(&mut self, question: &Question) -> Lookups {
        let namespaces = question.doors.iter().filter_map(|door| door.netns.known());
        let namespaces: BTreeSet<_> = namespaces.collect();
        for netns in &namespaces {
            if let Err(error) = self.namespace(*netns, &question.addresses) {
                log::info!("cannot look for causes in network namespace {netns}: {error}");
            }
        }
        for door in &question.doors {
            self.programs(*door);
        }
        for (pod, direction) in &question.policed {
            self.policies(pod, *direction);
        }
        let known = &self.known;
        let part = namespaces
            .iter()
            .filter_map(|id| known.namespaces.get_key_value(id));
        let hooks = question
            .doors
            .iter()
            .flat_map(|door| Direction::BOTH.map(|it| (*door, it)));
        let programs = hooks.filter_map(|hook| Some((hook, known.programs.get(&hook)?.clone())));
        Lookups {
            namespaces: part.map(|(id, it)| (*id, it.clone())).collect(),
            programs: programs.collect(),
            policies: known.policies.clone(),
        }
    }

    fn policies(&mut self, pod: &Subject, direction: Direction) {
        let key = (pod.netns, direction);
        if self.known.policies.contains_key(&key) {
            return;
        }
        let new = || PolicyReader::new(self.found.clone(), self.sources.clone());
        let reader = self.policies.get_or_insert_with(new);
        let selecting = reader.selecting(pod, direction);
        self.known.policies.insert(key, selecting);
    }

    /// Devices and neighbours, if they are not known, and routes.
    fn namespace(&mut self, netns: NetNsId, addresses: &BTreeSet<IpAddr>) -> io::Result<()> {
        let Some(opened) = self.found.open(netns)? else {
            return Ok(());
        };
        let mut netlink = Netlink::open_in(&opened)?;
        let namespace = match self.known.namespaces.entry(netns) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => new.insert(Namespace {
                entrance: entrance(&self.found, netns),
                devices: devices(&netlink.links()?, rp_filter_of_all(&opened)),
                neighbours: netlink.neighbours()?.iter().filter_map(neighbour).collect(),
                routes: BTreeMap::new(),
            }),
        };
        for address in addresses {
            if !namespace.routes.contains_key(address)
                && let Ok(route) = netlink.route(*address, None)
            {
                namespace
                    .routes
                    .insert(*address, route.map(|route| hop(&route)));
            }
        }
        Ok(())
    }

    fn programs(&mut self, id: DoorId) {
        if self.known.programs.contains_key(&(id, Direction::Ingress)) {
            return;
        }
        let Some(door) = self.found.cluster.door(id) else {
            return;
        };
        let Ok(Some(namespace)) = self.found.open_for(id) else {
            return;
        };
        let Ok(mut chains) = inspect(door, &namespace) else {
            return;
        };
        let mut all = chains
            .ingress
            .programs
            .iter()
            .chain(&chains.egress.programs);
        if all.any(|it| it.owner != Owner::Netviz) {
            let keepers = self
                .keepers
                .get_or_insert_with(|| Keepers::read(&self.found.all_roots()));
            keepers.complete(&mut chains);
        }
        self.known.programs.extend(programs(id, &chains));
    }
}

/// netviz's own programs pass every packet on.
fn programs(door: DoorId, chains: &Chains) -> [(Hook, Vec<Program>); 2] {
    let program = |it: &Attached| Program {
        name: it.name.clone(),
        attachment: it.way,
        owner: it.owner,
        held_by: it.held_by.clone(),
    };
    Direction::BOTH.map(|direction| {
        let programs = chains.hook(direction).programs.iter();
        let others = programs.filter(|it| it.owner != Owner::Netviz);
        ((door, direction), others.map(program).collect())
    })
}

/// A path by which people can enter a namespace.
fn entrance(found: &Discovered, netns: NetNsId) -> Option<String> {
    match found.entrances.get(&netns)?.first()? {
        Entrance::Own => None,
        Entrance::Process(pid) => Some(format!("/proc/{pid}/ns/net")),
        Entrance::Path(path) => Some(path.display().to_string()),
    }
}

/// `net.ipv4.conf.all.rp_filter` of a namespace; 0 if it cannot be read.
fn rp_filter_of_all(namespace: &NetNs) -> i32 {
    let read = || fs::read_to_string("/proc/sys/net/ipv4/conf/all/rp_filter");
    let text = namespace.run(read).and_then(|text| text);
    text.ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or_default()
}

fn devices(links: &[LinkMessage], all: i32) -> BTreeMap<u32, Device> {
    links.iter().map(|link| device(link, all)).collect()
}

fn device(link: &LinkMessage, rp_filter: i32) -> (u32, Device) {
    let flags = link.header.flags;
    let mut device = Device {
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        ..Device::default()
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => device.mtu = Some(*mtu),
            LinkAttribute::Address(address) => device.mac = mac(address),
            LinkAttribute::Controller(_) => device.is_port = true,
            LinkAttribute::LinkInfo(info) => device.tunnel_port = tunnel_port(info),
            LinkAttribute::AfSpecUnspec(families) => {
                let own = rp_filter_of(families).unwrap_or_default();
                device.rp_filter = RpFilter::of(rp_filter, own);
            }
            _ => {}
        }
    }
    (link.header.index, device)
}

fn rp_filter_of(families: &[AfSpecUnspec]) -> Option<i32> {
    let mut inet = families.iter().flat_map(|family| match family {
        AfSpecUnspec::Inet(inet) => inet.as_slice(),
        _ => &[],
    });
    inet.find_map(only!(AfSpecInet::DevConf))
        .map(|conf| conf.rp_filter)
}

fn tunnel_port(info: &[LinkInfo]) -> Option<u16> {
    let port = info.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vxlan(data)) => data.iter().find_map(only!(InfoVxlan::Port)),
        LinkInfo::Data(InfoData::Geneve(data)) => data.iter().find_map(only!(InfoGeneve::Port)),
        _ => None,
    });
    port.copied()
}

fn neighbour(message: &NeighbourMessage) -> Option<Neighbour> {
    let attributes = message.attributes.iter();
    let address = attributes.clone().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
            Some(IpAddr::V4(*address))
        }
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            Some(IpAddr::V6(*address))
        }
        _ => None,
    });
    let mut addresses = attributes.filter_map(only!(NeighbourAttribute::LinkLayerAddress));
    let mac = addresses.find_map(|address| mac(address));
    let unanswered = [NeighbourState::Incomplete, NeighbourState::Failed];
    let is_of_use = mac.is_some() || unanswered.contains(&message.header.state);
    is_of_use.then_some(Neighbour {
        device: message.header.ifindex,
        address: address?,
        mac,
    })
}

fn hop(route: &RouteMessage) -> Hop {
    let mut hop = Hop {
        device: 0,
        gateway: None,
    };
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => hop.device = *index,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => {
                hop.gateway = Some((*address).into());
            }
            RouteAttribute::Gateway(RouteAddress::Inet6(address)) => {
                hop.gateway = Some((*address).into());
            }
            _ => {}
        }
    }
    hop
}
