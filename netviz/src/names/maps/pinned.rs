//! Pinned maps of others, opened read-only.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

use aya::maps::{HashMap, LpmTrie, Map, MapData, MapError, MapType, PerCpuHashMap, lpm_trie::Key};

use crate::sys::bpf::{self, io_error};

/// A read-only handle of a map.
#[derive(Debug)]
pub(super) struct Pinned {
    map: MapData,
    kind: MapType,
    /// Bytes of a key and of a value.
    pub(super) sizes: (usize, usize),
}

/// Keys and values of a map.
pub(super) type Entries<const K: usize, const V: usize> = Vec<([u8; K], [u8; V])>;

/// Keys, with the sum over all CPUs.
pub(super) type Sums<const K: usize> = Vec<([u8; K], u64)>;

impl Pinned {
    /// The map that is pinned at `file`, which may be an `O_PATH` descriptor.
    pub(super) fn open(file: &OwnedFd) -> io::Result<Self> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let map = MapData::from_fd(bpf::pinned_read_only(&path)?).map_err(io_error)?;
        let info = map.info().map_err(io_error)?;
        Ok(Self {
            map,
            kind: info.map_type().map_err(io_error)?,
            sizes: (info.key_size() as usize, info.value_size() as usize),
        })
    }

    /// Whether it is a map of this type and these sizes.
    pub(super) fn is(&self, kind: MapType, sizes: (usize, usize)) -> bool {
        (self.kind, self.sizes) == (kind, sizes)
    }

    /// Up to `most` entries of a hash, read within `limit`, and whether these are all.
    pub(super) fn entries<const K: usize, const V: usize>(
        self,
        most: usize,
        limit: Duration,
    ) -> io::Result<(Entries<K, V>, bool)> {
        let map = HashMap::try_from(Map::HashMap(self.map)).map_err(io_error)?;
        limited(map.iter(), most, limit)
    }

    /// The sums of `number` over all CPUs for up to `most` entries of a per-CPU hash, read within `limit`,
    /// and whether these are all.
    pub(super) fn sums<const K: usize, const V: usize>(
        self,
        most: usize,
        limit: Duration,
        number: impl Fn(&[u8; V]) -> u64,
    ) -> io::Result<(Sums<K>, bool)> {
        let map = PerCpuHashMap::try_from(Map::PerCpuHashMap(self.map)).map_err(io_error)?;
        let sums = map.iter().map(|entry| {
            let (key, values) = entry?;
            Ok((key, sum(values.iter(), &number)))
        });
        limited(sums, most, limit)
    }

    /// The longest match in a trie for each key.
    pub(super) fn matches<const K: usize, const V: usize>(
        self,
        keys: impl Iterator<Item = (u32, [u8; K])>,
    ) -> io::Result<Vec<Option<[u8; V]>>> {
        let map = LpmTrie::<_, [u8; K], [u8; V]>::try_from(Map::LpmTrie(self.map));
        let map = map.map_err(io_error)?;
        let find = |(bits, key)| match map.get(&Key::new(bits, key), 0) {
            Ok(value) => Ok(Some(value)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(io_error(error)),
        };
        keys.map(find).collect()
    }
}

fn limited<T>(
    entries: impl Iterator<Item = Result<T, MapError>>,
    most: usize,
    limit: Duration,
) -> io::Result<(Vec<T>, bool)> {
    let until = Instant::now() + limit;
    let mut all = Vec::new();
    // While entries are removed, an iteration may start again and never end.
    for entry in entries {
        if all.len() == most || Instant::now() > until {
            return Ok((all, false));
        }
        all.push(entry.map_err(io_error)?);
    }
    Ok((all, true))
}

/// The sum over all CPUs; it saturates, as the map may hold anything.
pub fn sum<'a, const V: usize>(
    values: impl IntoIterator<Item = &'a [u8; V]>,
    number: impl Fn(&[u8; V]) -> u64,
) -> u64 {
    let numbers = values.into_iter().map(number);
    numbers.fold(0, u64::saturating_add)
}
