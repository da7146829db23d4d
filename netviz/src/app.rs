//! The commands, one file each: options → feed or verdict → view → output.

pub mod audit;
pub mod demo;
pub mod doors;
pub mod flows;
pub mod generate;
mod launcher;
pub mod live;
pub mod map;
pub mod output;
mod preflight;
mod progress;
pub mod screen;
pub mod serve;
pub mod sink;
mod start;
mod terminal;
pub mod verify;

pub use terminal::AlternateScreen;
