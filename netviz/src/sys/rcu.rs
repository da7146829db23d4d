//! Waiting for BPF programs that run.

use std::{thread, time::Duration};

/// `MEMBARRIER_CMD_GLOBAL`: one RCU grace period.
const GLOBAL: libc::c_int = 1;
/// Longer than a program runs.
const PROGRAM: Duration = Duration::from_millis(30);

/// Waits until each BPF program that runs now has ended: at most some 30 milliseconds, without using the
/// processor.
pub(crate) fn wait_for_programs() {
    // SAFETY: a system call without pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result != 0 {
        // The kernel does not offer it with `nohz_full`.
        thread::sleep(PROGRAM);
    }
}
