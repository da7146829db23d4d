//! Names for what was found: waiting for the sources, and taking over what they say.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use super::reconcile;
use crate::{
    model::{Cluster, Source, Status},
    names::{self, Reports},
};

/// How long names are waited for, at the most ...
const LIMIT: Duration = Duration::from_secs(1);
/// ... and where something was asked for by a name that nobody has said yet.
const WANTED_LIMIT: Duration = Duration::from_secs(5);

/// Waits until every source has said something, for a moment at the most.
pub(crate) async fn settled(reports: &mut watch::Receiver<Reports>) {
    let _ = timeout(LIMIT, reports.wait_for(all_have_spoken)).await;
}

/// As [`settled`], for longer. Whether there was anything to wait for.
pub(crate) async fn wanted(reports: &mut watch::Receiver<Reports>) -> bool {
    let all = all_have_spoken(&reports.borrow());
    if !all {
        let _ = timeout(WANTED_LIMIT, reports.wait_for(all_have_spoken)).await;
    }
    !all
}

fn all_have_spoken(reports: &Reports) -> bool {
    let mut asked = names::SOURCES.iter();
    asked.all(|source| reports.iter().any(|report| report.source == *source))
}

/// Which sources have said nothing, or why they could not: a clause for each.
pub(crate) fn troubles(reports: &watch::Receiver<Reports>) -> Vec<String> {
    let reports = reports.borrow();
    let trouble = |source: Source| {
        let mut own = reports
            .iter()
            .filter(|report| report.source == source)
            .peekable();
        if own.peek().is_none() {
            return Some(format!("{source} has not answered yet"));
        }
        own.find_map(|report| match &report.status {
            Status::Failed { reason } => Some(format!("{source}: {reason}")),
            Status::Ok { .. } | Status::Absent => None,
        })
    };
    names::SOURCES.into_iter().filter_map(trouble).collect()
}

/// The cluster under the names that the sources give at this moment.
pub(crate) fn named(found: &Cluster, reports: &mut watch::Receiver<Reports>) -> Cluster {
    let reports = Arc::clone(&reports.borrow_and_update());
    let mut cluster = found.clone();
    reconcile::apply(&mut cluster, &reports);
    cluster
}
