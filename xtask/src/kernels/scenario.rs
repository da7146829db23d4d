//! The scenarios of a guest: each test function, and the demo in each routing mode.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use crate::programs::{self, Program, Programs};

/// Test files that do not depend on the kernel version; they run only in the ordinary tests. Every other
/// file also runs in the guests.
const ELSEWHERE: [&str; 32] = [
    "audit_rules",
    "browser",
    "cilium",
    "cli",
    "discover",
    "docs",
    "duplicate_node_names",
    "flow_screens",
    "flow_views",
    "hostile",
    "kubernetes",
    "kubernetes_policies",
    "live",
    "map",
    "metrics",
    "model",
    "names_cilium",
    "names_cni",
    "names_failing_sources",
    "names_lab",
    "names_nodes",
    "names_reconcile",
    "parsers",
    "prometheus",
    "serve",
    "tui",
    "verdict_views",
    "verify_expect",
    "verify_following",
    "verify_judge",
    "verify_plan",
    "views",
];

/// Test files with each check in each routing mode.
const IN_ONE_MODE: [&str; 2] = ["verify_lab", "verify_passive"];
/// The mode that represents all of them on other kernels: it has a tunnel, and redirects that depend on
/// the kernel.
const MODE: &str = "vxlan-host-routing";

/// Test files that measure times; guests skip them with this reason.
const TIMED: [&str; 1] = ["churn"];
const TIMED_REASON: &str = "an emulated processor is too slow for its time limits";

/// Name prefixes of the quick scenarios, which every test run includes. The others take minutes in
/// emulation, or hardly depend on the kernel.
const OFTEN: [&str; 17] = [
    "attach::",
    "clsact::filter_added",
    "clsact::filter_runs_first",
    "clsact::only_filters_of",
    "demo::vxlan-host",
    "exact_lab::vxlan_host",
    "faults::missing_features::exclusive",
    "faults::missing_features::bpffs",
    "faults::missing_features::locked",
    "faults::cleanup::sigkill",
    "faults::exact_counts::",
    "faults::resource_limits::",
    "faults::frames::",
    "faults::interface_identity::",
    "faults::queues::",
    "faults::hook_conflicts::contest",
    "prog_test::",
];

/// Values of `netviz demo --mode`.
const MODES: [&str; 5] = [
    "vxlan",
    "vxlan-host-routing",
    "native",
    "native-host-routing",
    "native-endpoint-routes",
];

/// Time limit of a scenario. In emulation on a busy machine, it takes about ten times as long.
pub(super) const LIMIT: Duration = Duration::from_secs(480);

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// The program of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A function of a test program.
    Test { program: PathBuf, function: String },
    /// `netviz demo`, and in it `netviz doors`.
    Demo { mode: &'static str },
}

impl Scenario {
    /// The test program, if it needs one.
    pub(super) fn program(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Test { program, .. } => Some(program),
            Kind::Demo { .. } => None,
        }
    }

    /// Returns whether every test run includes it.
    pub(super) fn is_quick(&self) -> bool {
        OFTEN.iter().any(|begin| self.name.starts_with(begin))
    }

    /// Returns whether another mode represents it.
    fn is_represented(&self) -> bool {
        let mode = self.name.rsplit("::").next().unwrap_or_default();
        let mode = mode.replace('_', "-");
        IN_ONE_MODE.contains(&self.file()) && mode != MODE && MODES.contains(&mode.as_str())
    }

    fn is_timed(&self) -> bool {
        TIMED.contains(&self.file())
    }

    /// Returns the name of its test file.
    fn file(&self) -> &str {
        self.name.split("::").next().unwrap_or_default()
    }

    /// The command line for the guest's shell. No word contains a space or a quote.
    pub(super) fn command(&self) -> String {
        match &self.kind {
            Kind::Test { .. } if self.is_timed() => format!("echo skipped here: {TIMED_REASON}"),
            Kind::Test { program, function } => {
                // With one thread, the harness prints the test's name before its output.
                let options = "--exact --nocapture --test-threads=2";
                format!("{} {function} {options}", in_guest(program).display())
            }
            Kind::Demo { mode } => {
                format!("{NETVIZ} demo --mode {mode} -- {NETVIZ} doors --for 5s -o csv")
            }
        }
    }
}

/// The netviz of the demo in a guest.
pub(super) const NETVIZ: &str = "/bin/netviz";
/// The directory of the test programs, and of the netviz that they start, in a guest. It does not depend
/// on where the clone lies: a guest mounts file systems of its own at /tmp and /run.
const PROGRAMS: &str = "/programs";

/// Returns where a program of this machine is in a guest.
pub(super) fn in_guest(program: &Path) -> PathBuf {
    Path::new(PROGRAMS).join(program.file_name().unwrap_or_default())
}

/// Returns the programs that run in guests.
pub(super) fn tests(programs: &Programs) -> impl Iterator<Item = &Program> {
    programs
        .tests
        .iter()
        .filter(|it| !ELSEWHERE.contains(&it.name.as_str()))
}

/// Returns all scenarios whose name contains one of `filters`.
pub(super) fn all(programs: &Programs, filters: &[String]) -> Result<Vec<Scenario>> {
    let mut all: Vec<_> = MODES
        .iter()
        .map(|mode| Scenario {
            name: format!("demo::{mode}"),
            kind: Kind::Demo { mode },
        })
        .collect();
    for program in tests(programs) {
        for function in program.functions()? {
            let name = format!("{}::{function}", program.name);
            let program = program.path.clone();
            all.push(Scenario {
                name,
                kind: Kind::Test { program, function },
            });
        }
    }
    all.retain(|it| programs::is_asked_for(&it.name, filters) && !it.is_represented());
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::root;

    #[test]
    fn timed_tests_are_skipped_with_the_reason() {
        let scenario = |name: &str| Scenario {
            name: name.into(),
            kind: Kind::Test {
                program: "/tmp/a b/netviz/target/attach-1f".into(),
                function: "f".into(),
            },
        };
        assert!(
            scenario("churn::f")
                .command()
                .starts_with("echo skipped here: an emulated")
        );
        let command = scenario("attach::f").command();
        assert!(command.starts_with("/programs/attach-1f f --exact"));
    }

    #[test]
    fn one_mode_represents_all() {
        let scenario = |name: &str| Scenario {
            name: name.into(),
            kind: Kind::Demo { mode: "vxlan" },
        };
        assert!(scenario("verify_lab::routing_loop::native").is_represented());
        assert!(!scenario("verify_lab::routing_loop::vxlan_host_routing").is_represented());
        assert!(!scenario("verify_lab::repeated_runs::many_pods_to_all_others").is_represented());
        assert!(!scenario("exact_lab::native").is_represented());
    }

    #[test]
    fn listed_test_files_exist() {
        let often = OFTEN.map(|begin| begin.split("::").next().unwrap_or_default());
        let often = often.iter().filter(|file| **file != "demo");
        for file in ELSEWHERE
            .iter()
            .chain(&TIMED)
            .chain(&IN_ONE_MODE)
            .chain(often)
        {
            // A file, a directory, or the tests on a running Cilium.
            let places = [
                format!("tests/{file}.rs"),
                format!("tests/{file}/main.rs"),
                format!("{file}/main.rs"),
            ];
            let there = |place: &String| root().join("tests").join(place).is_file();
            assert!(places.iter().any(there), "no test file {file}");
        }
    }
}
