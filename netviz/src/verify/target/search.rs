//! Looks an end up by its name.

use anyhow::{Result, bail, ensure};

use super::{
    family::{Family, choose, global},
    pods::{Candidate, Pods},
    service,
    spelling::{Kind, Spelling},
};
use crate::{
    model::{Cluster, Door, Role, Service, near, safe},
    verify::{
        Note, Party, Place, Protocol,
        expect::doors::{self, node_name, pod_name},
    },
};

/// The most candidates to list for the beginning of a name.
const MOST_LISTED: usize = 10;

/// An end, with its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) party: Party,
    /// The port given, or the only port of a service.
    pub(crate) port: Option<u16>,
    /// The protocol of the service at this port.
    pub(crate) protocol: Option<Protocol>,
    /// How the pod was chosen, if the name is not its own.
    pub(crate) note: Option<Note>,
}

/// How to read a name.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading<'a> {
    /// The namespace of names without one.
    pub(crate) namespace: Option<&'a str>,
    /// The address family of names that have both.
    pub(crate) family: Option<Family>,
    /// The port of names without one.
    pub(crate) port: Option<u16>,
    /// Of the pods of a workload, rather another one.
    pub(crate) avoid: Option<Place>,
    /// Every source of names has had its time, so a name that no pod has may be the beginning of one.
    pub(crate) complete: bool,
}

/// Resolves `text`, `[NODE:][KIND/]NAME[:PORT]`. Without a kind, NAME is the first of: an address, a pod
/// (`namespace/name` or `name`), a service, a node, the beginning of one pod's name.
///
/// # Errors
/// A name that nothing has, with similar ones; one that several have, with a name for each that only it has.
pub(crate) fn find(pods: &Pods<'_>, text: &str, reading: Reading<'_>) -> Result<Target> {
    let spelling = Spelling::read(text);
    let search = Search {
        pods,
        spelling,
        reading,
    };
    if let Some(node) = spelling.node {
        search.known_node(node)?;
    }
    match (spelling.kind, spelling.address()) {
        (None, Some(address)) => search.address(address),
        (None, None) => search.any(),
        (Some(Kind::Pod), _) => search.pod(&[]),
        (Some(Kind::Service), _) => search.service(),
        (Some(Kind::Node), _) => search.node(),
        (Some(Kind::Netns), _) => search.netns(),
        (Some(Kind::Workload(workload)), _) => search.workload(workload),
    }
}

/// One name, and where to look for it.
pub(super) struct Search<'a> {
    pub(super) pods: &'a Pods<'a>,
    pub(super) spelling: Spelling<'a>,
    pub(super) reading: Reading<'a>,
}

impl<'a> Search<'a> {
    pub(super) fn cluster(&self) -> &'a Cluster {
        self.pods.cluster
    }

    pub(super) fn target(&self, party: Party) -> Target {
        Target {
            party,
            port: self.spelling.port.or(self.reading.port),
            protocol: None,
            note: None,
        }
    }

    /// A pod, and how it was chosen.
    pub(super) fn chosen(&self, pod: &Candidate<'_>, of: usize) -> Target {
        let party = self.pods.party(pod, self.reading.family);
        let asked = self.spelling.name.to_owned();
        let asked = match self.spelling.kind {
            Some(Kind::Workload(workload)) => format!("{}/{asked}", workload.word()),
            _ => asked,
        };
        let pod = party.name.clone();
        let note = Some(Note::Chosen { asked, pod, of });
        Target {
            note,
            ..self.target(party)
        }
    }

    /// The pods on the node that was named.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &'a Candidate<'a>> {
        let (pods, node) = (self.pods, self.spelling.node);
        let there = move |pod: &&Candidate<'_>| node.is_none_or(|node| pods.is_on(pod, node));
        pods.all.iter().filter(there)
    }

    fn any(&self) -> Result<Target> {
        let (name, namespace) = (self.spelling.name, self.reading.namespace);
        let found: Vec<_> = self.called().collect();
        if !found.is_empty() {
            return self.single(&found);
        }
        if self.spelling.node.is_none() {
            if let Some(service) = service::by_name(self.cluster(), name, namespace)? {
                return self.of_service(service);
            }
            if self.cluster().nodes_called(name).next().is_some() {
                return self.node();
            }
        }
        let services = self.cluster().services.iter().flatten();
        self.pod(&services.collect::<Vec<_>>())
    }

    /// The pods with this name.
    fn called(&self) -> impl Iterator<Item = &'a Candidate<'a>> {
        let (name, namespace) = (self.spelling.name, self.reading.namespace);
        let pods = self.candidates();
        pods.filter(move |pod| pod.is_called(name, namespace))
    }

    /// A pod by its name or the beginning of its name. `services` are suggested, too.
    fn pod(&self, services: &[&Service]) -> Result<Target> {
        let (name, namespace) = (self.spelling.name, self.reading.namespace);
        let found: Vec<_> = self.called().collect();
        if !found.is_empty() {
            return self.single(&found);
        }
        let begins = |pod: &&Candidate<'_>| pod.begins(name, namespace);
        let found: Vec<_> = self.candidates().filter(begins).collect();
        match found.as_slice() {
            [pod] if self.reading.complete => Ok(self.chosen(pod, 1)),
            [] | [_] => Err(self.unknown(services)),
            several => {
                let number = several.len();
                let shown = &several[..number.min(MOST_LISTED)];
                let more = match number - shown.len() {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let list = self.list(shown);
                bail!("the names of {number} pods begin with {name:?}; use one of {list}{more}")
            }
        }
    }

    fn single(&self, found: &[&Candidate<'_>]) -> Result<Target> {
        match found {
            [pod] => Ok(self.target(self.pods.party(pod, self.reading.family))),
            several => bail!(
                "{} pods are named {:?}; use one of {}",
                several.len(),
                self.spelling.name,
                self.list(several)
            ),
        }
    }

    /// A name that only this pod has, for each of several, and what tells it apart.
    fn list(&self, pods: &[&Candidate<'_>]) -> String {
        let each = pods.iter().map(|pod| {
            let label = self.pods.label(pod);
            let plain = Some(pod.plain()).filter(|plain| !label.ends_with(plain.as_str()));
            let address = choose(&pod.addresses, self.reading.family);
            let condition = pod.pod.and_then(|pod| pod.condition.as_ref());
            let about = [
                plain.map(|plain| format!("{plain} on {}", pod.node)),
                address.map(|address| address.to_string()),
                condition.map(ToString::to_string),
            ];
            let about: Vec<_> = about.into_iter().flatten().collect();
            match about.is_empty() {
                true => label,
                false => format!("{label} ({})", about.join(", ")),
            }
        });
        safe(&each.collect::<Vec<_>>().join(", "))
    }

    fn unknown(&self, services: &[&Service]) -> anyhow::Error {
        let name = self.spelling.name;
        if self.cluster().nodes_called(name).next().is_some() {
            return anyhow::anyhow!("no pod {name:?}; a node has that name: node/{name}");
        }
        let mut spellings = self.pods.spellings(name);
        spellings.extend(services.iter().map(|it| service::spelt(it, name)));
        let nodes = self.cluster().nodes.iter();
        spellings.extend(nodes.map(|node| node.name.raw().to_owned()));
        // It may be a service, if those are unknown here.
        let unknown = match &self.cluster().services {
            None if self.spelling.kind.is_none() => ", and no source here reports services",
            _ => "",
        };
        let place = self.spelling.node.map(|node| format!(" on {}", safe(node)));
        let place = place.unwrap_or_default();
        let found = self.pods.all.len();
        let near = near(name, &spellings, "pod", found);
        anyhow::anyhow!("no pod {name:?}{place}{unknown}{near}")
    }

    fn service(&self) -> Result<Target> {
        let name = self.spelling.name;
        match service::by_name(self.cluster(), name, self.reading.namespace)? {
            Some(service) => self.of_service(service),
            None => bail!("no service {name:?}{}", service::near(self.cluster(), name)),
        }
    }

    fn of_service(&self, service: &Service) -> Result<Target> {
        let party = Party {
            name: service.label(),
            address: choose(&service.addresses, self.reading.family),
            place: Place::Elsewhere,
        };
        self.target(party).at_service(service)
    }

    fn node(&self) -> Result<Target> {
        let node = self.known_node(self.spelling.name)?;
        let Some(node) = node else {
            bail!("the node {:?} is not here", self.spelling.name);
        };
        let uplinks = doors::devices(self.cluster(), node, Role::Uplink);
        let addresses: Vec<_> = uplinks.flat_map(global).collect();
        Ok(self.target(Party {
            name: format!("node/{}", node_name(self.cluster(), node)),
            address: choose(&addresses, self.reading.family),
            place: Place::Node {
                node,
                router: false,
            },
        }))
    }

    /// The node with this name; `None` if it is not here.
    fn known_node(&self, name: &str) -> Result<Option<usize>> {
        let nodes = self.cluster().nodes_called(name);
        let found: Vec<_> = nodes.collect();
        match found.as_slice() {
            [(index, _)] => Ok(Some(*index)),
            [] if self.pods.is_node(name) => Ok(None),
            [] => {
                let nodes = &self.cluster().nodes;
                let names = nodes.iter().map(|node| node.name.raw().to_owned());
                let names: Vec<_> = names.collect();
                bail!(
                    "no node {name:?}{}",
                    near(name, &names, "node", nodes.len())
                )
            }
            several => {
                let names = several.iter().map(|(_, node)| node.name.to_string());
                let names = names.collect::<Vec<_>>().join(", ");
                bail!(
                    "{} nodes are named {name:?}; use one of {names}",
                    several.len()
                )
            }
        }
    }

    fn netns(&self) -> Result<Target> {
        let name = self.spelling.name;
        let inode = name.parse::<u64>().ok();
        let is_it = |pod: &&Candidate<'_>| pod.place.netns().is_some_and(|it| Some(it.0) == inode);
        match self.candidates().find(is_it) {
            Some(pod) => Ok(self.target(self.pods.party(pod, self.reading.family))),
            None => bail!(
                "no pod has the network namespace {name:?}; `lsns -t net` lists their numbers"
            ),
        }
    }
}

impl Target {
    /// The port and protocol of the service that it is.
    pub(super) fn at_service(self, service: &Service) -> Result<Self> {
        if service.ports.is_empty() {
            return Ok(self);
        }
        let (port, protocol) = service::port(service, self.port)?;
        let port = Some(port);
        Ok(Self {
            port,
            protocol,
            ..self
        })
    }
}

impl Target {
    /// The protocol and the port of probes, and what to report of their choice. Without `asked`, a port
    /// means TCP.
    pub(crate) fn probe(
        &self,
        asked: Option<Protocol>,
    ) -> Result<(Protocol, Option<u16>, Option<Note>)> {
        let port = self.port;
        // Only TCP and UDP have ports, and no service answers an echo request.
        let default = port.map_or(Protocol::Icmp, |_| Protocol::Tcp);
        let served = self.protocol;
        let served = served.filter(|_| asked.unwrap_or_default() == Protocol::Icmp);
        let protocol = served.or(asked).unwrap_or(default);
        ensure!(
            port.is_none() || protocol != Protocol::Icmp,
            "icmp has no ports: drop the port, or use --proto tcp or udp"
        );
        ensure!(
            port.is_some() || protocol == Protocol::Icmp,
            "{protocol} probes need a port: use B:PORT or --port"
        );
        let note = served.zip(port);
        let note = note.map(|(protocol, port)| Note::ServicePort { protocol, port });
        Ok((protocol, port, note))
    }
}

/// The pod that a door is in.
pub(crate) fn pod_party(door: &Door, family: Option<Family>) -> Party {
    let address = choose(&global(door), family);
    let place = door.id.netns.known().map(|netns| Place::Pod {
        node: door.node,
        netns,
    });
    Party {
        name: pod_name(door)
            .or_else(|| address.map(|address| address.to_string()))
            .unwrap_or_else(|| door.label()),
        address,
        place: place.unwrap_or(Place::Elsewhere),
    }
}
