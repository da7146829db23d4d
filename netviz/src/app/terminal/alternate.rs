//! Switches the terminal to its alternate screen, and restores it whatever happens.

use std::{
    io::{self, Write},
    panic::PanicHookInfo,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crossterm::{
    cursor::{Hide, Show},
    event::{DisableMouseCapture, EnableMouseCapture},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};

/// Bytes of standard error to keep while the screen is shown.
const MOST_KEPT: usize = 64 * 1024;

/// Whether the mouse is captured.
static MOUSE: AtomicBool = AtomicBool::new(false);
/// Standard error while the screen is shown; `None` otherwise.
static KEPT: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// The terminal in raw mode, on its alternate screen. Restored when this is dropped, and before the
/// message of a panic of its thread.
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
            if thread::current().id() == owner {
                restore();
            }
            // After a panic of another thread the screen remains, and the message follows later.
            if !keep(&message(panic)) {
                hook(panic);
            }
        }));
        enable_raw_mode()?;
        let screen = Self(());
        *kept() = Some(Vec::new());
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        if mouse {
            MOUSE.store(true, Ordering::Relaxed);
            execute!(io::stdout(), EnableMouseCapture)?;
        }
        Ok(screen)
    }
}

impl Drop for AlternateScreen {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal once: leaving the screen twice would move the cursor back over messages.
fn restore() {
    let Some(text) = kept().take() else {
        return;
    };
    if MOUSE.swap(false, Ordering::Relaxed) {
        let _ = execute!(io::stdout(), DisableMouseCapture);
    }
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = io::stderr().write_all(&text);
}

/// Standard error for the log. While the screen is shown, messages are kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeferredStderr;

impl Write for DeferredStderr {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if !keep(text) {
            io::stderr().write_all(text)?;
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Keeps `text` while the screen is shown; false otherwise.
fn keep(text: &[u8]) -> bool {
    match &mut *kept() {
        Some(kept) => {
            let left = MOST_KEPT.saturating_sub(kept.len());
            kept.extend_from_slice(&text[..text.len().min(left)]);
            true
        }
        None => false,
    }
}

fn kept() -> MutexGuard<'static, Option<Vec<u8>>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(panic: &PanicHookInfo<'_>) -> Vec<u8> {
    let thread = thread::current();
    let name = thread.name().unwrap_or("?");
    format!("thread '{name}' {panic}\n").into_bytes()
}
