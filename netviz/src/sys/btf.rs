//! The running kernel's own description of its structures (`/sys/kernel/btf/vmlinux`, Linux 5.4 with
//! `CONFIG_DEBUG_INFO_BTF`): offsets of fields, names of enum values.
//!
//! aya reads BTF to relocate programs, but does not expose fields; the licences of other parsers do not
//! allow linking them here. This parser reads only what is requested and skips other types by their sizes
//! (`Documentation/bpf/btf.rst`).

use std::{collections::BTreeMap, fs, io, path::Path};

/// The file with the kernel's description.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u32 = 0xeb9f;
/// Limit on nested structures.
const DEEPEST: u32 = 16;

const INT: u32 = 1;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
/// Names and qualities of another type: `typedef`, `volatile`, `const`, `restrict`, a tag.
const OTHER_NAMES: [u32; 5] = [8, 9, 10, 11, 18];
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const DECL_TAG: u32 = 17;
const ENUM64: u32 = 19;
const LAST: u32 = ENUM64;

/// A kernel's description.
#[derive(Debug)]
pub struct Btf {
    data: Vec<u8>,
    strings: usize,
    /// The offset of each type, by its number from 1.
    types: Vec<usize>,
}

/// The header of a type.
#[derive(Clone, Copy)]
struct Type {
    at: usize,
    name: u32,
    kind: u32,
    count: usize,
    /// Bit fields have their sizes in the offsets.
    has_bits: bool,
}

impl Btf {
    /// Reads the running kernel's.
    ///
    /// # Errors
    /// When there is none, or it is malformed.
    pub fn of_kernel() -> io::Result<Self> {
        Self::open(Path::new(VMLINUX))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is malformed.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::parse(fs::read(path)?).ok_or_else(|| {
            let what = format!("{} is not valid BTF", path.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        })
    }

    /// Parses a description.
    #[must_use]
    pub fn parse(data: Vec<u8>) -> Option<Self> {
        let magic = u16::from_ne_bytes([*data.first()?, *data.get(1)?]);
        let header = word(&data, 4)? as usize;
        let types = header.checked_add(word(&data, 8)? as usize)?;
        let end = types.checked_add(word(&data, 12)? as usize)?;
        let strings = header.checked_add(word(&data, 16)? as usize)?;
        if u32::from(magic) != MAGIC || end > data.len() || strings > data.len() {
            return None;
        }
        let mut btf = Self {
            data,
            strings,
            types: Vec::new(),
        };
        let mut at = types;
        while at < end {
            btf.types.push(at);
            at = btf.read(at)?.end()?;
        }
        Some(btf)
    }

    fn read(&self, at: usize) -> Option<Type> {
        let info = word(&self.data, at.checked_add(4)?)?;
        Some(Type {
            at,
            name: word(&self.data, at)?,
            kind: info >> 24 & 0x1f,
            count: (info & 0xffff) as usize,
            has_bits: info >> 31 != 0,
        })
    }

    fn name(&self, offset: u32) -> Option<&str> {
        let rest = self.data.get(self.strings..)?.get(offset as usize..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    }

    fn find(&self, kinds: &[u32], name: &str) -> Option<Type> {
        let mut all = self.types.iter().filter_map(|at| self.read(*at));
        all.find(|one| kinds.contains(&one.kind) && self.name(one.name) == Some(name))
    }

    /// Offset of a field in a structure, in bytes: `field` may be one of a structure without a
    /// name, or a path (`ns.inum`).
    #[must_use]
    pub fn offset(&self, structure: &str, field: &str) -> Option<u32> {
        let mut found = self.find(&[STRUCT], structure)?;
        let mut offset = 0_u32;
        let mut names = field.split('.').peekable();
        while let Some(name) = names.next() {
            let (bits, kind) = self.member(found, name, 0)?;
            offset = offset.checked_add(bits / 8)?;
            if names.peek().is_none() {
                break;
            }
            found = self.resolved(kind)?;
        }
        Some(offset)
    }

    /// A type by its number, without its aliases.
    fn resolved(&self, mut number: u32) -> Option<Type> {
        for _ in 0..DEEPEST {
            let found = self.read(*self.types.get((number as usize).checked_sub(1)?)?)?;
            if !OTHER_NAMES.contains(&found.kind) {
                return Some(found);
            }
            number = word(&self.data, found.at + 8)?;
        }
        None
    }

    /// Offset in bits, and type.
    fn member(&self, of: Type, name: &str, depth: u32) -> Option<(u32, u32)> {
        if depth > DEEPEST || of.kind != STRUCT && of.kind != UNION {
            return None;
        }
        for member in 0..of.count {
            let at = of.at + 12 + member * 12;
            let (called, kind) = (word(&self.data, at)?, word(&self.data, at + 4)?);
            let place = word(&self.data, at + 8)?;
            let bits = if of.has_bits {
                place & 0xff_ffff
            } else {
                place
            };
            let called = self.name(called)?;
            if called == name {
                return Some((bits, kind));
            }
            if called.is_empty() {
                let inner = self.resolved(kind)?;
                if let Some((further, kind)) = self.member(inner, name, depth + 1) {
                    return Some((bits.checked_add(further)?, kind));
                }
            }
        }
        None
    }

    /// The values of an enum of 32 bits, by number.
    #[must_use]
    pub fn names(&self, name: &str) -> BTreeMap<u32, String> {
        let Some(found) = self.find(&[ENUM], name) else {
            return BTreeMap::new();
        };
        let value = |place: usize| {
            let at = found.at + 12 + place * 8;
            let called = self.name(word(&self.data, at)?)?;
            Some((word(&self.data, at + 4)?, called.to_owned()))
        };
        (0..found.count).filter_map(value).collect()
    }
}

impl Type {
    /// The offset of the next type; `None` for an unknown kind.
    fn end(self) -> Option<usize> {
        let more = match self.kind {
            INT | VAR | DECL_TAG => 4,
            ARRAY => 12,
            STRUCT | UNION | DATASEC | ENUM64 => self.count.checked_mul(12)?,
            ENUM | FUNC_PROTO => self.count.checked_mul(8)?,
            kind if kind > LAST => return None,
            _ => 0,
        };
        self.at.checked_add(12)?.checked_add(more)
    }
}

/// The word at an offset.
pub(super) fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}
