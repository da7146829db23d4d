//! The terminal is restored whatever happens.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use netviz::app::AlternateScreen;
use nix::{
    pty::openpty,
    sys::termios::{LocalFlags, tcgetattr},
};

const ON_A_TERMINAL: &str = "NETVIZ_TEST_ON_A_TERMINAL";
const THIS_TEST: &str = "panic_restores_the_terminal";

/// Runs this test once more on a terminal, where it panics.
#[test]
fn panic_restores_the_terminal() {
    if std::env::var_os(ON_A_TERMINAL).is_some() {
        let _screen = AlternateScreen::enter(false).expect("a screen");
        print!("q quit");
        io::stdout().flush().expect("written");
        panic!("on purpose");
    }
    let pty = openpty(None, None).expect("a pseudo terminal");
    let (mut master, slave) = (File::from(pty.master), File::from(pty.slave));
    let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args([THIS_TEST, "--exact", "--nocapture"])
        .envs([(ON_A_TERMINAL, "1"), ("RUST_BACKTRACE", "0")])
        .stdin(end())
        .stdout(end())
        .stderr(end());
    let own_terminal = || {
        nix::unistd::setsid()?;
        // SAFETY: standard input is the terminal.
        match unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: two system calls.
    unsafe { command.pre_exec(own_terminal) };
    let status = command.status().expect("this test on a terminal");
    assert!(!status.success());
    let flags = tcgetattr(&slave).expect("its settings").local_flags;
    assert!(flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG));
    drop((command, slave));
    let mut written = Vec::new();
    // Ends with an error when the other end is closed.
    let _ = master.read_to_end(&mut written);
    let written = String::from_utf8_lossy(&written);
    let place = |text| written.rfind(text);
    assert!(
        place("\u{1b}[?1049h").is_some() && place("q quit").is_some(),
        "{written}"
    );
    assert!(place("\u{1b}[?1049l") > place("\u{1b}[?1049h"), "{written}");
    assert!(place("\u{1b}[?25h") > place("\u{1b}[?25l"), "{written}");
    // The message is printed on the main screen.
    assert!(
        written.find("on purpose") > written.find("\u{1b}[?1049l"),
        "{written}"
    );
}
