//! What `netviz verify` is doing, in one line of standard error at a terminal.

use crate::{app::progress::Progress, verify::run::probes::Stage};

/// Shows each stage until it is dropped, if `wanted`.
pub(super) fn probes(wanted: bool) -> impl Fn(Stage) {
    let progress = wanted.then(Progress::new);
    move |stage| {
        if let Some(progress) = &progress {
            progress.show(&doing(stage));
        }
    }
}

/// Shows how many of `all` pairs are done, and what is done for the others, until it is dropped.
pub(super) fn pairs(all: usize) -> impl Fn(usize, Stage) {
    let progress = Progress::new();
    move |done, stage| {
        progress.show(&format!("{done} of {all} pairs tested, {}", doing(stage)));
    }
}

fn doing(stage: Stage) -> String {
    match stage {
        Stage::Attaching { interfaces } => attaching(interfaces),
        Stage::Sending { sent, of } => format!("sent {sent} of {of}"),
    }
}

/// `attaching to 26 interfaces`
pub(super) fn attaching(interfaces: usize) -> String {
    format!("attaching to {interfaces} interfaces")
}
