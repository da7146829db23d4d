//! Puts everything together: what is found, what is counted, what is shown.

pub mod doors;
mod session;
mod terminal;
