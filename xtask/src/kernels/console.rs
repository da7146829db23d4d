//! Reads the console of a guest.

use std::{collections::BTreeMap, time::Duration};

use super::scenario::{Kind, Scenario};

/// Result of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Passed, in this time.
    Passed(Duration),
    /// Not supported by this kernel; why.
    Skipped(String),
    /// Failed, with this output.
    Failed(Vec<String>),
}

/// Result of a guest.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    /// By scenario.
    pub(super) verdicts: BTreeMap<String, Verdict>,
    /// From the start of the kernel to its first scenario.
    pub(super) boot: Duration,
    /// Complaints of the kernel.
    pub(super) log: Vec<String>,
    /// Why the guest did not complete.
    pub(super) trouble: Option<String>,
}

impl Report {
    /// Returns the report of a guest that could not be started.
    pub(super) fn broken(error: anyhow::Error) -> Self {
        Self {
            trouble: Some(format!("{error:#}")),
            ..Self::default()
        }
    }

    /// Returns whether its kernel died before the first scenario.
    pub(super) fn is_stillborn(&self) -> bool {
        self.boot.is_zero() && !self.log.is_empty()
    }

    /// Returns whether the guest completed without complaints of its kernel.
    pub(super) fn is_whole(&self) -> bool {
        self.trouble.is_none() && self.log.is_empty()
    }
}

/// Reader of a console.
#[derive(Debug)]
pub(super) struct Console<'a> {
    scenarios: &'a [Scenario],
    report: Report,
    output: Vec<String>,
    complete: bool,
}

impl<'a> Console<'a> {
    pub(super) fn new(scenarios: &'a [Scenario]) -> Self {
        Self {
            scenarios,
            report: Report::default(),
            output: Vec::new(),
            complete: false,
        }
    }

    /// Reads one line.
    pub(super) fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(output) = line.strip_prefix("| ") {
            self.output.push(output.into());
        } else if line == "EXIT_CODE 0" {
            self.complete = true;
        } else if let Some(complaint) = line.strip_prefix("@@log ") {
            self.report.log.push(complaint.into());
        } else if line.contains("Kernel panic") {
            self.report.log.push(line.into());
        } else if let Some(time) = line.strip_prefix("@@ready ") {
            self.report.boot = hundredths(time);
        } else if let Some(end) = line.strip_prefix("@@end ") {
            self.end(end);
        }
    }

    fn end(&mut self, end: &str) {
        let words: Vec<_> = end.split(' ').collect();
        let [name, code, time] = words[..] else {
            return;
        };
        let Some(scenario) = self.scenarios.iter().find(|it| it.name == name) else {
            return;
        };
        let output = std::mem::take(&mut self.output);
        let verdict = judge(&scenario.kind, code == "0", hundredths(time), output);
        self.report.verdicts.insert(name.into(), verdict);
    }

    /// Returns the report, after QEMU exited with `code`.
    pub(super) fn finish(mut self, code: Option<i32>) -> Report {
        let all = self.scenarios.iter().map(|it| it.name.as_str());
        let missing: Vec<_> = all
            .filter(|name| !self.report.verdicts.contains_key(*name))
            .collect();
        // QEMU also exits with 0 if the guest panics; only a guest that completes prints EXIT_CODE.
        if !self.complete || code != Some(0) || !missing.is_empty() {
            let code = code.map_or("by a signal".into(), |code| format!("with {code}"));
            let first = missing
                .first()
                .map_or(String::new(), |name| format!(", first {name}"));
            self.report.trouble = Some(format!(
                "QEMU exited {code}; {} scenarios without a result{first}",
                missing.len()
            ));
        }
        self.report
    }
}

fn hundredths(text: &str) -> Duration {
    Duration::from_millis(10 * text.parse().unwrap_or(0))
}

fn judge(kind: &Kind, success: bool, time: Duration, output: Vec<String>) -> Verdict {
    if !success {
        return Verdict::Failed(output);
    }
    match kind {
        Kind::Test { .. } => {
            if let Some((_, reason)) = output
                .iter()
                .find_map(|line| line.split_once("skipped here: "))
            {
                return Verdict::Skipped(reason.into());
            }
            // The harness does not fail on a name without a test.
            let ran = output
                .iter()
                .any(|line| line.starts_with("test result: ok. 1 passed"));
            if ran {
                Verdict::Passed(time)
            } else {
                Verdict::Failed(output)
            }
        }
        Kind::Demo { .. } => match doors(&output) {
            Ok(()) => Verdict::Passed(time),
            Err(wrong) => Verdict::Failed([vec![wrong], output].concat()),
        },
    }
}

/// Checks the doors of a demo, as CSV.
fn doors(output: &[String]) -> Result<(), String> {
    let mut lines = output
        .iter()
        .skip_while(|line| !line.starts_with("taken_at,"));
    let header: Vec<_> = lines
        .next()
        .ok_or("no table of doors")?
        .split(',')
        .collect();
    let column = |name| {
        header
            .iter()
            .position(|it| *it == name)
            .ok_or(format!("no column {name}"))
    };
    let (state, interface) = (column("state")?, column("interface")?);
    let (mut doors, mut lxc) = (0, 0);
    // No column before the state contains a comma.
    for fields in lines.map(|line| line.split(',').collect::<Vec<_>>()) {
        let (Some(state), Some(interface)) = (fields.get(state), fields.get(interface)) else {
            continue;
        };
        if !["counting", "bypassed"].contains(state) {
            return Err(format!("{interface} is {state}"));
        }
        doors += 1;
        lxc += usize::from(interface.starts_with("lxc"));
    }
    // Two nodes, each with the lxc ends of its pods and its health endpoint.
    if doors < 20 || lxc < 6 {
        return Err(format!("{doors} doors, {lxc} of them lxc"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(name: &str) -> Scenario {
        Scenario {
            name: name.into(),
            kind: Kind::Test {
                program: "/t".into(),
                function: "f".into(),
            },
        }
    }

    fn good(report: &Report) -> bool {
        let mut verdicts = report.verdicts.values();
        report.is_whole() && !verdicts.any(|it| matches!(it, Verdict::Failed(_)))
    }

    fn read(text: &str, code: Option<i32>) -> Report {
        let scenarios = [scenario("a::f"), scenario("b::g")];
        let mut console = Console::new(&scenarios);
        text.lines().for_each(|line| console.line(line));
        console.finish(code)
    }

    const PASSED: &str = "SeaBIOS\n@@ready 312\n| test result: ok. 1 passed; 0 failed\n@@end a::f 0 150\r\n\
        | skipped here: no tcx\n| test result: ok. 1 passed; 0 failed\n@@end b::g 0 20\nEXIT_CODE 0\n";

    #[test]
    fn complete_guest_passes() {
        let report = read(PASSED, Some(0));
        assert_eq!(
            report.verdicts["a::f"],
            Verdict::Passed(Duration::from_millis(1500))
        );
        assert_eq!(report.verdicts["b::g"], Verdict::Skipped("no tcx".into()));
        assert_eq!(report.boot, Duration::from_millis(3120));
        assert!(good(&report), "{report:?}");
    }

    #[test]
    fn incomplete_guest_fails() {
        let begun = PASSED.split("| skipped").next().unwrap();
        for (text, code) in [(begun, Some(0)), (PASSED, Some(1)), (PASSED, None)] {
            assert!(!good(&read(text, code)));
        }
        let trouble = read(begun, Some(0)).trouble.unwrap();
        assert_eq!(
            trouble,
            "QEMU exited with 0; 1 scenarios without a result, first b::g"
        );
    }

    #[test]
    fn failures_and_missing_tests() {
        let failed = read(&PASSED.replace("a::f 0", "a::f 101"), Some(0));
        assert!(matches!(failed.verdicts["a::f"], Verdict::Failed(_)));
        let none = read(&PASSED.replace("ok. 1 passed", "ok. 0 passed"), Some(0));
        assert!(matches!(none.verdicts["a::f"], Verdict::Failed(_)));
        assert!(!good(&failed) && !good(&none));
    }

    #[test]
    fn kernel_complaint_fails() {
        for complaint in ["@@log WARNING: CPU: 0", "[ 1.2] Kernel panic - not syncing"] {
            assert!(!good(&read(&format!("{PASSED}{complaint}\n"), Some(0))));
        }
    }

    #[test]
    fn death_before_the_first_scenario_is_recognized() {
        let died = "[ 5.7] Oops: int3: 0000\n[ 5.8] Kernel panic - not syncing\n";
        assert!(read(died, Some(0)).is_stillborn());
        assert!(!read(&format!("@@ready 312\n{died}"), Some(0)).is_stillborn());
        assert!(!read("", Some(1)).is_stillborn());
        assert!(!read(PASSED, Some(0)).is_stillborn());
    }

    #[test]
    fn doors_of_a_demo() {
        let table = |state: &str, count: usize| {
            let door = format!("t,node,pod,,lxc1,1,eth0,2,3,{state},\"a, b\"");
            let mut lines = vec![
                "taken_at,node,pod,namespace,interface,ifindex,p,q,netns,state,reason".to_owned(),
            ];
            lines.extend(vec![door; count]);
            lines
        };
        assert_eq!(doors(&table("counting", 26)), Ok(()));
        assert_eq!(doors(&table("bypassed", 26)), Ok(()));
        assert_eq!(doors(&table("blind", 26)), Err("lxc1 is blind".into()));
        assert!(doors(&table("counting", 5)).is_err());
        assert!(doors(&[]).is_err());
    }
}
