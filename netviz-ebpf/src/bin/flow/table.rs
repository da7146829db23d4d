//! The table of flows.

use core::ptr;

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE, helpers::bpf_get_smp_processor_id, macros::map, maps::Array,
};
use netviz_ebpf::flow::{
    FRAGMENT_TIME, FRAGMENTS, FlowKey, FlowSet, FlowSlot, Fragment, IS_FRAGMENT,
};

use super::{
    door::door,
    scratch::{Packet, clear},
};

/// Sized and shared by user space.
#[map]
static NETVIZ_FLOWS: Array<FlowSet> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Sized and shared by user space: [`FRAGMENTS`] for each CPU.
#[map]
static NETVIZ_FRAGMENTS: Array<Fragment> = Array::with_max_entries(FRAGMENTS, 0);

/// The current epoch. User space writes it.
#[unsafe(no_mangle)]
static mut NETVIZ_FLOW_EPOCH: u32 = 0;

/// The number that is in the slots of this epoch.
#[inline(always)]
pub(crate) fn epoch() -> u32 {
    // SAFETY: an aligned word, which user space writes at once. Volatile, because nothing here does.
    unsafe { ptr::read_volatile(&raw const NETVIZ_FLOW_EPOCH) }
}

/// Adds a packet to its flow; false if there is no room for the flow.
#[inline(never)]
pub(crate) fn add(packet: &Packet, now: u64, length: u32, segments: u32) -> bool {
    // SAFETY: a helper without pointers.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let part = (packet.key.epoch & 1) * door!(cpus) + cpu;
    let bits = door!(set_bits);
    let set = hash(&packet.key, door!(seed)) as u32 & ((1 << bits) - 1);
    let Some(set) = NETVIZ_FLOWS.get_ptr_mut(part << bits | set) else {
        return false;
    };
    // SAFETY: only this CPU writes to this part, and softirqs are off; user space reads only the half
    // of an epoch that has ended.
    let set: &mut FlowSet = unsafe { &mut *set };
    for slot in &mut set.slots {
        if is_same(&slot.key, &packet.key) {
            update(slot, packet, now, length, segments);
            return true;
        }
        if slot.key.epoch != packet.key.epoch {
            begin(slot, packet, now);
            update(slot, packet, now, length, segments);
            return true;
        }
    }
    false
}

#[inline(always)]
fn begin(slot: &mut FlowSlot, packet: &Packet, now: u64) {
    clear(slot);
    slot.key = packet.key;
    slot.first = now;
    // A flow's first segment repeats nothing.
    slot.next_sequence = packet.tcp.next.wrapping_sub(packet.tcp.length);
    if packet.tcp.has_outer != 0 {
        slot.outer_source = packet.outer_source;
        slot.outer_destination = packet.outer_destination;
    }
}

#[inline(always)]
fn update(slot: &mut FlowSlot, packet: &Packet, now: u64, length: u32, segments: u32) {
    slot.packets += 1;
    slot.bytes += u64::from(length);
    slot.segments += u64::from(segments);
    let flags = (slot.last as u32 | packet.tcp.flags) & 0xff;
    slot.last = now & !0xff | u64::from(flags);
    if packet.tcp.length > 0 {
        let new = packet.tcp.next.wrapping_sub(slot.next_sequence) as i32;
        if new > 0 {
            slot.next_sequence = packet.tcp.next;
        } else {
            slot.retransmitted = slot.retransmitted.wrapping_add(segments);
        }
    }
}

/// Remembers the ports of a first fragment.
#[inline(never)]
pub(crate) fn remember(key: &FlowKey, id: u32, now: u64) {
    let without_ports = without_ports(key);
    if let Some(fragment) = fragment(&without_ports, id) {
        *fragment = Fragment {
            key: without_ports,
            id,
            ports: key.ports,
            time: now,
        };
    }
}

/// Gives a later fragment the flow of its first one, if that was seen.
#[inline(never)]
pub(crate) fn recall(key: &mut FlowKey, id: u32, now: u64) {
    let without_ports = without_ports(key);
    let Some(fragment) = fragment(&without_ports, id) else {
        return;
    };
    let is_recent = now.wrapping_sub(fragment.time) < FRAGMENT_TIME;
    if fragment.id == id && is_recent && is_same(&fragment.key, &without_ports) {
        key.ports = fragment.ports;
        key.flags &= !IS_FRAGMENT;
    }
}

/// A datagram may continue in the next epoch.
#[inline(always)]
fn without_ports(key: &FlowKey) -> FlowKey {
    FlowKey {
        ports: 0,
        epoch: 0,
        flags: key.flags & !IS_FRAGMENT,
        ..*key
    }
}

#[inline(always)]
fn fragment(key: &FlowKey, id: u32) -> Option<&'static mut Fragment> {
    // SAFETY: a helper without pointers.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let place = hash(key, u64::from(id)) as u32 & (FRAGMENTS - 1);
    let fragment = NETVIZ_FRAGMENTS.get_ptr_mut(cpu * FRAGMENTS + place)?;
    // SAFETY: only this CPU uses this part of the map, and softirqs are off.
    Some(unsafe { &mut *fragment })
}

#[inline(always)]
fn words(key: &FlowKey) -> &[u64; 6] {
    // SAFETY: 48 bytes without padding, aligned to 8, of which each pattern is valid.
    unsafe { &*ptr::from_ref(key).cast() }
}

#[inline(always)]
fn is_same(one: &FlowKey, other: &FlowKey) -> bool {
    let (one, other) = (words(one), words(other));
    let differ = |at: usize| one[at] ^ other[at];
    differ(4) | differ(5) | differ(2) | differ(0) | differ(1) | differ(3) == 0
}

/// Independent multiplications, then one that mixes them; the result is in the lower 32 bits.
#[inline(always)]
fn hash(key: &FlowKey, seed: u64) -> u64 {
    let words = words(key);
    let source = (words[0] ^ words[1].wrapping_add(seed)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let destination = (words[2] ^ words[3]).wrapping_add(seed >> 32);
    let destination = destination.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    let ports = words[4].wrapping_mul(0x1656_67b1_9e37_79f9);
    let place = (words[5] & 0xffff_ffff).wrapping_mul(0x27d4_eb2f_1656_67c5);
    let sum = source ^ (destination >> 7) ^ ports ^ place;
    ((sum ^ sum >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93)) >> 32
}
