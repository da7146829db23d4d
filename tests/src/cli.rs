//! The netviz binary, its terminal, and checks of its output.

pub mod binary;
pub mod browser;
pub mod fault_table;
pub mod lab_doors;
pub mod netviz;
pub mod observation;
pub mod schema;
pub mod server;
pub mod terminal;
pub mod verify;
pub mod wait;
