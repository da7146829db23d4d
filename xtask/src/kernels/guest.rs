//! A kernel in QEMU, emulated: with KVM, Debian's kernels hang on some machines.

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

/// For everything that a guest does in the ordinary tests, ...
const QUICK: Duration = Duration::from_secs(20 * 60);
/// ... and where time is no object.
const WHOLE: Duration = Duration::from_secs(3 * 60 * 60);
/// A guest that says nothing for so long hangs; every scenario has a shorter limit.
const SILENCE: Duration = Duration::from_secs(600);

/// Boots a kernel and reads along.
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
                    "silent or not done after {}: {trouble}",
                    seconds(start.elapsed())
                ));
                return Ok(report);
            }
        }
    }
    Ok(console.finish(guest.0.wait()?.code()))
}

/// Not microvm, which would boot in half the time: without HPET and PM timer the kernel calibrates
/// the TSC by the PIT, which fails on a busy machine, and Linux 6.12 and later then hang.
const MACHINE: &str = "q35";

/// Grace periods of RCU, for which every namespace and every attachment waits, are what takes most
/// of the time: expedited. The ordinary tests measure what takes how long, on this machine's kernel.
/// The log is read once, at the end: it has room for all that was said until then. A processor that does not
/// come back for two minutes never does: the guest ends, and says where it was.
const CMDLINE: &str = "console=ttyS0 panic=-1 quiet rcupdate.rcu_expedited=1 log_buf_len=4M softlockup_panic=1 watchdog_thresh=60";

/// Both processors in one thread. Each in its own, one now and then ran into code that the other was
/// patching (`int3`), and a kernel died of it at boot; another hung with a processor in an endless loop. Two
/// guests beside each other on two processors: 31 scenarios were done in the time of 38.
const ACCELERATOR: &str = "tcg,thread=single";

/// All that can be emulated, but what makes a kernel take a way that is short on silicon and long here: it
/// fills and copies byte by byte (ERMS), walks five levels of page tables (LA57), and ends a translated block
/// at each access to user memory (SMAP). Without the three, 300 processes take 1.1 s instead of 1.7.
const PROCESSOR: &str = "max,erms=off,la57=off,smap=off";

fn qemu(kernel: &Kernel, initrd: &Path) -> Command {
    // However this program ends, no guest goes on without it.
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"])
        .args(["-M", MACHINE, "-accel", ACCELERATOR])
        .args([
            "-cpu",
            PROCESSOR,
            "-m",
            "2G",
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

/// QEMU, which ends with this value.
struct Guest(Child);

impl Guest {
    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.end();
    }
}

/// The lines of the console as they come. Kernels write what is not UTF-8, too.
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
