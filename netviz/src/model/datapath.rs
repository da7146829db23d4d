//! How a node's packets are routed, in Cilium's words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{list::list, words::words};

words! {
    /// How packets reach other nodes.
    Routing {
        /// Encapsulated.
        Tunnel = "tunnel",
        /// By the routes of the network between the nodes.
        Native = "native",
    }
}

words! {
    /// The encapsulation.
    Tunnel {
        /// VXLAN.
        Vxlan = "vxlan",
        /// Geneve.
        Geneve = "geneve",
    }
}

words! {
    /// What forwards between a node's pods and its uplinks.
    HostRouting {
        /// The kernel's network stack.
        Legacy = "legacy",
        /// BPF programs, past the kernel's stack.
        Bpf = "BPF",
    }
}

words! {
    /// What translates the sources of packets that leave the cluster.
    Masquerading {
        /// Nothing.
        Disabled = "disabled",
        /// The agent does not report the kind.
        Enabled = "enabled",
        /// BPF programs.
        Bpf = "bpf",
        /// iptables.
        Iptables = "iptables",
    }
}

words! {
    /// How packets between nodes are encrypted.
    Encryption {
        /// Not at all.
        Disabled = "disabled",
        /// `WireGuard`.
        Wireguard = "wireguard",
        /// IPsec.
        Ipsec = "ipsec",
    }
}

words! {
    /// Whether Cilium implements services in place of kube-proxy.
    KubeProxyReplacement {
        /// It does.
        Enabled = "True",
        /// It does not.
        Disabled = "False" | "disabled",
        /// It does (up to 1.13).
        Strict = "Strict",
        /// In part.
        Partial = "Partial",
    }
}

words! {
    /// How Cilium attaches its programs.
    AttachMode {
        /// By tcx links.
        Tcx = "tcx",
        /// By clsact filters.
        Tc = "tc",
    }
}

/// How a node's packets are routed, as its agent reports it. What the agent does not report is
/// `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Datapath {
    /// The agent's version.
    pub version: Option<String>,
    /// The agent's own state: `Ok`, `Warning`, `Failure`, `Disabled`.
    pub health: Option<String>,
    /// `tunnel` or `native`.
    pub routing: Option<Routing>,
    /// `vxlan` or `geneve`; `None` with native routing.
    pub tunnel: Option<Tunnel>,
    /// `legacy` or `BPF`.
    pub host_routing: Option<HostRouting>,
    /// Whether each endpoint has its own route.
    pub endpoint_routes: Option<bool>,
    /// `disabled`, `enabled`, `bpf` or `iptables`.
    pub masquerading: Option<Masquerading>,
    /// `disabled`, `wireguard` or `ipsec`.
    pub encryption: Option<Encryption>,
    /// `True`, `False`, `Strict` or `Partial`.
    pub kube_proxy_replacement: Option<KubeProxyReplacement>,
    /// `tcx` or `tc`.
    pub attach: Option<AttachMode>,
}

impl Datapath {
    /// A short label: `vxlan, legacy host routing`.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        let routing = match (&self.routing, &self.tunnel) {
            (Some(Routing::Tunnel) | None, Some(tunnel)) => Some(tunnel.to_string()),
            (Some(routing), _) => Some(routing.to_string()),
            (None, None) => None,
        };
        let host = self.host_routing.as_ref();
        let encryption = self.encryption.as_ref();
        let words = [
            routing,
            host.map(|host| format!("{host} host routing")),
            (self.endpoint_routes == Some(true)).then(|| "endpoint routes".into()),
            encryption
                .filter(|encryption| **encryption != Encryption::Disabled)
                .map(ToString::to_string),
        ];
        let words = list(words.into_iter().flatten(), ", ");
        Some(words).filter(|words| !words.is_empty())
    }
}
