//! The constants of the door.

use netviz_ebpf::flow::FlowDoor;

#[unsafe(no_mangle)]
pub(crate) static NETVIZ_FLOW_DOOR: FlowDoor = FlowDoor {
    seed: 0,
    door: 0,
    cpus: 0,
    set_bits: 0,
    is_tunnel: 0,
    sees_tunnels: 0,
    has_coarse_clock: 0,
};

/// Reads a constant, which the loader has written. Volatile, because the compiler would otherwise use the
/// value in the source.
macro_rules! door {
    ($field:ident) => {
        // SAFETY: a field of a static.
        unsafe { core::ptr::read_volatile(&raw const $crate::door::NETVIZ_FLOW_DOOR.$field) }
    };
}
pub(crate) use door;
