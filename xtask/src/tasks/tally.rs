//! Results that the test harness prints.

/// Tests counted over many test programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    /// Names of the tests that failed.
    pub(super) failures: Vec<String>,
}

impl Tally {
    /// Reads one line of a test program's output.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(name) = failed_test(line) {
            self.failures.push(name.to_owned());
        }
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        self.passed += count(result, "passed");
        self.failed += count(result, "failed");
        self.ignored += count(result, "ignored");
    }

    /// Returns the number of tests that ran.
    pub(super) fn executed(&self) -> u64 {
        self.passed + self.failed
    }

    /// Adds the tests of another run.
    pub(super) fn add(&mut self, other: Self) {
        let Self {
            passed,
            failed,
            ignored,
            failures,
        } = other;
        self.passed += passed;
        self.failed += failed;
        self.ignored += ignored;
        self.failures.extend(failures);
    }
}

/// Returns the number before a word: "ok. 3 passed; 0 failed; ...".
fn count(result: &str, word: &str) -> u64 {
    let mut words = result.split([' ', ';']).filter(|word| !word.is_empty());
    let mut before = None;
    words
        .find_map(|next| {
            let number = (next == word).then_some(before).flatten();
            before = next.parse().ok();
            number
        })
        .unwrap_or(0)
}

/// Returns the name in "test module::name ... FAILED".
pub(super) fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.read(line));
        tally
    }

    const OUTPUT: &str = "
running 3 tests
test links::veth ... ok
test counts::gso ... FAILED
test slow ... ignored

failures:
    counts::gso

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s

   Doc-tests netviz

running 2 tests
test netviz/src/lib.rs - door (line 4) ... ok
test netviz/src/lib.rs - door (line 9) ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.31s
";

    #[test]
    fn results_are_added_up() {
        let tally = read(OUTPUT);
        assert_eq!((tally.passed, tally.failed, tally.ignored), (3, 1, 1));
        assert_eq!(tally.failures, ["counts::gso"]);
        assert_eq!(tally.executed(), 4);
    }

    #[test]
    fn runs_are_added_up() {
        let mut tally = read(OUTPUT);
        tally.add(read(OUTPUT));
        assert_eq!((tally.passed, tally.failed, tally.ignored), (6, 2, 2));
        assert_eq!(tally.failures.len(), 2);
    }

    #[test]
    fn filtered_tests_are_not_executed() {
        let empty = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 12 filtered out; finished in 0.00s";
        assert_eq!(read(empty), Tally::default());
        assert_eq!(read("error: could not compile `netviz`").executed(), 0);
    }
}
