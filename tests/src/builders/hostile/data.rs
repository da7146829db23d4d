//! Plain data in which all names are the same.

use std::net::IpAddr;

use netviz::{
    audit::{Audit, Owner, Process, Severity, Way as Attachment, judge},
    model::{
        Chain, Datapath, Direction, Disagreement, Reason, Role, Side, Snapshot, Source,
        SourceStatus, Status,
    },
    names::policies::{Policy, Unread, UnreadReason},
    verify::{
        BackendShare, Cause, CrossingRow, Detour, Doubt, DropReason, HiddenReason, Interface, Kind,
        Location, Note, Program, RowNote, TestResult, Verdict,
    },
};

use crate::builders::{
    chains::{ChainBuilder, filter, held, tcx},
    flows,
    snapshot_builder::blog,
    verdicts,
};

fn some<'a, T: From<&'a str>>(name: &'a str) -> Option<T> {
    Some(name.into())
}

fn reason(name: &str) -> Option<Reason> {
    Some(Reason::Missing {
        segments: 1,
        to: name.into(),
        behind: Some(vec![name.into()]),
    })
}

fn sources(name: &str) -> Vec<SourceStatus> {
    vec![SourceStatus {
        source: Source::Cilium,
        node: some(name),
        status: Status::Failed {
            reason: name.into(),
        },
    }]
}

/// The blog's cluster.
#[must_use]
pub fn cluster(name: &str) -> Snapshot {
    let mut snapshot = blog().snapshot();
    for node in &mut snapshot.nodes {
        node.name = name.into();
        node.datapath = Some(datapath(name));
    }
    doors(&mut snapshot, name);
    for pair in &mut snapshot.pairs {
        pair.node = name.into();
        pair.pod = some(name);
        for direction in &mut pair.directions {
            (direction.from, direction.to) = (some(name), some(name));
            direction.reason = reason(name);
        }
    }
    for pod in &mut snapshot.pods {
        (pod.node, pod.name) = (name.into(), name.into());
        (pod.namespace, pod.condition) = (some(name), some(name));
        (pod.containers, pod.labels) = (vec![name.into()], vec![name.into()]);
    }
    snapshot.disagreements = vec![Disagreement {
        node: name.into(),
        about: name.into(),
        what: name.into(),
    }];
    snapshot.sources = sources(name);
    snapshot.notes = vec![name.into()];
    snapshot
}

/// Pods, nodes and services that talk.
#[must_use]
pub fn talking(name: &str) -> Snapshot {
    let mut snapshot = flows::talking();
    for node in &mut snapshot.nodes {
        node.name = name.into();
    }
    doors(&mut snapshot, name);
    if let Some(directory) = &mut snapshot.directory {
        for pod in &mut directory.pods {
            (pod.node, pod.name) = (name.into(), name.into());
            pod.namespace = some(name);
        }
        for node in &mut directory.nodes {
            node.name = name.into();
        }
        for service in &mut directory.services {
            (service.namespace, service.name) = (some(name), name.into());
            service.selector = vec![name.into()];
        }
    }
    snapshot.notes = vec![name.into()];
    snapshot
}

fn doors(snapshot: &mut Snapshot, name: &str) {
    let chain = || {
        Some(Chain {
            ahead: vec![name.into()],
            behind: vec![name.into()],
        })
    };
    for door in &mut snapshot.doors {
        door.node = name.into();
        (door.pod, door.namespace) = (some(name), some(name));
        (door.interface, door.peer_interface) = (some(name), some(name));
        (door.kind, door.mac) = (Some(name.into()), some(name));
        door.reason = reason(name);
        (door.programs.ingress, door.programs.egress) = (chain(), chain());
    }
}

fn datapath(name: &str) -> Datapath {
    Datapath {
        version: some(name),
        health: some(name),
        routing: Some(name.into()),
        tunnel: Some(name.into()),
        host_routing: Some(name.into()),
        endpoint_routes: Some(true),
        masquerading: Some(name.into()),
        encryption: Some(name.into()),
        kube_proxy_replacement: Some(name.into()),
        attach: Some(name.into()),
    }
}

/// Returns a verdict of each kind.
#[must_use]
pub fn verdicts(name: &str) -> Vec<Verdict> {
    let all = verdicts::all().into_iter();
    all.map(|(_, verdict)| verdict_of(verdict, name)).collect()
}

fn verdict_of(mut verdict: Verdict, name: &str) -> Verdict {
    // The reason of a failed expectation may contain a foreign name.
    let passed = verdict.verdict == Kind::Verified;
    verdict.test = Some(TestResult {
        name: Some(name.into()),
        passed,
        why: (!passed).then(|| name.to_owned()),
    });
    for hop in [&mut verdict.from, &mut verdict.to] {
        hop.name = name.into();
        // If it differs from the name on the command line, both are shown.
        hop.pod = Some(format!("x/{name}").into());
        (hop.node, hop.address) = (some(name), some(name));
    }
    for row in verdict.request.iter_mut().chain(&mut verdict.reply) {
        crossing(row, name);
    }
    for loss in &mut verdict.losses {
        let drop_reason = DropReason {
            reason: some(name),
            function: some(name),
            device: some(name),
            place: some(name),
            packets: loss.packets,
        };
        loss.causes = causes(name);
        loss.causes.push(Cause::KernelDrop {
            drop: drop_reason.clone(),
            location: Some(interface(name).location),
            tunnel_port: None,
        });
        loss.drop_reason = Some(drop_reason);
    }
    verdict.mode = some(name);
    let (pod, node, device) = (name.into(), name.into(), name.into());
    verdict.notes = vec![
        Note::DeliveredTo { pod },
        Note::DeliveredToBackends {
            shares: vec![BackendShare {
                pod: name.into(),
                packets: 1,
            }],
        },
        Note::Refused {
            packets: 1,
            answer: name.into(),
            limited: 0,
            by_netfilter: false,
        },
    ];
    verdict.detours = vec![Detour::Absent { device, node }];
    verdict.unclear = vec![
        Doubt::NoDoors { name: name.into() },
        Doubt::ServiceTranslated {
            service: some(name),
            backends: vec![name.into()],
            error: some(name),
        },
    ];
    verdict
}

fn causes(name: &str) -> Vec<Cause> {
    vec![
        Cause::Error {
            error: name.into(),
            from: None,
        },
        Cause::Programs {
            programs: vec![Program {
                name: name.into(),
                attachment: Attachment::Xdp,
                owner: Owner::Other,
                held_by: vec![Process {
                    pid: 7,
                    command: name.into(),
                }],
            }],
            at: interface(name),
            direction: Direction::Ingress,
            dropped: true,
        },
        Cause::CiliumDrops {
            node: name.into(),
            drops: Vec::new(),
            policies: vec![Policy {
                kind: name.into(),
                namespace: some(name),
                name: name.into(),
            }],
            unread: vec![Unread {
                resource: name.into(),
                reason: UnreadReason::Failed { error: name.into() },
            }],
        },
        Cause::LinkDown {
            at: interface(name),
        },
        Cause::NoRoute {
            to: IpAddr::from([10, 0, 0, 1]),
            location: interface(name).location,
        },
    ]
}

fn interface(name: &str) -> Interface {
    Interface {
        interface: name.into(),
        location: Location {
            node: name.into(),
            pod: some(name),
            side: Side::Pod,
            netns: some(name),
        },
    }
}

fn crossing(row: &mut CrossingRow, name: &str) {
    row.node = name.into();
    row.interface = name.into();
    row.pod = Some(format!("x/{name}").into());
    row.note = Some(RowNote::Hidden {
        reason: HiddenReason::NotAttached { error: name.into() },
    });
    row.skipped_by = row.skipped_by.as_ref().map(|_| name.to_owned());
    if let Some(tunnel) = &mut row.tunnel {
        tunnel.node = some(name);
    }
}

/// Returns an audit of two nodes with Cilium and foreign programs: the findings contain the names
/// too.
#[must_use]
pub fn audit(name: &str) -> Audit {
    let mut building = ChainBuilder::default();
    for node in [1, 2] {
        building.node(node);
    }
    let theirs = |id| {
        let mut theirs = held(tcx(id, name), 7, name);
        theirs.pinned_at = vec![name.into()];
        theirs
    };
    let programs = &mut building.hook(1, "lxcbbbb", Direction::Ingress).programs;
    programs.insert(0, theirs(812));
    programs.push(theirs(813));
    programs.push(filter(33, name, 1, 7));
    building
        .hook(1, "cilium_vxlan", Direction::Ingress)
        .programs
        .clear();
    let egress = &mut building.hook(1, "eth0", Direction::Egress).programs;
    egress.push(filter(9, name, 1, 1));
    let hidden = building.door(2, Side::Pod, Role::Pod, "eth0");
    (hidden.chains, hidden.problem) = (None, reason(name));
    for door in &mut building.doors {
        door.node = name.into();
        (door.pod, door.namespace) = (some(name), some(name));
        (door.interface, door.kind) = (some(name), Some(name.into()));
        let hooks = door.chains.iter_mut().flat_map(|chains| chains.hooks_mut());
        hooks.for_each(|hook| describe(&mut hook.programs, name));
    }
    let mut findings = judge(&building.doors);
    assert!(findings.iter().any(|it| it.severity == Severity::Warning));
    for finding in &mut findings {
        finding.explained_by.push(name.into());
    }
    let mut audit = Audit::new("2026-01-02T03:04:05Z".into(), building.doors, findings);
    (audit.notes, audit.sources) = (vec![name.into()], sources(name));
    audit
}

fn describe(programs: &mut [netviz::audit::Attached], name: &str) {
    for program in programs {
        (program.tag, program.loaded_at) = (some(name), some(name));
        if let Some(filter) = &mut program.filter {
            filter.name = name.into();
        }
    }
}
