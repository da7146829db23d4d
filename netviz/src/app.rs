//! Puts everything together: what is found, what is counted, what is shown.

pub mod audit;
pub mod demo;
pub mod doors;
pub mod live;
pub mod map;
mod output;
mod preflight;
mod terminal;
pub mod verify;

pub use terminal::Aside;
