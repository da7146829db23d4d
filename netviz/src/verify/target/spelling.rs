//! How an end is written: `[NODE:][KIND/]NAME[:PORT]`.

use std::net::IpAddr;

use super::workload::Workload;

/// The parts of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spelling<'a> {
    /// The node on which it is.
    pub(super) node: Option<&'a str>,
    pub(super) kind: Option<Kind>,
    pub(super) name: &'a str,
    pub(super) port: Option<u16>,
}

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pod,
    Service,
    Node,
    /// The inode of a network namespace.
    Netns,
    Workload(Workload),
}

/// As `kubectl` abbreviates them.
const KINDS: [(&[&str], Kind); 7] = [
    (&["pod", "pods", "po"], Kind::Pod),
    (&["svc", "service", "services"], Kind::Service),
    (&["node", "nodes", "no"], Kind::Node),
    (&["netns"], Kind::Netns),
    (
        &["deploy", "deployment", "deployments"],
        Kind::Workload(Workload::Deployment),
    ),
    (
        &["sts", "statefulset", "statefulsets"],
        Kind::Workload(Workload::StatefulSet),
    ),
    (
        &["ds", "daemonset", "daemonsets"],
        Kind::Workload(Workload::DaemonSet),
    ),
];

impl<'a> Spelling<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let (node, rest) = split_node(text);
        let (rest, port) = split_port(rest);
        let kind = rest.split_once('/').and_then(|(word, name)| {
            let mut kinds = KINDS.iter();
            let (_, kind) = kinds.find(|(words, _)| words.contains(&word))?;
            Some((*kind, name))
        });
        Self {
            node,
            kind: kind.map(|(kind, _)| kind),
            name: kind.map_or(rest, |(_, name)| name),
            port,
        }
    }

    /// The address, if it is one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        let address = self.name.trim_matches(['[', ']']).parse().ok();
        address.filter(|_| self.kind.is_none())
    }
}

/// `worker:default/web`; a name behind which a port follows is no node.
fn split_node(text: &str) -> (Option<&str>, &str) {
    let is_plain = text.parse::<IpAddr>().is_ok() || text.starts_with('[');
    match text.split_once(':') {
        Some((node, rest)) if !is_plain && rest.parse::<u16>().is_err() => (Some(node), rest),
        _ => (None, text),
    }
}

/// `name:80`, `10.0.0.1:80`, `[fd00::1]:80`; an IPv6 address without brackets has no port.
fn split_port(text: &str) -> (&str, Option<u16>) {
    if text.parse::<IpAddr>().is_ok() {
        return (text, None);
    }
    let split = text.rsplit_once(':');
    let split = split.and_then(|(name, port)| Some((name, Some(port.parse().ok()?))));
    split.unwrap_or((text, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_name() {
        let read = |text| {
            let it = Spelling::read(text);
            (it.node, it.kind, it.name, it.port)
        };
        let deploy = Some(Kind::Workload(Workload::Deployment));
        assert_eq!(read("web"), (None, None, "web", None));
        assert_eq!(read("shop/web:80"), (None, None, "shop/web", Some(80)));
        assert_eq!(read("k1:shop/web"), (Some("k1"), None, "shop/web", None));
        assert_eq!(read("k1:web:80"), (Some("k1"), None, "web", Some(80)));
        assert_eq!(
            read("k@10.0.0.1:web"),
            (Some("k@10.0.0.1"), None, "web", None)
        );
        assert_eq!(
            read("pod/shop/web"),
            (None, Some(Kind::Pod), "shop/web", None)
        );
        assert_eq!(read("deploy/web:8080"), (None, deploy, "web", Some(8080)));
        assert_eq!(read("k1:deploy/web"), (Some("k1"), deploy, "web", None));
        assert_eq!(read("fd00::1"), (None, None, "fd00::1", None));
        assert_eq!(read("[fd00::1]:80"), (None, None, "[fd00::1]", Some(80)));
        assert_eq!(read("k1:fd00::1"), (Some("k1"), None, "fd00::1", None));
        assert_eq!(
            read("k1:[fd00::1]:80"),
            (Some("k1"), None, "[fd00::1]", Some(80))
        );
        assert_eq!(read("10.0.0.1:80"), (None, None, "10.0.0.1", Some(80)));
        assert_eq!(read("k1:10.0.0.1"), (Some("k1"), None, "10.0.0.1", None));
        assert_eq!(read("svc/web:http"), (Some("svc/web"), None, "http", None));
        for odd in ["", ":", "::", ":80", "a:", "pod/", "/", "k:[", "[", "]:1"] {
            let _ = read(odd);
        }
    }
}
