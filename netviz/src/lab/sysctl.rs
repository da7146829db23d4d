//! Settings of the calling thread's namespace.

use std::{fs, io};

use anyhow::{Context as _, Result};

/// What kind of namespace is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Forwards, also packets with its own source address: masqueraded ones have it.
    Node,
    /// Only sends and receives.
    Pod,
}

/// Sets forwarding on a node, no reverse path filters, and no IPv6, or an IPv6 that sends nothing by itself.
pub(super) fn prepare(role: Role, ipv6: bool) -> Result<()> {
    for scope in ["all", "default"] {
        set(&format!("ipv4/conf/{scope}/rp_filter"), "0")?;
        set(&format!("ipv4/conf/{scope}/send_redirects"), "0")?;
        if role == Role::Node {
            set(&format!("ipv4/conf/{scope}/accept_local"), "1")?;
        }
    }
    if role == Role::Node {
        set("ipv4/ip_forward", "1")?;
    }
    prepare_ipv6(role, ipv6)
}

fn prepare_ipv6(role: Role, wanted: bool) -> Result<()> {
    if !wanted {
        set_if_there("ipv6/conf/all/disable_ipv6", "1")?;
        return set_if_there("ipv6/conf/default/disable_ipv6", "1");
    }
    for scope in ["all", "default"] {
        set(&format!("ipv6/conf/{scope}/disable_ipv6"), "0")?;
        set(&format!("ipv6/conf/{scope}/accept_ra"), "0")?;
        set(&format!("ipv6/conf/{scope}/autoconf"), "0")?;
        set(&format!("ipv6/conf/{scope}/accept_dad"), "0")?;
        set(&format!("ipv6/conf/{scope}/router_solicitations"), "0")?;
        // Report group memberships once and immediately, before the counters start.
        set(
            &format!("ipv6/conf/{scope}/mldv2_unsolicited_report_interval"),
            "0",
        )?;
    }
    // 1: no link-local addresses.
    set("ipv6/conf/default/addr_gen_mode", "1")?;
    set_if_there("ipv6/mld_qrv", "1")?;
    if role == Role::Node {
        set("ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

fn set(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/{name}");
    fs::write(&path, value).with_context(|| format!("writing {value} to {path}: is /proc mounted?"))
}

/// As [`set`], for settings that kernels without IPv6 or older ones lack.
fn set_if_there(name: &str, value: &str) -> Result<()> {
    match fs::write(format!("/proc/sys/net/{name}"), value) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("writing {value} to /proc/sys/net/{name}"))
        }
        _ => Ok(()),
    }
}
