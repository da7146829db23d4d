//! Puts everything together: what is found, what is counted, what is shown.

pub mod audit;
pub mod demo;
pub mod doors;
pub mod live;
pub mod map;
mod named;
mod output;
mod session;
mod signals;
mod terminal;
pub mod verify;

pub use terminal::Aside;
