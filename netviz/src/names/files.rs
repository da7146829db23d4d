//! Small files of a node, each read again only when it changes.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use crate::{
    model::{self, Status},
    sys::rooted_fs::{Root, Stamp},
};

/// Enough for an entry with many addresses, annotations or mounts.
const FILE_LIMIT: u64 = 1024 * 1024;
/// Enough for the interfaces or containers of the largest node.
const ENTRIES: usize = 10_000;

/// A directory of a node, listed.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) root: Root,
    /// Sorted.
    pub(super) paths: Vec<PathBuf>,
    directory: &'static str,
    whole: bool,
}

impl Listed {
    /// A remark if there are more entries than netviz reads.
    pub(super) fn cut(&self) -> Option<String> {
        let Self { directory, .. } = self;
        (!self.whole)
            .then(|| format!("/{directory} has more than {ENTRIES} entries, the rest is not read"))
    }
}

/// Lists a directory of a node.
///
/// # Errors
///
/// The status of a source that cannot be read.
pub(super) fn list(roots: &[PathBuf], directory: &'static str) -> Result<Listed, Status> {
    let root = Root::open(roots)?;
    match root.list(Path::new(directory), ENTRIES) {
        Ok((paths, whole)) => Ok(Listed {
            root,
            paths,
            directory,
            whole,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Status::Absent),
        Err(error) => Err(Status::failed(format!("cannot read /{directory}: {error}"))),
    }
}

/// Parsed files, by their paths from a node's root.
#[derive(Debug)]
pub(super) struct Files<T>(HashMap<PathBuf, (Stamp, Result<Option<T>, String>)>);

/// Reads what is of use in a file, if anything is.
type Parse<T> = fn(&[u8]) -> Result<Option<T>, serde_json::Error>;

impl<T> Default for Files<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Files<T> {
    /// Reads the new and changed files of `paths`, which are sorted, and drops all others.
    pub(super) fn refresh(&mut self, root: &Root, paths: &[PathBuf], parse: Parse<T>) {
        self.0.retain(|path, _| paths.binary_search(path).is_ok());
        for path in paths {
            self.refresh_one(root, path, parse);
        }
    }

    fn refresh_one(&mut self, root: &Root, path: &Path, parse: Parse<T>) {
        let Ok(stamp) = root.stamp(path) else {
            self.0.remove(path);
            return;
        };
        // A file that could not be parsed may have been written within one tick of the clock.
        let same = self.0.get(path);
        if same.is_some_and(|(old, entry)| *old == stamp && entry.is_ok()) {
            return;
        }
        let entry = root
            .read(path, FILE_LIMIT)
            .map_err(|error| error.to_string())
            .and_then(|data| parse(&data).map_err(|error| error.to_string()));
        if let Err(why) = &entry {
            log::debug!("{path:?}: {why}");
        }
        self.0.insert(path.to_owned(), (stamp, entry));
    }

    /// The files that could be parsed.
    pub(super) fn found(&self) -> impl Iterator<Item = &T> {
        let entries = self.0.values();
        entries.filter_map(|(_, entry)| entry.as_ref().ok()?.as_ref())
    }

    /// `2 unreadable of 14`, and whether there are more than were read.
    pub(super) fn complaint(&self, listed: &Listed) -> Option<String> {
        let bad = self.0.values().filter(|(_, entry)| entry.is_err());
        let unreadable = match bad.count() {
            0 => None,
            bad => Some(format!("{bad} unreadable of {}", self.0.len())),
        };
        let words = model::list([unreadable, listed.cut()].into_iter().flatten(), ", ");
        Some(words).filter(|words| !words.is_empty())
    }
}
