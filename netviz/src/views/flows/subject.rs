//! Flows as a filter sees them.

use super::{owners::Owner, report::NamedFlow};
use crate::{
    model::Transport,
    views::query::{Pattern, Subject, Term},
};

/// A term selects a flow if it fits either end.
impl Subject for NamedFlow {
    fn fits(&self, term: &Term) -> bool {
        let key = &self.flow.key;
        let translated = self.translation.map(|it| [it.asked.ip(), it.answered.ip()]);
        let addresses = [key.source, key.destination].into_iter();
        let mut addresses = addresses.chain(translated.into_iter().flatten());
        let owners = [
            &self.source_owner,
            &self.destination_owner,
            &self.asked_for,
            &self.answered_by,
        ];
        let mut owners = owners.into_iter().flatten();
        match term {
            Term::Proto(protocols) => protocols.contain(key.protocol),
            Term::Port(ports) => match key.transport {
                Transport::Ports {
                    source,
                    destination,
                } => ports.contains(&source) || ports.contains(&destination),
                Transport::Icmp { .. } | Transport::None => false,
            },
            Term::Ip(wanted) => addresses.any(|own| own == *wanted),
            Term::Cidr(network) => addresses.any(|own| network.contains(&own)),
            Term::Pod(pattern) => owners.any(|owner| is_pod(owner, pattern)),
            Term::Namespace(pattern) => owners.any(|owner| match owner {
                Owner::Pod { namespace, .. } | Owner::Service { namespace, .. } => {
                    let namespace = namespace.as_ref();
                    namespace.is_some_and(|name| pattern.fits(name.raw()))
                }
                _ => false,
            }),
            Term::Node(pattern) => {
                owners.any(|owner| owner.node().is_some_and(|node| pattern.fits(node.raw())))
            }
            Term::Word(word) => {
                owners.any(|owner| contains(owner, word))
                    || addresses.any(|own| own.to_string().contains(word))
            }
            Term::Device(_) | Term::State(_) => false,
        }
    }
}

fn is_pod(owner: &Owner, pattern: &Pattern) -> bool {
    let Owner::Pod {
        namespace, name, ..
    } = owner
    else {
        return false;
    };
    pattern.fits(name.raw()) || pattern.fits(name.within(namespace.as_ref()).raw())
}

/// Whether the name of a pod, node or service contains a word.
fn contains(owner: &Owner, word: &str) -> bool {
    let name = match owner {
        Owner::Pod {
            namespace, name, ..
        }
        | Owner::Service { namespace, name } => name.within(namespace.as_ref()),
        Owner::Node { name } => name.clone(),
        Owner::Health { .. } | Owner::Ambiguous => return false,
    };
    name.raw().to_lowercase().contains(word)
}
