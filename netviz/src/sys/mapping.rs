//! Arrays of BPF programs, mapped into memory (Linux 5.5): reading one costs no system call.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
    ptr::{self, NonNull},
};

use aya::Pod;

/// A mapped array, shared with the programs that use it.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: memory that no thread owns. It is only read and written by volatile accesses.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the `length` bytes of an array that was created with `BPF_F_MMAPABLE`.
    ///
    /// # Errors
    /// The kernel's errno.
    pub(crate) fn new(map: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                protection,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    /// Reads a value; a program that writes it at the same time may have written a part of it.
    ///
    /// # Panics
    /// If it is not within the array, or not aligned.
    pub(crate) fn read<T: Pod>(&self, offset: usize) -> T {
        // SAFETY: within the mapping and aligned, by the assertions; each pattern is a valid `Pod`.
        unsafe { ptr::read_volatile(self.at(offset)) }
    }

    /// Writes a value.
    ///
    /// # Panics
    /// As [`Mapping::read`].
    pub(crate) fn write<T: Pod>(&self, offset: usize, value: T) {
        // SAFETY: as above.
        unsafe { ptr::write_volatile(self.at(offset), value) }
    }

    fn at<T>(&self, offset: usize) -> *mut T {
        assert!(offset + size_of::<T>() <= self.length && offset.is_multiple_of(align_of::<T>()));
        // SAFETY: within the mapping, by the assertion.
        unsafe { self.start.as_ptr().add(offset).cast() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping, of which no reference exists.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
