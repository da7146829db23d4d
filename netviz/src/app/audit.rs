//! `netviz audit`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
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
    cli::{AuditArgs, AuditOutput, FailOn},
    count::LossTracker,
    discover::Discovered,
    feed::{ClusterWatch, NAMES_LIMIT, assemble},
    model::{Cluster, Door, DoorId, Operation, Reason, Sample},
    names::SourceOptions,
    sys::{
        netns::{NetNs, NetNsId},
        privileges,
        signals::Signals,
    },
    views::{
        audit::{self, text},
        filter::Filter,
    },
};

/// The result for each door; doors that have gone are missing.
type Seen = HashMap<DoorId, Result<Chains, Reason>>;

/// Runs `netviz audit`; the exit code says whether anything was found.
///
/// # Errors
/// When there is nothing to be seen, or not to be seen by this process; the message names the
/// operation, the object and the remedy.
pub async fn run(args: &AuditArgs) -> Result<ExitCode> {
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
    let failed = least.is_some_and(|least| audit.worst() >= Some(least));
    Ok(u8::from(failed).into())
}

async fn audit(args: &AuditArgs) -> Result<Audit> {
    preflight::check()?;
    privileges::keep_only(&privileges::REQUIRED.map(|(capability, _)| capability));
    let filter = Filter::new(&args.filter.node, &args.filter.pod, &args.filter.device)?;
    let sources = SourceOptions {
        kubeconfig: args.selection.kubeconfig.clone(),
        services: false,
    };
    let mut watch = ClusterWatch::start(start::selection(&args.selection)?, &sources)?;
    let found = Arc::clone(watch.found());
    if found.cluster.doors.is_empty() {
        bail!(start::nothing_found(&args.selection));
    }
    let before = look(&found);
    let keepers = Keepers::read(&roots(&found));
    watch.settled(NAMES_LIMIT).await;
    let cluster = watch.cluster().clone();
    drop(watch);
    // Reading names and holders took a while: the programs may have changed.
    let mut seen = look(&found);
    for (door, chains) in &mut seen {
        if let (Ok(chains), Some(Ok(before))) = (chains, before.get(door)) {
            chains.compare(before);
            keepers.complete(chains);
        }
    }
    put_together(&cluster, seen, &filter)
}

/// Reads the programs at every reachable door.
fn look(found: &Discovered) -> Seen {
    let mut namespaces: BTreeMap<NetNsId, Result<Option<NetNs>, Reason>> = BTreeMap::new();
    let mut seen = Seen::new();
    for door in &found.cluster.doors {
        let Some(id) = door.id.netns.known() else {
            continue;
        };
        let namespace = namespaces.entry(id).or_insert_with(|| {
            let opened = found.open(id);
            opened.map_err(|error| Reason::failed(Operation::OpenNetns, &error))
        });
        let namespace = match namespace {
            Ok(Some(namespace)) => namespace,
            // It has ended.
            Ok(None) => continue,
            Err(why) => {
                seen.insert(door.id, Err(why.clone()));
                continue;
            }
        };
        match inspect::inspect(door, namespace) {
            Err(InspectError::Vanished) => {}
            Err(InspectError::Kernel(error)) => {
                let reason = Reason::failed(Operation::List, &error);
                seen.insert(door.id, Err(reason));
            }
            Ok(chains) => drop(seen.insert(door.id, Ok(chains))),
        }
    }
    seen
}

/// The machine's own, and those of the nodes.
fn roots(found: &Discovered) -> Vec<PathBuf> {
    let nodes = found
        .roots
        .values()
        .flat_map(|paths| paths.first().cloned());
    let roots: BTreeSet<_> = nodes.chain([PathBuf::from("/")]).collect();
    roots.into_iter().collect()
}

/// Judges all doors and keeps those that the filter shows.
fn put_together(cluster: &Cluster, mut seen: Seen, filter: &Filter) -> Result<Audit> {
    let now = Timestamp::now();
    let (sample, mut ledger) = (Sample::default(), LossTracker::default());
    let mut snapshot = assemble(cluster, None, &sample, &mut ledger, now);
    filter.check(&snapshot)?;
    filter.apply(&mut snapshot);
    let doors: Vec<_> = cluster
        .doors
        .iter()
        .filter_map(|door| audited(cluster, door, &mut seen))
        .collect();
    let findings = judge(&doors);
    let shown: BTreeSet<_> = snapshot.doors.iter().map(|door| door.id).collect();
    let doors = doors.into_iter().filter(|door| shown.contains(&door.id));
    let mut audit = Audit::new(now.to_string(), doors.collect(), findings);
    audit.notes.extend(snapshot.notes);
    audit.sources = snapshot.sources;
    Ok(audit)
}

/// `None` for a door that has gone.
fn audited(cluster: &Cluster, door: &Door, seen: &mut Seen) -> Option<AuditedDoor> {
    let mut audited = AuditedDoor::new(door, cluster.nodes.get(door.node)?);
    match seen.remove(&door.id) {
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
            let terminal = terminal::is_terminal();
            let style = text::Style {
                width: terminal.then(terminal::width),
                colour: terminal && terminal::colour(),
                full: args.full,
            };
            writeln!(out, "{}", text::draw(shown, style))?;
        }
        AuditOutput::Json => audit::write(shown, &mut out)?,
        AuditOutput::Sarif => audit::write_sarif(shown, &mut out)?,
    }
    Ok(out)
}
