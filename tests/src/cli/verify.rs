//! Runs `netviz verify` on a lab and parses its output.

use std::process::Output;

use netviz::lab::Lab;
use serde_json::Value;

use crate::cli::netviz::command_for;

/// Result of a run.
#[derive(Debug)]
pub struct VerifyOutput {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard error.
    pub stderr: String,
    /// The verdict; null if none was printed.
    pub json: Value,
}

/// Runs `netviz verify A B` with few, quick probes; `args` are A, B and further arguments.
///
/// # Panics
/// If the program cannot be started.
#[must_use]
pub fn verify(lab: &Lab, args: &[&str]) -> VerifyOutput {
    // `--fast-attach`, because the tests attach to the same doors some forty times.
    let quick = [
        "--fast-attach",
        "--count",
        "4",
        "--interval",
        "5ms",
        "--timeout",
        "300ms",
    ];
    run(lab, &[&quick[..], args].concat())
}

/// Runs `netviz verify` with only these arguments and `-o json`.
///
/// # Panics
/// If the program cannot be started.
#[must_use]
pub fn run(lab: &Lab, args: &[&str]) -> VerifyOutput {
    let all = [&["verify", "-o", "json"], args].concat();
    let output = command_for(lab, &all).output().expect("netviz starts");
    parse(&output)
}

/// Parses the output of a run with `-o json`.
#[must_use]
pub fn parse(output: &Output) -> VerifyOutput {
    VerifyOutput {
        code: output.status.code(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        json: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
    }
}

impl VerifyOutput {
    /// Returns the verdict as one word.
    #[must_use]
    pub fn verdict(&self) -> &str {
        self.json["verdict"].as_str().unwrap_or("nothing")
    }

    /// Returns the doors of one direction (`request`, `reply`) that at least one packet crossed: `▲
    /// eth0`.
    #[must_use]
    pub fn crossed(&self, way: &str) -> Vec<String> {
        self.rows(way)
            .filter(|row| row["seen"].as_u64() > Some(0))
            .map(hook)
            .collect()
    }

    /// Returns the bypassed doors: `▲ lxc… bpf_redirect_peer`.
    #[must_use]
    pub fn skipped(&self, way: &str) -> Vec<String> {
        self.rows(way)
            .filter_map(|row| Some(format!("{} {}", hook(row), row["skipped_by"].as_str()?)))
            .collect()
    }

    /// Returns the last door before the first loss.
    #[must_use]
    pub fn lost_after(&self) -> Option<String> {
        let loss = self.json["losses"].get(0)?;
        let row =
            &self.json[loss["way"].as_str()?][usize::try_from(loss["after"].as_u64()?).ok()?];
        Some(format!("{} of the {}", hook(row), loss["way"].as_str()?))
    }

    /// Returns all causes of the first loss.
    #[must_use]
    pub fn causes(&self) -> String {
        self.json["losses"][0]["causes"].to_string()
    }

    /// Returns the doors of the loop of the first loss: `mycluster-worker ▼ eth0`.
    #[must_use]
    pub fn circle(&self) -> Vec<String> {
        let loss = &self.json["losses"][0];
        let way = loss["way"].as_str().unwrap_or_default();
        let places = loss["circle"].as_array().into_iter().flatten();
        let rows = places.filter_map(|place| {
            let place = usize::try_from(place.as_u64()?).ok()?;
            let row = &self.json[way][place];
            Some(format!("{} {}", row["node"].as_str()?, hook(row)))
        });
        rows.collect()
    }

    /// Returns the first row of one direction for a hook outside pods, `▲ eth0`.
    #[must_use]
    pub fn row(&self, way: &str, wanted: &str) -> Option<&Value> {
        let mut rows = self.rows(way);
        rows.find(|row| row["side"] != "pod" && hook(row) == wanted)
    }

    /// Returns the number of repeated crossings, at all doors of one direction.
    #[must_use]
    pub fn repeated(&self, way: &str) -> u64 {
        let again = self.rows(way).map(|row| row["repeated"].as_u64());
        again.flatten().sum()
    }

    fn rows(&self, way: &str) -> impl Iterator<Item = &Value> {
        self.json[way].as_array().into_iter().flatten()
    }
}

fn hook(row: &Value) -> String {
    let sign = if row["direction"] == "ingress" {
        "▼"
    } else {
        "▲"
    };
    format!("{sign} {}", row["interface"].as_str().unwrap_or("?"))
}
