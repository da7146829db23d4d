//! What stands at the doors, as those who judge want it.

use std::collections::BTreeSet;

use super::crossings::Ready;
use crate::{
    model::{Chain, Direction},
    verify::{Hooks, observation::Hidden},
};

/// Names of the programs of others, by hook.
pub(crate) fn hooks(standing: &Ready) -> Hooks {
    let names = |chain: &Chain| {
        let all = chain.ahead.iter().chain(&chain.behind);
        all.map(|name| name.raw().to_owned()).collect()
    };
    let mut hooks = Hooks::new();
    for (door, chains) in &standing.chains {
        for (direction, chain) in [Direction::Ingress, Direction::Egress]
            .into_iter()
            .zip(chains)
        {
            if let Some(chain) = chain {
                hooks.insert((*door, direction), names(chain));
            }
        }
    }
    hooks
}

/// Doors that could not be watched from the beginning, or to the end.
pub(crate) fn hidden(standing: &Ready, late: &[Hidden]) -> Vec<Hidden> {
    let mut hidden = standing.hidden.clone();
    let known: BTreeSet<_> = hidden.iter().map(|hidden| hidden.door).collect();
    let late = late.iter().filter(|late| !known.contains(&late.door));
    hidden.extend(late.cloned());
    hidden
}
