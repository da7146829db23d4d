//! Switches the terminal to its alternate screen, and restores it whatever happens.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crossterm::{
    cursor::{Hide, Show},
    event::{DisableMouseCapture, EnableMouseCapture},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::sys::stderr::KeptStderr;

/// Time in which a signal stops all threads.
const STOPS: Duration = Duration::from_millis(50);

/// The screen while it is shown.
static SHOWN: Mutex<Option<Shown>> = Mutex::new(None);

struct Shown {
    mouse: bool,
    stderr: Option<KeptStderr>,
}

/// The terminal in raw mode, on its alternate screen. Messages on standard error do not disturb it:
/// they are kept, and printed after it. Restored when this is dropped, and before the message of a
/// panic of its thread.
#[derive(Debug)]
pub struct AlternateScreen(());

impl AlternateScreen {
    /// Switches to the alternate screen, and captures the mouse if `mouse` is set.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        let (hook, owner) = (std::panic::take_hook(), thread::current().id());
        std::panic::set_hook(Box::new(move |panic| {
            // After a panic of another thread the screen remains.
            if thread::current().id() == owner {
                restore();
            }
            hook(panic);
        }));
        // Restores the terminal if the rest fails.
        let screen = Self(());
        show(mouse)?;
        Ok(screen)
    }

    /// The latest message on standard error since the previous call.
    pub(in crate::app) fn message() -> Option<String> {
        shown().as_mut()?.stderr.as_mut()?.news()
    }
}

fn show(mouse: bool) -> io::Result<()> {
    let stderr = KeptStderr::start()?;
    *shown() = Some(Shown { mouse, stderr });
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, Hide)?;
    if mouse {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    Ok(())
}

/// Stops this process and the others of its job, as Ctrl-Z does; returns with the screen shown when
/// they continue.
pub(in crate::app) fn suspend() -> io::Result<()> {
    let mouse = captures_mouse();
    restore();
    kill(Pid::from_raw(0), Signal::SIGTSTP)?;
    // If another thread receives the signal, it stops this one before the time is over. A shell
    // without job control ignores it.
    thread::sleep(STOPS);
    show(mouse)
}

/// Uses the terminal again after a stop from outside, for which the screen was not left.
pub(in crate::app) fn resume() -> io::Result<()> {
    disable_raw_mode()?;
    enable_raw_mode()?;
    execute!(io::stdout(), Hide)?;
    if captures_mouse() {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    Ok(())
}

fn captures_mouse() -> bool {
    shown().as_ref().is_some_and(|shown| shown.mouse)
}

impl Drop for AlternateScreen {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal once: leaving the screen twice would move the cursor back over messages.
fn restore() {
    let Some(Shown { mouse, stderr }) = shown().take() else {
        return;
    };
    if mouse {
        let _ = execute!(io::stdout(), DisableMouseCapture);
    }
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    drop(stderr);
}

fn shown() -> MutexGuard<'static, Option<Shown>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}
