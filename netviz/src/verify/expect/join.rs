//! Joins the paths to several backends of a service into one.

use std::collections::BTreeSet;

use crate::verify::{Expectation, Step};

/// Joins paths into one whose steps know the packets that cross them. Steps that paths share are one
/// step. The first of the paths is the first where they part.
///
/// `None` without a path.
pub(crate) fn join(paths: Vec<(Expectation, BTreeSet<u32>)>) -> Option<Expectation> {
    let all: BTreeSet<u32> = paths
        .iter()
        .flat_map(|(_, packets)| packets)
        .copied()
        .collect();
    let mut paths = paths.into_iter();
    let (mut joined, packets) = paths.next()?;
    for step in joined.request.iter_mut().chain(&mut joined.reply) {
        step.only = Some(packets.clone());
    }
    for (path, packets) in paths {
        add(&mut joined.request, path.request, &packets);
        add(&mut joined.reply, path.reply, &packets);
        extend(&mut joined.besides, path.besides);
        extend(&mut joined.absent, path.absent);
        extend(&mut joined.notes, path.notes);
        if joined.mode != path.mode {
            joined.mode = format!("{}; {}", joined.mode, path.mode);
        }
    }
    for step in joined.request.iter_mut().chain(&mut joined.reply) {
        step.only.take_if(|only| *only == all);
    }
    Some(joined)
}

/// Adds a path behind what it shares with the others.
fn add(steps: &mut Vec<Step>, path: Vec<Step>, packets: &BTreeSet<u32>) {
    let mut from = 0;
    let mut own = Vec::new();
    for step in path {
        let same = |it: &Step| {
            let only = step.only.clone();
            Step { only, ..it.clone() } == step
        };
        let shared = steps[from..].iter().position(same);
        match shared.map(|place| from + place) {
            Some(place) => {
                let count = own.len();
                // In front of what the paths share again.
                steps.splice(place..place, own.drain(..));
                let only = steps[place + count].only.get_or_insert_default();
                only.extend(packets);
                from = place + count + 1;
            }
            None => own.push(Step {
                only: Some(packets.clone()),
                ..step
            }),
        }
    }
    steps.extend(own);
}

fn extend<T: PartialEq>(all: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}
