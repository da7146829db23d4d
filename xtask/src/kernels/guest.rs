//! A kernel in QEMU, without KVM: with it, Debian's kernels hang on some machines.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    console::{Console, Report},
    package::Kernel,
    scenario::Scenario,
};
use crate::process::{line, seconds};

/// Limit of a guest in the ordinary tests.
const QUICK: Duration = Duration::from_secs(20 * 60);
/// Limit of a guest with all scenarios.
const WHOLE: Duration = Duration::from_secs(3 * 60 * 60);
/// A guest without output for this long hangs; every scenario has a shorter limit.
const SILENCE: Duration = Duration::from_secs(600);

/// Boots a kernel and reads its console.
pub(super) fn run(kernel: &Kernel, initrd: &Path, scenarios: &[Scenario]) -> Result<Report> {
    let mut command = qemu(kernel, initrd);
    let process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(&command)))?;
    let mut guest = Guest(process);
    let lines = lines(&mut guest.0)?;
    let mut log = File::create(kernel.directory.join("console.log"))?;
    let mut console = Console::new(scenarios);
    let start = Instant::now();
    let limit = if scenarios.iter().all(Scenario::is_quick) {
        QUICK
    } else {
        WHOLE
    };
    loop {
        let left = limit.saturating_sub(start.elapsed()).min(SILENCE);
        match lines.recv_timeout(left) {
            Ok(text) => {
                writeln!(log, "{text}")?;
                console.line(&text);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                guest.end();
                let mut report = console.finish(None);
                let trouble = report.trouble.unwrap_or_default();
                report.trouble = Some(format!(
                    "silent or incomplete after {}: {trouble}",
                    seconds(start.elapsed())
                ));
                return Ok(report);
            }
        }
    }
    Ok(console.finish(guest.0.wait()?.code()))
}

/// microvm boots in half the time, but has no HPET and no PM timer: the kernel then calibrates the TSC
/// by the PIT, which fails on a busy machine, and Linux 6.12 and later hang.
const MACHINE: &str = "q35";

/// RCU grace periods, for which every namespace and every attachment waits, take most of the time, so
/// they are expedited; times are measured by the ordinary tests. The kernel log is read once, at the end,
/// so its buffer is large. A processor that is stuck for two minutes never recovers: the guest panics and
/// prints its stack.
const CMDLINE: &str = "console=ttyS0 panic=-1 quiet rcupdate.rcu_expedited=1 log_buf_len=4M softlockup_panic=1 watchdog_thresh=60";

/// Both processors in one thread. With a thread each, a processor sometimes executed code that the other
/// was patching (`int3`), and the kernel died at boot; another kernel hung in an endless loop. With two
/// guests on two processors, 31 scenarios ran in the time of 38.
const ACCELERATOR: &str = "tcg,thread=single";

/// All features except those that are fast in hardware and slow in emulation: copies byte by byte (ERMS),
/// five levels of page tables (LA57), and a translated block per access to user memory (SMAP). Without
/// them, 300 processes take 1.1 s instead of 1.7 s.
const PROCESSOR: &str = "max,erms=off,la57=off,smap=off";

fn qemu(kernel: &Kernel, initrd: &Path) -> Command {
    // The guest dies with this program.
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"])
        .args(["-M", MACHINE, "-accel", ACCELERATOR])
        .args([
            "-cpu",
            PROCESSOR,
            "-m",
            "3G",
            "-smp",
            "2",
            "-nodefaults",
            "-no-reboot",
        ])
        .args(["-display", "none", "-serial", "stdio", "-monitor", "none"])
        .args(["-append", CMDLINE])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initrd);
    qemu
}

/// A QEMU process, killed on drop.
struct Guest(Child);

impl Guest {
    fn end(&mut self) {
        // It may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.end();
    }
}

/// Streams the lines of the console, which may contain invalid UTF-8.
fn lines(process: &mut Child) -> Result<mpsc::Receiver<String>> {
    let stdout = process.stdout.take().context("QEMU has no stdout")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}
