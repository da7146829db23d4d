//! Pinned maps of others, opened read-only.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

use aya::maps::{HashMap, LpmTrie, Map, MapData, MapError, MapType, PerCpuHashMap, lpm_trie::Key};

use crate::sys::bpf;

/// A map that cannot be written through this handle.
#[derive(Debug)]
pub(super) struct Pinned {
    map: MapData,
    kind: MapType,
    /// Bytes of a key and of a value.
    pub(super) sizes: (usize, usize),
}

/// Keys and values as they stand in a map.
pub(super) type Entries<const K: usize, const V: usize> = Vec<([u8; K], [u8; V])>;

/// Keys, with the sum of what each CPU has for them.
pub(super) type Sums<const K: usize> = Vec<([u8; K], u64)>;

impl Pinned {
    /// The map that is pinned at `file`, which may have been opened by path alone.
    pub(super) fn open(file: &OwnedFd) -> io::Result<Self> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let map = MapData::from_fd(bpf::pinned_read_only(&path)?).map_err(said)?;
        let info = map.info().map_err(said)?;
        Ok(Self {
            map,
            kind: info.map_type().map_err(said)?,
            sizes: (info.key_size() as usize, info.value_size() as usize),
        })
    }

    pub(super) fn is_hash(&self, sizes: (usize, usize)) -> bool {
        self.kind == MapType::Hash && self.sizes == sizes
    }

    pub(super) fn is_per_cpu_hash(&self, sizes: (usize, usize)) -> bool {
        self.kind == MapType::PerCpuHash && self.sizes == sizes
    }

    pub(super) fn is_trie(&self, sizes: (usize, usize)) -> bool {
        self.kind == MapType::LpmTrie && self.sizes == sizes
    }

    /// What a hash holds, and whether that is all of it: `most` entries, read within `limit`.
    pub(super) fn entries<const K: usize, const V: usize>(
        self,
        most: usize,
        limit: Duration,
    ) -> io::Result<(Entries<K, V>, bool)> {
        let map = HashMap::<_, [u8; K], [u8; V]>::try_from(Map::HashMap(self.map));
        let map = map.map_err(said)?;
        let until = Instant::now() + limit;
        let mut entries = Vec::new();
        // Where entries are removed meanwhile, a hash may begin again and never end.
        for entry in map.iter() {
            if entries.len() == most || Instant::now() > until {
                return Ok((entries, false));
            }
            entries.push(entry.map_err(said)?);
        }
        Ok((entries, true))
    }

    /// What a hash holds that has a value for each CPU: the sum of `number` over them, and whether that
    /// is all of it: `most` entries, read within `limit`.
    pub(super) fn sums<const K: usize, const V: usize>(
        self,
        most: usize,
        limit: Duration,
        number: impl Fn(&[u8; V]) -> u64,
    ) -> io::Result<(Sums<K>, bool)> {
        let map = PerCpuHashMap::<_, [u8; K], [u8; V]>::try_from(Map::PerCpuHashMap(self.map));
        let map = map.map_err(said)?;
        let until = Instant::now() + limit;
        let mut sums = Vec::new();
        for entry in map.iter() {
            if sums.len() == most || Instant::now() > until {
                return Ok((sums, false));
            }
            let (key, values) = entry.map_err(said)?;
            sums.push((key, sum(values.iter(), &number)));
        }
        Ok((sums, true))
    }

    /// What a trie has for each key: its longest match, as a program gets it.
    pub(super) fn matches<const K: usize, const V: usize>(
        self,
        keys: impl Iterator<Item = (u32, [u8; K])>,
    ) -> io::Result<Vec<Option<[u8; V]>>> {
        let map = LpmTrie::<_, [u8; K], [u8; V]>::try_from(Map::LpmTrie(self.map));
        let map = map.map_err(said)?;
        let find = |(bits, key)| match map.get(&Key::new(bits, key), 0) {
            Ok(value) => Ok(Some(value)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(said(error)),
        };
        keys.map(find).collect()
    }
}

/// What all CPUs counted; whoever wrote the map may have written anything.
pub(super) fn sum<'a, const V: usize>(
    values: impl IntoIterator<Item = &'a [u8; V]>,
    number: impl Fn(&[u8; V]) -> u64,
) -> u64 {
    let numbers = values.into_iter().map(number);
    numbers.fold(0, u64::saturating_add)
}

/// The kernel's own word, where it said one.
fn said(error: MapError) -> io::Error {
    match error {
        MapError::SyscallError(error) => error.io_error,
        other => io::Error::other(other),
    }
}
