//! One module for each task but `setup`.

pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod ci;
pub(crate) mod demo;
pub(crate) mod dist;
mod elf;
pub(crate) mod flaky;
mod run;
mod tally;
pub(crate) mod test;
