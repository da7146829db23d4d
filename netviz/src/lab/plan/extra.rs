//! Additional pods.

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    Door, Plan, Pod, PodKind,
    made::{address6, fingerprint, identity, made_mac},
};
use crate::model::list;

impl Plan {
    /// A new pod on `node`, with the next free address and index.
    pub(in crate::lab) fn extra(&self, node: &str, name: &str) -> Result<Pod> {
        check_name(name)?;
        ensure!(
            !self.pods.iter().any(|pod| pod.name == name),
            "there is a pod {name} already: choose another name"
        );
        let Some(node) = self.nodes.iter().find(|candidate| candidate.name == node) else {
            let known = list(self.nodes.iter().map(|node| &node.name), ", ");
            bail!("there is no node {node}: the nodes are {known}");
        };
        let neighbours = || self.pods.iter().filter(|pod| pod.node == node.name);
        let taken = |address| neighbours().any(|pod| pod.address == address);
        let mut addresses = node.pod_cidr.hosts().skip(1);
        let address = addresses
            .find(|address| *address != node.router_address && !taken(*address))
            .with_context(|| format!("the pod CIDR {} of {} is full", node.pod_cidr, node.name))?;
        let last = neighbours().map(|pod| pod.interface.index).max();
        let index = last.unwrap_or_default().max(node.wire.index) + 2;
        let id = fingerprint(&format!("{}/{name}", node.name));
        let eth0 = Door {
            name: "eth0".into(),
            index: index - 1,
            mac: made_mac(address, 1),
        };
        Ok(Pod {
            kind: PodKind::Extra,
            namespace: "default".into(),
            name: name.into(),
            node: node.name.clone(),
            pid: 0,
            address,
            address6: address6(address),
            identity: identity(name),
            interface: Door {
                name: format!("lxc{:012x}", id & 0xffff_ffff_ffff),
                index,
                mac: made_mac(address, 2),
            },
            eth0,
            netns_name: Some(format!(
                "cni-{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                id >> 32,
                id >> 16 & 0xffff,
                id & 0xffff,
                index,
                id & 0xffff_ffff_ffff
            )),
        })
    }
}

/// Checks that Kubernetes and hostnames allow the name.
fn check_name(name: &str) -> Result<()> {
    let fits = (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !name.starts_with('-');
    ensure!(
        fits,
        "{name:?} is not a pod's name: up to 63 of a-z, 0-9 and -"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_indexes_names_and_macs_are_unique() {
        let mut plan = Plan::new().unwrap();
        for number in 1..=100 {
            let pod = plan
                .extra("mycluster-worker", &format!("extra-{number}"))
                .unwrap();
            plan.pods.push(pod);
        }
        let unique = |key: &dyn Fn(&Pod) -> String| {
            let mut keys: Vec<_> = plan.pods.iter().map(key).collect();
            keys.sort();
            keys.dedup();
            keys.len() == plan.pods.len()
        };
        assert!(unique(&|pod| pod.address.to_string()));
        assert!(unique(&|pod| format!(
            "{} {}",
            pod.node, pod.interface.index
        )));
        assert!(unique(&|pod| format!(
            "{} {}",
            pod.node, pod.interface.name
        )));
        assert!(unique(&|pod| format!("{:?}", pod.interface.mac)));
        assert!(unique(&|pod| format!("{:?} {}", pod.netns_name, pod.node)));
    }

    #[test]
    fn wrong_names_are_refused() {
        let plan = Plan::new().unwrap();
        for name in ["", "A", "a/b", "-a", "netshoot-7d996d7884-fwt8z"] {
            assert!(plan.extra("mycluster-worker", name).is_err(), "{name}");
        }
        let error = plan.extra("nowhere", "a").unwrap_err().to_string();
        assert!(error.contains("mycluster-worker2"), "{error}");
    }
}
