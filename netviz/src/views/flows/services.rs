//! Services: which pod answers what was sent to a service's address.
//!
//! Cilium and kube-proxy replace a service's address by a backend's on the way. The flow is then seen
//! under both addresses, with the same client and its port. Where exactly one backend of the service
//! was sent to from there, it is the one that answers.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::owners::Owners;
use crate::model::{FlowKey, ServiceEntry, Snapshot, Transport};

/// A flow to or from a service, under both addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Translation {
    /// The service's address and port.
    pub asked: SocketAddr,
    /// Address and port of the backend that answers.
    pub answered: SocketAddr,
}

/// A client's address and port, and the protocol.
type Client = (SocketAddr, u8);

/// The services of a snapshot, and who spoke with them.
pub(super) struct Services<'a> {
    owners: &'a Owners,
    by_address: HashMap<IpAddr, &'a ServiceEntry>,
    /// The servers of each client that spoke with a service.
    servers: HashMap<Client, BTreeSet<SocketAddr>>,
}

impl<'a> Services<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, owners: &'a Owners) -> Self {
        let mut by_address = HashMap::new();
        for service in snapshot.directory.iter().flat_map(|it| &it.services) {
            by_address.extend(service.addresses.iter().map(|address| (*address, service)));
        }
        let mut services = Self {
            owners,
            by_address,
            servers: HashMap::new(),
        };
        if services.by_address.is_empty() {
            return services;
        }
        let doors = snapshot.doors.iter();
        let flows = || {
            doors
                .clone()
                .flat_map(|door| door.flows.iter().flat_map(|it| &it.flows))
        };
        for (client, server) in flows().flat_map(|flow| both(&flow.key)) {
            if services.by_address.contains_key(&server.ip()) {
                services.servers.entry(client).or_default();
            }
        }
        for (client, server) in flows().flat_map(|flow| both(&flow.key)) {
            if let Some(servers) = services.servers.get_mut(&client) {
                servers.insert(server);
            }
        }
        services
    }

    /// The other address of a service's flow.
    pub(super) fn translation(&self, key: &FlowKey) -> Option<Translation> {
        both(key).into_iter().find_map(|(client, server)| {
            let others = self.servers.get(&client)?.iter().copied();
            let pair = |other| match self.by_address.contains_key(&server.ip()) {
                true => Translation {
                    asked: server,
                    answered: other,
                },
                false => Translation {
                    asked: other,
                    answered: server,
                },
            };
            let mut found = others.map(pair).filter(|pair| self.is_behind(pair));
            // Two backends that answered one port may be two connections, one after another.
            found.next().filter(|_| found.next().is_none())
        })
    }

    fn is_behind(&self, pair: &Translation) -> bool {
        let Some(service) = self.by_address.get(&pair.asked.ip()) else {
            return false;
        };
        match service.backends.is_empty() {
            false => service.backends.contains(&pair.answered),
            true => {
                let labels = &service.selector;
                !labels.is_empty() && self.owners.has_labels(pair.answered.ip(), labels)
            }
        }
    }
}

/// A flow as its client and server, and the other way round: which is which is not known.
fn both(key: &FlowKey) -> Vec<(Client, SocketAddr)> {
    match key.transport {
        Transport::Ports {
            source,
            destination,
        } if !key.fragment => {
            let source = SocketAddr::from((key.source, source));
            let destination = SocketAddr::from((key.destination, destination));
            vec![
                ((source, key.protocol), destination),
                ((destination, key.protocol), source),
            ]
        }
        _ => Vec::new(),
    }
}
