//! `netviz audit`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Write as _,
    sync::Arc,
};

use anyhow::{Result, bail};
use jiff::Timestamp;

use super::{output, preflight, start, terminal};
use crate::{
    audit::{
        Audit, AuditedDoor, Chains, InspectError, Severity,
        inspect::{self, Keepers},
        judge,
    },
    cli::{AuditArgs, AuditOutput, Exit, FailOn},
    count::LossTracker,
    discover::Discovered,
    feed::{ClusterWatch, NAMES_LIMIT, assemble},
    model::{Cluster, Door, DoorId, Operation, Reason, Sample},
    sys::{
        netns::{NetNs, NetNsId},
        privileges,
        signals::Signals,
    },
    views::{
        audit::{sarif, text},
        filter::Filter,
        json,
        text::Style,
        yaml,
    },
};

/// The programs at each door; removed doors are missing.
type Inspected = HashMap<DoorId, Result<Chains, Reason>>;

/// Runs `netviz audit`.
///
/// # Errors
/// When there is nothing to be inspected, or not to be inspected by this process; the message names the
/// operation, the object and the remedy.
pub async fn run(args: &AuditArgs) -> Result<Exit> {
    let audit = audit(args).await?;
    // Nothing is attached, so only the output needs to be interruptible.
    let mut end = Signals::new()?;
    output::print(format(&audit, args)?, &mut end).await?;
    let least = match args.fail_on {
        FailOn::Info => Some(Severity::Info),
        FailOn::Warning => Some(Severity::Warning),
        FailOn::Error => Some(Severity::Error),
        FailOn::Never => None,
    };
    let found = least.is_some_and(|least| audit.worst() >= Some(least));
    let unknown = audit.doors.iter().any(|door| door.problem.is_some());
    Ok(match (found, unknown) {
        (true, _) => Exit::Finding,
        (false, true) if least.is_some() => Exit::Unclear,
        (false, _) => Exit::Success,
    })
}

async fn audit(args: &AuditArgs) -> Result<Audit> {
    preflight::check()?;
    privileges::keep_only(&privileges::REQUIRED.map(|(capability, _)| capability));
    let filter = Filter::new(&args.filter.node, &args.filter.pod, &args.filter.device)?;
    let sources = start::sources(&args.selection, false);
    let mut watch = ClusterWatch::start(start::selection(&args.selection)?, &sources)?;
    let found = Arc::clone(watch.found());
    if found.cluster.doors.is_empty() {
        bail!(start::nothing_found(&args.selection));
    }
    let before = inspect_all(&found);
    let keepers = Keepers::read(&found.all_roots());
    watch.settled(NAMES_LIMIT).await;
    let cluster = watch.cluster().clone();
    drop(watch);
    // The programs may have changed while names and processes were read.
    let mut inspected = inspect_all(&found);
    for (door, chains) in &mut inspected {
        if let (Ok(chains), Some(Ok(before))) = (chains, before.get(door)) {
            chains.compare(before);
            keepers.complete(chains);
        }
    }
    assemble_audit(&cluster, inspected, &filter)
}

/// Reads the programs at every reachable door.
fn inspect_all(found: &Discovered) -> Inspected {
    let mut namespaces: BTreeMap<NetNsId, Result<Option<NetNs>, Reason>> = BTreeMap::new();
    let mut inspected = Inspected::new();
    for door in &found.cluster.doors {
        let Some(id) = door.id.netns.known() else {
            continue;
        };
        let namespace = namespaces.entry(id).or_insert_with(|| {
            let opened = found.open(id);
            opened.map_err(|error| Reason::failed(Operation::OpenNetns, &error))
        });
        let chains = match namespace {
            Ok(Some(namespace)) => match inspect::inspect(door, namespace) {
                Ok(chains) => Ok(chains),
                Err(InspectError::Vanished) => continue,
                Err(InspectError::Kernel(error)) => Err(Reason::failed(Operation::List, &error)),
            },
            // The namespace was removed.
            Ok(None) => continue,
            Err(reason) => Err(reason.clone()),
        };
        inspected.insert(door.id, chains);
    }
    inspected
}

/// Judges all doors, and keeps those that match the filter.
fn assemble_audit(cluster: &Cluster, mut inspected: Inspected, filter: &Filter) -> Result<Audit> {
    let now = Timestamp::now();
    let (sample, mut losses) = (Sample::default(), LossTracker::default());
    let mut snapshot = assemble(cluster, None, &sample, &mut losses, now);
    filter.check(&snapshot)?;
    filter.apply(&mut snapshot);
    let doors: Vec<_> = cluster
        .doors
        .iter()
        .filter_map(|door| audited(cluster, door, &mut inspected))
        .collect();
    let findings = judge(&doors);
    let shown: BTreeSet<_> = snapshot.doors.iter().map(|door| door.id).collect();
    let doors = doors.into_iter().filter(|door| shown.contains(&door.id));
    let mut audit = Audit::new(snapshot.taken_at, doors.collect(), findings);
    audit.notes.extend(snapshot.notes);
    audit.sources = snapshot.sources;
    Ok(audit)
}

/// `None` for a removed door.
fn audited(cluster: &Cluster, door: &Door, inspected: &mut Inspected) -> Option<AuditedDoor> {
    let mut audited = AuditedDoor::new(door, cluster.nodes.get(door.node)?);
    match inspected.remove(&door.id) {
        Some(Ok(chains)) => audited.chains = Some(chains),
        Some(Err(problem)) => audited.problem = Some(problem),
        None if audited.problem.is_none() => return None,
        None => {}
    }
    Some(audited)
}

fn format(shown: &Audit, args: &AuditArgs) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match args.output {
        AuditOutput::Text => {
            let style = terminal::style();
            let style = Style {
                full: args.full,
                ascii: args.ascii || style.ascii,
                ..style
            };
            writeln!(out, "{}", text::draw(shown, style))?;
        }
        AuditOutput::Json => json::write(shown, &mut out)?,
        AuditOutput::Yaml => yaml::write(shown, &mut out)?,
        AuditOutput::Sarif => json::write(&sarif::log(shown), &mut out)?,
    }
    Ok(out)
}
