//! Headers of ELF files.

use anyhow::{Context as _, Result};
use object::{
    Endianness,
    elf::{FileHeader64, PT_INTERP, SHT_SYMTAB},
    read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _},
};

/// Properties that keep a binary from running everywhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// It requests a dynamic loader.
    pub(super) interpreter: bool,
    /// It has a symbol table.
    pub(super) symbols: bool,
}

/// Reads the headers of a 64-bit ELF file.
pub(super) fn read(data: &[u8]) -> Result<Facts> {
    let header = FileHeader64::<Endianness>::parse(data).context("not a 64-bit ELF file")?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let sections = header.section_headers(endian, data)?;
    Ok(Facts {
        interpreter: segments
            .iter()
            .any(|segment| segment.p_type(endian) == PT_INTERP),
        symbols: sections
            .iter()
            .any(|section| section.sh_type(endian) == SHT_SYMTAB),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file header without anything else.
    fn bare() -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[52] = 64;
        file
    }

    #[test]
    fn file_without_segments_has_no_interpreter() {
        assert_eq!(
            read(&bare()).unwrap(),
            Facts {
                interpreter: false,
                symbols: false
            }
        );
    }

    #[test]
    fn interpreter_segment_is_found() {
        let mut file = bare();
        file[32] = 64; // e_phoff
        file[54] = 56; // e_phentsize
        file[56] = 1; // e_phnum
        file.resize(64 + 56, 0);
        file[64] = 3; // PT_INTERP
        assert!(read(&file).unwrap().interpreter);
    }

    #[test]
    fn text_is_no_elf_file() {
        assert!(read(b"#!/bin/sh\n").is_err());
    }
}
