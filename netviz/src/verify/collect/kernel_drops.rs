//! Marked packets that the kernel drops, from the tracepoint `skb:kfree_skb`.
//!
//! Optional: where the kernel has no BTF or no tracepoints, or refuses the program, there is no drop
//! reason, and nothing else is different. The tracepoint is the machine's, so it covers all nodes of a
//! Kind cluster.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, OnceLock},
};

use anyhow::Context as _;
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, MapData, RingBuf},
    programs::RawTracePoint,
};
use netviz_ebpf::{
    crossing::COOKIE_GLOBAL,
    drops::{
        DROP_PROGRAM, DROP_PROGRAM_BEFORE, DROPS_MAP, Dropped, LOST_EVENTS_MAP, NO_REASON,
        OFFSETS_GLOBAL, Offsets, TRACEPOINT,
    },
};

use crate::{
    attach::object::map,
    sys::{btf::Btf, objects},
};

/// Prefix of the names in `enum skb_drop_reason`.
const PREFIX: &str = "SKB_DROP_REASON_";

/// The modes of kernel lockdown, with the present one in brackets.
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// Why drops cannot be recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDrops {
    /// Kernel lockdown (`confidentiality`, as on Talos) lets no program read the kernel's memory.
    #[error("refused by kernel lockdown (confidentiality)")]
    Lockdown,
    /// The kernel lacks something, or refuses the program.
    #[error("{0}")]
    Other(String),
}

/// Facts of the running kernel's BTF, read once: it takes some 20 ms.
struct Kernel {
    offsets: Offsets,
    reasons: BTreeMap<u32, String>,
}

/// Records drops until it is dropped.
pub struct Drops {
    /// Keeps the program attached.
    _object: Ebpf,
    ring: RingBuf<MapData>,
    lost: Array<MapData, u64>,
    kernel: Arc<Kernel>,
}

impl Drops {
    /// Begins to record drops of packets with this cookie.
    ///
    /// # Errors
    /// Why it cannot, in one line.
    pub fn start(cookie: &[u8; 16]) -> Result<Self, NoDrops> {
        static KERNEL: OnceLock<Result<Arc<Kernel>, String>> = OnceLock::new();
        // Before Linux 5.13 the program is accepted and reads nothing.
        if fs::read_to_string(LOCKDOWN).is_ok_and(|modes| is_locked_down(&modes)) {
            return Err(NoDrops::Lockdown);
        }
        let kernel = KERNEL.get_or_init(|| read().map(Arc::new)).clone();
        let kernel = kernel.map_err(NoDrops::Other)?;
        let attached = Self::attach(cookie, &kernel, DROP_PROGRAM);
        // A program that reads more than the tracepoint has is refused.
        attached
            .or_else(|_| Self::attach(cookie, &kernel, DROP_PROGRAM_BEFORE))
            .map_err(|error| refused(&format!("{error:#}")))
    }

    fn attach(cookie: &[u8; 16], kernel: &Arc<Kernel>, name: &str) -> anyhow::Result<Self> {
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        loader.override_global(COOKIE_GLOBAL, &cookie[..], true);
        loader.override_global(OFFSETS_GLOBAL, &kernel.offsets, true);
        let mut object = loader.load(objects::DROP)?;
        let ring = map(&mut object, DROPS_MAP)?;
        let lost = map(&mut object, LOST_EVENTS_MAP)?;
        let program = object.program_mut(name).context("no such program")?;
        let program: &mut RawTracePoint = program.try_into()?;
        program.load()?;
        program.attach(TRACEPOINT)?;
        Ok(Self {
            _object: object,
            ring,
            lost,
            kernel: Arc::clone(kernel),
        })
    }

    /// The drops since the last time.
    pub fn take(&mut self) -> Vec<Dropped> {
        let mut all = Vec::new();
        while let Some(entry) = self.ring.next() {
            all.extend(Dropped::read(&entry));
        }
        all
    }

    /// Drops since the start for which the ring buffer had no room; too few where several processors
    /// dropped at once.
    pub fn lost(&self) -> u64 {
        self.lost.get(&0, 0).unwrap_or_default()
    }

    /// The kernel's name for a reason; its number where it belongs to a subsystem with names of its own
    /// (wireless, Open vSwitch).
    pub fn word(&self, reason: u32) -> Option<String> {
        if reason == NO_REASON {
            return None;
        }
        let name = self.kernel.reasons.get(&reason);
        let name = name.map(|name| name.strip_prefix(PREFIX).unwrap_or(name).to_owned());
        Some(name.unwrap_or_else(|| format!("reason {reason:#x}")))
    }
}

fn is_locked_down(modes: &str) -> bool {
    modes.contains("[confidentiality]")
}

/// The error of loading or attaching the program, with the verifier's log.
fn refused(error: &str) -> NoDrops {
    // Where securityfs is not mounted, only the verifier reports lockdown.
    let helper =
        ["cannot use helper", "unknown func"].map(|it| format!("{it} bpf_probe_read_kernel"));
    match helper.iter().any(|text| error.contains(text)) {
        true => NoDrops::Lockdown,
        false => NoDrops::Other(format!(
            "cannot attach to the tracepoint {TRACEPOINT}: {error}"
        )),
    }
}

fn read() -> Result<Kernel, String> {
    let btf = Btf::of_kernel().map_err(|error| format!("the kernel has no BTF: {error}"))?;
    let of = |structure: &str, field: &str| {
        let found = btf.offset(structure, field);
        found.ok_or_else(|| format!("the kernel's BTF has no {structure}.{field}"))
    };
    let offsets = Offsets {
        len: of("sk_buff", "len")?,
        data_len: of("sk_buff", "data_len")?,
        head: of("sk_buff", "head")?,
        tail: of("sk_buff", "tail")?,
        network_header: of("sk_buff", "network_header")?,
        dev: of("sk_buff", "dev")?,
        ifindex: of("net_device", "ifindex")?,
        net: of("net_device", "nd_net.net")?,
        inum: of("net", "ns.inum")?,
    };
    Ok(Kernel {
        offsets,
        reasons: btf.names("skb_drop_reason"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lockdown_is_recognised() {
        assert!(is_locked_down("none integrity [confidentiality]\n"));
        assert!(!is_locked_down("none [integrity] confidentiality\n"));
        assert!(!is_locked_down("[none] integrity confidentiality\n"));
        for log in [
            "12: (85) call bpf_probe_read_kernel#113\nprogram of this type cannot use helper bpf_probe_read_kernel#113",
            "unknown func bpf_probe_read_kernel#113",
        ] {
            assert_eq!(refused(log), NoDrops::Lockdown);
        }
        let other = refused("12: (85) call bpf_probe_read_kernel#113\nR1 invalid mem access");
        assert!(matches!(other, NoDrops::Other(_)), "{other}");
    }
}
