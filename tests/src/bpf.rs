//! BPF programs at hooks, and the kernel's lists of them.

pub mod attached_program;
pub mod attachments;
pub mod descriptors;
pub mod filters;
pub mod foreign_program;
pub mod frames;
pub mod hook_counters;
pub mod prog_test;
pub mod skip;
pub mod test_objects;
