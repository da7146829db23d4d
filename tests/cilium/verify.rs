//! `netviz verify` between the pods and nodes of a running Cilium: a working path is verified, a
//! drop by a policy is lost at the right door, and a restart of the agents changes neither.

use std::{net::IpAddr, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use netviz::lab::SERVICE;
use netviz_tests::{
    cilium::{
        cilium_lab::{CiliumLab, Watched, enter_cgroup},
        oracle::{Place, TestCluster},
    },
    cli::{
        netviz::command,
        verify::{VerifyOutput, parse},
    },
};

/// The sender, and a receiver on the same node and on the other node.
pub(crate) struct Cast {
    pub(crate) from: String,
    same: String,
    pub(crate) other: String,
    /// The address of that one.
    pub(crate) other_address: IpAddr,
    pub(crate) home: String,
    away: String,
    /// Whether sockets translate the addresses of services.
    pub(crate) service: bool,
    /// The same two pods over IPv6, if available.
    six: Option<[String; 2]>,
    router: String,
}

/// Number of attempts until the agents have applied a policy.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(250);

impl Cast {
    pub(crate) fn of(cilium: &CiliumLab) -> Result<Self> {
        let cluster = Watched::start(cilium)?;
        let home_of = |pod: &str| cluster.home(pod).with_context(|| format!("no pod {pod}"));
        let from = &cilium.pods.first().context("no pod")?.name;
        let home = home_of(from)?;
        let find = |near: bool| {
            let mut pods = cilium.pods.iter().filter(|pod| pod.name != *from);
            let pod = pods.find(|pod| (home_of(&pod.name).ok().as_ref() == Some(&home)) == near);
            pod.map(|pod| pod.name.clone()).context("too few pods")
        };
        let (same, other) = (find(true)?, find(false)?);
        let away = home_of(&other)?;
        let text = |address: Option<IpAddr>| address.map(|address| address.to_string());
        let six = [from, &other].map(|pod| text(cluster.address(Place::Pod6(pod))));
        let other_address = cluster.address(Place::Pod(&other)).context("no address")?;
        let router = text(cluster.address(Place::Router(&away))).context("no router address")?;
        Ok(Self {
            from: format!("default/{from}"),
            same: format!("default/{same}"),
            other: format!("default/{other}"),
            other_address,
            home: format!("node/{home}"),
            away: format!("node/{away}"),
            service: cilium.mode.summary.contains("BPF"),
            six: match six {
                [Some(one), Some(other)] => Some([one, other]),
                _ => None,
            },
            router,
        })
    }

    /// Returns each pair with its additional arguments.
    fn pairs(&self) -> Vec<Vec<&str>> {
        let udp = &["--proto", "udp", "--port", "47777"];
        let mut pairs: Vec<Vec<&str>> = Vec::new();
        for to in [&self.same, &self.other, &self.home, &self.away] {
            pairs.push(vec![&self.from, to]);
            pairs.push([&[self.from.as_str(), to][..], udp].concat());
        }
        pairs.push(vec![&self.from, &self.router]);
        for to in [&self.from, &self.other, &self.away] {
            pairs.push(vec![&self.home, to]);
        }
        pairs.extend(
            self.six
                .as_ref()
                .map(|[one, other]| vec![one.as_str(), other]),
        );
        pairs
    }
}

pub(crate) fn complete_paths(cilium: &CiliumLab) -> Result<()> {
    let cast = Cast::of(cilium)?;
    let mut wrong = Vec::new();
    let mut check = |args: &[&str], result: VerifyOutput| {
        if (result.verdict(), result.code) != ("verified", Some(0)) {
            wrong.push(format!("{}: {}", args.join(" "), report(&result)));
        }
    };
    for args in cast.pairs() {
        check(&args, verify(cilium, &args)?);
    }
    if cast.service {
        // Programs at the node's cgroup translate the address in the sender's socket: netviz uses one of
        // the sender's cgroup, wherever netviz itself is.
        let service = SERVICE.to_string();
        let udp = ["--proto", "udp", "--port", "47777"];
        let args = [&[cast.from.as_str(), service.as_str()][..], &udp].concat();
        check(&args, verify(cilium, &args)?);
        let home = [&[cast.home.as_str(), service.as_str()][..], &udp].concat();
        check(&home, verify(cilium, &home)?);
        let mut inside = netviz(cilium, &args);
        enter_cgroup(
            cilium.node(cast.home.trim_start_matches("node/"))?,
            &mut inside,
        )?;
        check(&args, parse(&inside.output()?));
    }
    ensure!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    Ok(())
}

/// Checks a policy that forbids packets to both receivers: the packets end after the first program
/// of Cilium that knows both ends.
pub(crate) fn policy_drop(cilium: &CiliumLab) -> Result<()> {
    let cast = Cast::of(cilium)?;
    let policy = Policy::apply(cilium)?;
    // The last door that each packet crosses: the program that enforces the policy runs after it.
    let (near, far) = match cilium.mode.oracle {
        "native" => ("▼ lxc", "▲ cilium_host"),
        "native-host-routing" => ("▼ lxc", "▼ eth0"),
        // Each endpoint has its own program at its door.
        "native-endpoint-routes" => ("▲ lxc", "▲ lxc"),
        _ => ("▼ lxc", "▼ cilium_vxlan"),
    };
    let checked = [(&cast.other, far), (&cast.same, near)]
        .into_iter()
        .try_for_each(|(to, door)| {
            let lost = wait_for_verdict(cilium, &[&cast.from, to], "lost")?;
            let after = lost.lost_after().unwrap_or_default();
            ensure!(
                lost.code == Some(1) && after.starts_with(door) && after.ends_with("request"),
                "{to}: last seen at {after:?}, not at {door}: {}",
                report(&lost)
            );
            // Cilium's counters are the cause, and the policy that selects the pod is named.
            let reason = "Cilium dropped them: policy denied, ingress";
            for part in [reason, NAME] {
                ensure!(
                    lost.json["losses"].to_string().contains(part),
                    "{part:?} is not reported: {}",
                    report(&lost)
                );
            }
            Ok(())
        });
    drop(policy);
    checked?;
    for to in [&cast.other, &cast.same] {
        wait_for_verdict(cilium, &[&cast.from, to], "verified")?;
    }
    Ok(())
}

/// Restarts both agents while packets are sent from pod to pod.
pub(crate) fn agent_restarts(cilium: &CiliumLab) -> Result<()> {
    let cast = Cast::of(cilium)?;
    for node in &cilium.nodes {
        cilium.agent("stop", node)?;
    }
    let without = long(cilium, &cast);
    for node in &cilium.nodes {
        cilium.agent("start", node)?;
    }
    let with = long(cilium, &cast);
    for (when, result) in [
        ("without the agents", without?),
        ("while they start", with?),
    ] {
        ensure!(
            result.json["delivered"] == 100 && result.json["replied"] == 100,
            "{when}: {}",
            report(&result)
        );
        // The agents' report of names and mode may be missing; then netviz infers the mode.
        ensure!(
            result.verdict() == "verified",
            "{when}: {}",
            report(&result)
        );
    }
    wait_for_verdict(cilium, &[&cast.from, &cast.other], "verified")?;
    Ok(())
}

/// Runs for five seconds with addresses, which need no agent.
fn long(cilium: &CiliumLab, cast: &Cast) -> Result<VerifyOutput> {
    let cluster = Watched::start(cilium)?;
    let address = |name: &str| {
        let pod = name.trim_start_matches("default/");
        let address = cluster.address(Place::Pod(pod));
        address
            .map(|address| address.to_string())
            .context("no address")
    };
    let (from, to) = (address(&cast.from)?, address(&cast.other)?);
    // It counts at every door; verify must be the only netviz there.
    drop(cluster);
    verify(cilium, &[&from, &to, "--count", "100"])
}

/// Repeats a check until it returns `verdict`.
fn wait_for_verdict(cilium: &CiliumLab, args: &[&str], verdict: &str) -> Result<VerifyOutput> {
    let mut last = verify(cilium, args)?;
    for _ in 0..TRIES {
        if last.verdict() == verdict {
            return Ok(last);
        }
        std::thread::sleep(PAUSE);
        last = verify(cilium, args)?;
    }
    anyhow::bail!("{} was never {verdict}: {}", args.join(" "), report(&last))
}

fn verify(cilium: &CiliumLab, args: &[&str]) -> Result<VerifyOutput> {
    Ok(parse(&netviz(cilium, args).output()?))
}

pub(crate) fn netviz(cilium: &CiliumLab, args: &[&str]) -> Command {
    let fixed = [
        "verify",
        "-o",
        "json",
        "--fast-attach",
        "--timeout",
        "500ms",
    ];
    let few: &[&str] = if args.contains(&"--count") {
        &[]
    } else {
        &["--count", "5"]
    };
    let mut command = command(&[&fixed[..], few, args].concat());
    command.env("NETVIZ_NETNS", cilium.netns().join(","));
    command
}

pub(crate) fn report(result: &VerifyOutput) -> String {
    let json = &result.json;
    format!(
        "{} ({:?}) {} of {} delivered, {} answered; request {:?}, reply {:?}; {} {} {} {}",
        result.verdict(),
        result.code,
        json["delivered"],
        json["sent"],
        json["replied"],
        result.crossed("request"),
        result.crossed("reply"),
        json["detours"],
        json["unclear"],
        json["losses"],
        result.stderr
    )
}

/// A network policy that forbids packets to any pod; removed on drop.
struct Policy<'a>(&'a CiliumLab);

const NAME: &str = "netviz-nobody";

impl<'a> Policy<'a> {
    fn apply(cilium: &'a CiliumLab) -> Result<Self> {
        let policy = serde_json::json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": NAME, "namespace": "default"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []},
        });
        cilium.kubectl(
            &["create", "--validate=false", "-f", "-"],
            &policy.to_string(),
        )?;
        Ok(Self(cilium))
    }
}

impl Drop for Policy<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.kubectl(&["delete", "networkpolicy", NAME], "") {
            eprintln!("{error:#}");
        }
    }
}
