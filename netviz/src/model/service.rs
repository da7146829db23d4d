//! Services: addresses behind which others answer.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use super::source::Source;

/// A service, as one source or several know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Kubernetes namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its cluster addresses.
    pub addresses: Vec<IpAddr>,
    /// Where it takes what is sent to it.
    pub ports: Vec<ServicePort>,
    /// The backends, as far as a source lists them.
    pub backends: Vec<SocketAddr>,
    /// Labels of the backends' pods, `key=value`, as far as a source lists them.
    pub selector: Vec<String>,
    /// The sources that know it, in order of precedence.
    pub sources: Vec<Source>,
}

/// One port of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServicePort {
    /// Its number.
    pub number: u16,
    /// `TCP`, `UDP` or `SCTP`; empty where that is not known.
    pub protocol: String,
}

impl Service {
    /// `namespace/name`.
    #[must_use]
    pub fn label(&self) -> String {
        super::untrusted::qualified(self.namespace.as_deref(), &self.name)
    }

    /// Merges the services of each name, in the order of the names.
    pub(crate) fn together<'a>(reported: impl IntoIterator<Item = &'a Self>) -> Vec<Self> {
        let mut services: BTreeMap<String, Self> = BTreeMap::new();
        for service in reported {
            services
                .entry(service.label())
                .and_modify(|known| known.join(service))
                .or_insert_with(|| service.clone());
        }
        services.into_values().collect()
    }

    /// Takes over what `other`, the same service by another source, knows besides.
    fn join(&mut self, other: &Self) {
        fn add<T: Clone + PartialEq>(own: &mut Vec<T>, others: &[T]) {
            for one in others {
                if !own.contains(one) {
                    own.push(one.clone());
                }
            }
        }
        add(&mut self.addresses, &other.addresses);
        add(&mut self.ports, &other.ports);
        add(&mut self.backends, &other.backends);
        add(&mut self.selector, &other.selector);
        add(&mut self.sources, &other.sources);
    }
}
