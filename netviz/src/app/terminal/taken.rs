//! The terminal, taken and given back, whatever happens.

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

/// Bytes of what is said meanwhile; what says more than that says the same again and again.
const ASIDE: usize = 64 * 1024;

/// Whether the mouse has to be given back.
static MOUSE: AtomicBool = AtomicBool::new(false);
/// What is said while the terminal is taken; `None` while it is not.
static SAID: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// The terminal, taken: raw, on its alternate screen. Given back when this is dropped, and before
/// a panic of the thread that took it is told.
#[derive(Debug)]
pub(in crate::app) struct Taken(());

impl Taken {
    /// Takes the terminal; with `mouse`, the mouse reports to netviz.
    pub(in crate::app) fn take(mouse: bool) -> io::Result<Self> {
        let (hook, owner) = (std::panic::take_hook(), thread::current().id());
        std::panic::set_hook(Box::new(move |panic| {
            if thread::current().id() == owner {
                give_back();
            }
            // The screen goes on without the other threads, and says so.
            if !keep(&told(panic)) {
                hook(panic);
            }
        }));
        enable_raw_mode()?;
        let taken = Self(());
        *said() = Some(Vec::new());
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        if mouse {
            MOUSE.store(true, Ordering::Relaxed);
            execute!(io::stdout(), EnableMouseCapture)?;
        }
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Once: to leave a screen that was left puts the cursor where it was before, over what was told.
fn give_back() {
    let Some(text) = said().take() else {
        return;
    };
    if MOUSE.swap(false, Ordering::Relaxed) {
        let _ = execute!(io::stdout(), DisableMouseCapture);
    }
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = io::stderr().write_all(&text);
}

/// Standard error, for the log: while a screen is on the terminal, what is said is kept until that
/// is given back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aside;

impl Write for Aside {
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

/// Keeps `text` where a screen is on the terminal.
fn keep(text: &[u8]) -> bool {
    match &mut *said() {
        Some(kept) => {
            let left = ASIDE.saturating_sub(kept.len());
            kept.extend_from_slice(&text[..text.len().min(left)]);
            true
        }
        None => false,
    }
}

fn said() -> MutexGuard<'static, Option<Vec<u8>>> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner)
}

fn told(panic: &PanicHookInfo<'_>) -> Vec<u8> {
    let thread = thread::current();
    let name = thread.name().unwrap_or("?");
    format!("thread '{name}' {panic}\n").into_bytes()
}
