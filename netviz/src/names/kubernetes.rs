//! Source of names: the Kubernetes API, read only.
//!
//! Nodes and pods, and services for whoever wants to send to one, are listed, then watched; nothing is ever written, and no command that a
//! kubeconfig names is run. What is known stays while the API cannot be reached.

mod access;
mod certificate;
mod error_text;
mod files;
#[cfg(feature = "mutants")]
pub(crate) mod fuzz_entry;
mod guard;
mod kubeconfig;
mod objects;
mod session;

use std::{collections::HashMap, rc::Rc, sync::Arc, time::Duration};

use caps::Capability;
use futures_util::future::join_all;
use tokio::{
    sync::{Notify, watch},
    time::{MissedTickBehavior, interval, sleep},
};

use super::Context;
use crate::{
    discover::Discovered,
    model::{Report, Source, Status, plain},
    names::SourceOptions,
    sys::privileges,
};
use access::{Access, Place};
use session::Told;

/// Changes come in bursts; each report holds everything.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How often the configuration is looked at again: kubelets renew their certificates.
const CONFIGURATION: Duration = Duration::from_secs(10);

/// Follows the API until there is nothing to follow for.
pub(super) fn run(mut context: Context, options: &SourceOptions) {
    // All that it takes to read the files of a node, in its own root.
    privileges::keep_only(&[Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH]);
    let mut told: HashMap<String, Rc<Told>> = HashMap::new();
    loop {
        let places = places(&context.found());
        let go_on = match context.runtime.block_on(access::find(options, &places)) {
            Ok(ways) => {
                told.retain(|origin, _| ways.iter().any(|way| way.origin == *origin));
                let ways: Vec<_> = ways
                    .into_iter()
                    .map(|way| {
                        let told = told
                            .entry(way.origin.clone())
                            .or_insert_with(|| Rc::new(Told::new(options.services)));
                        (way, Rc::clone(told))
                    })
                    .collect();
                context
                    .runtime
                    .block_on(follow(&context, options, &places, &ways))
            }
            Err(status) => {
                told.clear();
                let report = Report::new(Source::Kubernetes, None, status);
                context.publish(Source::Kubernetes, vec![report]);
                context.wait()
            }
        };
        if !go_on {
            return;
        }
    }
}

/// Until the ways change, true, or the end, false.
async fn follow(
    context: &Context,
    options: &SourceOptions,
    places: &[Place],
    ways: &[(Access, Rc<Told>)],
) -> bool {
    let changed = Notify::new();
    // What is known from before is shown again, or the error that a new way did not bring.
    changed.notify_one();
    let following = join_all(
        ways.iter()
            .map(|(way, told)| session::follow(way, told, &changed)),
    );
    let publishing = async {
        loop {
            changed.notified().await;
            if let Some(report) = report(ways) {
                context.publish(Source::Kubernetes, vec![report]);
            }
            sleep(DEBOUNCE).await;
        }
    };
    let following = async {
        following.await;
        // Where nothing can come any more, what was said stays until the configuration changes.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = following => true,
        () = publishing => true,
        go_on = ways_change(context.found.clone(), options, places, ways) => go_on,
    }
}

/// Waits until the configuration is another one, true, or nothing is looked for any more, false.
async fn ways_change(
    mut found: watch::Receiver<Arc<Discovered>>,
    options: &SourceOptions,
    places_before: &[Place],
    ways: &[(Access, Rc<Told>)],
) -> bool {
    let mut again = interval(CONFIGURATION);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    again.reset();
    let mut places_seen = places_before.to_vec();
    loop {
        tokio::select! {
            changed = found.changed() => {
                if changed.is_err() {
                    return false;
                }
                // Doors change all the time, nodes seldom.
                let places_now = places(&found.borrow_and_update());
                if places_now == places_seen {
                    continue;
                }
                places_seen = places_now;
            }
            _ = again.tick() => {}
        }
        let same = match access::find(options, &places_seen).await {
            Ok(now) => now.iter().eq(ways.iter().map(|(way, _)| way)),
            Err(_) => false,
        };
        if !same {
            return true;
        }
    }
}

/// Everything that was told, as one report; `None` while there is no answer.
fn report(ways: &[(Access, Rc<Told>)]) -> Option<Report> {
    let mut statuses: Vec<Status> = ways
        .iter()
        .filter_map(|(way, told)| told.status(way))
        .collect();
    // What went wrong is worth more words than what did not.
    let failed = statuses
        .iter()
        .position(|status| matches!(status, Status::Failed { .. }));
    if statuses.is_empty() {
        return None;
    }
    let status = statuses.swap_remove(failed.unwrap_or_default());
    let mut report = Report::new(Source::Kubernetes, None, status);
    for (_, told) in ways {
        report
            .pods
            .extend(told.pods.borrow().kept.values().cloned());
        if let Some(services) = &told.services {
            let services = services.borrow();
            if services.trouble.is_none() {
                let all = report.services.get_or_insert_default();
                all.extend(services.kept.values().cloned());
            }
        }
        for node in told.nodes.borrow().kept.values() {
            if !report.nodes.iter().any(|known| known.name == node.name) {
                report.nodes.push(node.clone());
            }
        }
    }
    Some(report)
}

/// The nodes, as far as a configuration may be found there.
fn places(found: &Discovered) -> Vec<Place> {
    let place = |node: &crate::model::Node| {
        let addresses = node.addresses.iter();
        Place {
            name: node.name.raw().to_owned(),
            addresses: addresses.filter_map(|text| plain(text)).collect(),
            roots: found.roots.get(&node.netns).cloned().unwrap_or_default(),
        }
    };
    found.cluster.nodes.iter().map(place).collect()
}
