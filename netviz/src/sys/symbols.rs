//! Functions of the kernel by their addresses (`/proc/kallsyms`).

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Seek as _},
    sync::Mutex,
};

/// The kernel's symbols. The privileges at the time of opening decide what the file shows (`kptr_restrict`),
/// so it is opened before privileges are dropped. It is read only if needed.
#[derive(Debug)]
pub struct Symbols(Option<Mutex<File>>);

impl Symbols {
    /// Opens the file; without it, no function has a name.
    #[must_use]
    pub fn open() -> Self {
        Self(File::open("/proc/kallsyms").ok().map(Mutex::new))
    }

    /// The function that contains each address, if it is known.
    #[must_use]
    pub fn names(&self, addresses: &[u64]) -> BTreeMap<u64, String> {
        let mut best: BTreeMap<u64, (u64, String)> = BTreeMap::new();
        let file = self.0.as_ref().and_then(|file| file.lock().ok());
        let Some(mut file) = file.filter(|_| !addresses.is_empty()) else {
            return BTreeMap::new();
        };
        if file.rewind().is_err() {
            return BTreeMap::new();
        }
        let mut line = String::new();
        let mut reader = BufReader::new(&mut *file);
        while matches!(reader.read_line(&mut line), Ok(length) if length > 0) {
            if let Some((start, name)) = function(&line) {
                let behind = addresses.iter().filter(|address| start <= **address);
                for address in behind {
                    let nearest = best.get(address).map_or(0, |(start, _)| *start);
                    if start > nearest {
                        best.insert(*address, (start, name.to_owned()));
                    }
                }
            }
            line.clear();
        }
        let named = best.into_iter().map(|(address, (_, name))| (address, name));
        named.collect()
    }
}

/// `ffffffff81c5a6b0 T ip_rcv`: where a function begins, and its name.
fn function(line: &str) -> Option<(u64, &str)> {
    let mut words = line.split_ascii_whitespace();
    let start = u64::from_str_radix(words.next()?, 16).ok()?;
    let is_text = matches!(words.next()?, "t" | "T" | "w" | "W");
    // Hidden addresses are 0.
    Some((start, words.next()?)).filter(|_| is_text && start > 0)
}
