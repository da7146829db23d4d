//! The expected doors equal those that a running Cilium's packets crossed: every case of every
//! mode, in order, in both directions.

use std::collections::BTreeSet;

use netviz::{
    verify::{Expectation, Kind, ModeSource, Probes, candidates, expectations, judge},
    views::explain::step,
};
use netviz_tests::{
    builders::paths::walked,
    cilium::{
        oracle::{self, Crossed},
        oracle_cluster::{MODES, OracleCluster, mode_of},
    },
};

/// Number of cases in the fixtures: 8 + 8 + 11 + 10 + 13 + 8 + 10 + 8.
const CASES: usize = 76;

#[test]
fn expected_doors_match_cilium() {
    let mut differences = Vec::new();
    let mut compared = 0;
    for (directory, name) in MODES {
        let mode = mode_of(name);
        for case in oracle::cases(directory).unwrap() {
            compared += 1;
            let oracle = OracleCluster::of(&oracle::cases(directory).unwrap(), mode);
            let expectation = oracle.expectation(&case, None);
            assert_eq!(expectation.source, ModeSource::Agent);
            for path in &case.paths {
                let steps = match path.direction.as_str() {
                    "request" => &expectation.request,
                    _ => &expectation.reply,
                };
                let (expected, counted) = (oracle.expected(steps), counted(path));
                if expected != counted {
                    differences.push(format!(
                        "{directory}: {} ({} {})\n  expected {}\n  counted  {}",
                        case.name,
                        path.protocol,
                        path.direction,
                        expected.join(" "),
                        counted.join(" ")
                    ));
                }
            }
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
    assert_eq!(compared, CASES);
}

#[test]
fn inferred_modes_include_the_real_one() {
    for (directory, name) in MODES {
        let mode = mode_of(name);
        let cases = oracle::cases(directory).unwrap();
        let mut oracle = OracleCluster::of(&cases, mode);
        for case in &cases {
            let result = oracle.expectation(case, None);
            let agents: Vec<_> = oracle
                .cluster
                .nodes
                .iter_mut()
                .map(|n| n.datapath.take())
                .collect();
            let route = oracle.route(case);
            let modes = candidates(&oracle.cluster, &route, &oracle.hooks, None);
            let all = expectations(&oracle.cluster, &route, &modes, &oracle.hooks);
            for (node, datapath) in oracle.cluster.nodes.iter_mut().zip(agents) {
                node.datapath = datapath;
            }
            let same = |e: &&Expectation| e.request == result.request && e.reply == result.reply;
            let found = all.iter().find(same);
            let found = found.unwrap_or_else(|| panic!("{directory}: {}", case.name));
            assert_eq!(found.source, ModeSource::Inferred);
        }
    }
}

#[test]
fn cilium_counts_are_verified_only_in_their_mode() {
    for (directory, name) in MODES {
        let mode = mode_of(name);
        let cases = oracle::cases(directory).unwrap();
        let oracle = OracleCluster::of(&cases, mode);
        for case in &cases {
            let right = oracle.expectation(case, None);
            let observation = walked(&right, 10);
            let verdict = |expectation: Expectation| {
                let route = oracle.route(case);
                judge(
                    &oracle.cluster,
                    &route,
                    &[expectation],
                    &observation,
                    Probes::default(),
                )
            };
            let verified = verdict(right.clone());
            assert_eq!(
                verified.verdict,
                Kind::Verified,
                "{directory}: {} {verified:#?}",
                case.name
            );
            for (_, other) in MODES {
                let wrong = oracle.expectation(case, Some(mode_of(other)));
                let same = wrong.request == right.request && wrong.reply == right.reply;
                let kind = verdict(wrong).verdict;
                let expected = if same { Kind::Verified } else { Kind::Detour };
                assert_eq!(kind, expected, "{directory} as {other}: {}", case.name);
            }
        }
    }
}

fn counted(path: &Crossed) -> Vec<String> {
    let crossings = path.crossings.iter();
    crossings
        .inspect(|crossing| assert_eq!(crossing.seen_at_head, oracle::SENT))
        .map(|crossing| {
            let place = crossing.pod.as_ref().filter(|_| crossing.side == "pod");
            let outer = if crossing.encapsulated { "(outer)" } else { "" };
            let pod = crossing
                .pod
                .as_deref()
                .filter(|_| crossing.interface.starts_with("lxc"));
            let sign = if crossing.hook == "ingress" {
                "▼"
            } else {
                "▲"
            };
            let interface =
                pod.map_or_else(|| crossing.interface.clone(), |pod| format!("lxc:{pod}"));
            format!(
                "{}.{interface}{sign}{outer}",
                place.unwrap_or(&crossing.node)
            )
        })
        .collect()
}

#[test]
fn every_step_of_a_measured_path_is_explained() {
    let mut unexplained = BTreeSet::new();
    for (directory, name) in MODES {
        let cases = oracle::cases(directory).unwrap();
        let oracle = OracleCluster::of(&cases, mode_of(name));
        for case in &cases {
            let expectation = oracle.expectation(case, None);
            let mut observation = walked(&expectation, 1);
            observation.hooks = oracle.hooks.clone();
            let (cluster, route) = (&oracle.cluster, oracle.route(case));
            let verdict = judge(
                cluster,
                &route,
                &[expectation],
                &observation,
                Probes::default(),
            );
            for rows in [&verdict.request, &verdict.reply] {
                let crossed: Vec<_> = rows.iter().filter(|row| row.skipped_by.is_none()).collect();
                for pair in crossed
                    .windows(2)
                    .filter(|pair| step(pair[0], pair[1]).is_none())
                {
                    let [here, next] =
                        [0, 1].map(|end| (pair[end].role, pair[end].side, pair[end].direction));
                    unexplained.insert(format!("{here:?} -> {next:?}"));
                }
            }
        }
    }
    assert_eq!(unexplained, BTreeSet::new());
}
