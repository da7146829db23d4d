//! `bench.json`: the ratios, compared with those of the last run.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::figure::Figure;

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    machine: String,
    kernel: String,
    /// Ratios within one interleaved run, by name.
    #[serde(flatten)]
    ratios: BTreeMap<String, Ratio>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ratio {
    median: f64,
    lowest: f64,
    highest: f64,
}

impl Record {
    /// Returns an empty record of this machine.
    pub(crate) fn new() -> Result<Self> {
        let kernel = nix::sys::utsname::uname()?;
        let text = fs::read_to_string("/proc/cpuinfo")?;
        let model = text
            .lines()
            .find_map(|line| line.strip_prefix("model name"));
        let model = model
            .unwrap_or_default()
            .trim_start_matches([' ', '\t', ':']);
        let processors = std::thread::available_parallelism()?;
        Ok(Self {
            machine: format!("{processors} CPUs, {model}"),
            kernel: kernel.release().to_string_lossy().into_owned(),
            ratios: BTreeMap::new(),
        })
    }

    /// Reads an earlier record; an empty one if there is none.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(serde_json::from_str(&text).with_context(|| format!("{path:?}"))?),
            Err(_) => Ok(Self::default()),
        }
    }

    /// Notes a figure that has a name; of two with one name, the higher one.
    pub(crate) fn note(&mut self, figure: &Figure) {
        let (Some(name), Some((lowest, highest))) = (figure.name, figure.spread) else {
            return;
        };
        let ratio = Ratio {
            median: figure.value,
            lowest,
            highest,
        };
        let noted = self.ratios.entry(name.into()).or_insert(ratio);
        if ratio.median > noted.median {
            *noted = ratio;
        }
    }

    /// Prints the ratios beside the earlier ones.
    pub(crate) fn compare(&self, earlier: &Self) {
        for (name, now) in &self.ratios {
            let before = earlier.ratios.get(name);
            let before = before.map_or("none".into(), |it| format!("{:.3}", it.median));
            println!("{name}: {:.3}, last: {before}", now.median);
        }
    }

    /// Writes the file, with the earlier ratios that were not measured.
    pub(crate) fn write(&self, path: &Path, earlier: Self) -> Result<()> {
        let ratios = self
            .ratios
            .iter()
            .map(|(name, ratio)| (name.clone(), *ratio));
        let record = Self {
            machine: self.machine.clone(),
            kernel: self.kernel.clone(),
            ratios: earlier.ratios.into_iter().chain(ratios).collect(),
        };
        let text = serde_json::to_string_pretty(&record)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {path:?}"))
    }
}
