//! How people name the ends of a path, from the command line to the verdict: names come from the files of
//! the lab's nodes and from a Kubernetes API.

use std::{collections::BTreeSet, fs, net::Ipv4Addr, path::Path};

use netviz::{
    lab::{Lab, Options, Pod, PodKind},
    sys::netlink::Netlink,
};
use netviz_tests::{
    builders::api_server::ApiServer,
    cli::{
        netviz::command_for,
        verify::{VerifyOutput, parse, verify},
    },
    netns::net_faults::set_down,
};
use serde_json::{Value, json};

const TOKEN: &str = "{token: very-secret}";

/// A lab with a Kubernetes API that has its nodes.
struct NamedLab {
    lab: Lab,
    server: ApiServer,
    kubeconfig: String,
}

impl NamedLab {
    fn up(name: &str) -> Self {
        let lab = Lab::up(&Options::default()).unwrap();
        let server = ApiServer::start(name, 2199).unwrap();
        for node in lab.nodes() {
            let node = node_object(&node.name, node.address);
            server.state().put("nodes", node);
        }
        let config = server.write("config", &server.kubeconfig(TOKEN)).unwrap();
        Self {
            lab,
            server,
            kubeconfig: config.to_str().unwrap().to_owned(),
        }
    }

    /// Adds a pod to the API. `owner` is a kind and a name.
    fn announce(&self, pod: &Pod, name: &str, owner: Option<(&str, &str)>, uid: &str) {
        let owners = owner.map(|(kind, name)| {
            json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "x", "controller": true}])
        });
        let address = pod.address;
        let object = json!({
            "metadata": {"namespace": pod.namespace, "name": name, "uid": uid,
                "labels": {"app": "announced"}, "ownerReferences": owners},
            "spec": {"nodeName": pod.node, "containers": [{"name": "c"}]},
            "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
        });
        self.server.state().put("pods", object);
    }

    fn verify(&self, args: &str) -> VerifyOutput {
        let args: Vec<_> = args.split(' ').collect();
        verify(&self.lab, &[&args[..], &self.source()].concat())
    }

    fn source(&self) -> [&str; 2] {
        ["--kubeconfig", &self.kubeconfig]
    }

    /// The pods with names, those of one node first.
    fn pods(&self) -> [&Pod; 4] {
        let named = self.lab.pods().iter();
        let mut pods: Vec<_> = named.filter(|pod| pod.kind == PodKind::Listed).collect();
        pods.sort_by_key(|pod| (&pod.node, &pod.name));
        pods.try_into().unwrap()
    }

    fn root(&self, node: &str) -> String {
        let mut nodes = self.lab.nodes().iter();
        let node = nodes.find(|it| it.name == node).unwrap();
        format!("/proc/{}/root", node.pid)
    }
}

fn node_object(name: &str, address: Ipv4Addr) -> Value {
    json!({"metadata": {"name": name},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]}})
}

fn label(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

/// Checks that A and B were found: their names in the verdict.
#[track_caller]
fn found(result: &VerifyOutput, from: &str, to: &str) {
    assert_eq!(
        (result.verdict(), result.code),
        ("verified", Some(0)),
        "{} {:#}",
        result.stderr,
        result.json
    );
    let names = ["from", "to"].map(|end| result.json[end]["name"].as_str().unwrap());
    assert_eq!(names, [from, to]);
}

/// Checks for exit code 2 and one line with all `parts`.
#[track_caller]
fn refused(result: &VerifyOutput, parts: &[&str]) {
    assert_eq!(result.code, Some(2), "{:#}", result.json);
    assert_eq!(result.stderr.lines().count(), 1, "{}", result.stderr);
    for part in parts {
        assert!(
            result.stderr.contains(part),
            "no {part:?} in {}",
            result.stderr
        );
    }
}

fn chosen(result: &VerifyOutput) -> Option<&Value> {
    let mut notes = result.json["notes"].as_array()?.iter();
    notes.find(|note| note["code"] == "chosen")
}

#[test]
fn pods_and_nodes_are_found_as_people_type_them() {
    let named = NamedLab::up("verify-typed");
    let [a, other, b, _] = named.pods();
    let (from, to) = (label(a), label(b));
    let namespace = &b.namespace;
    // A pod by its name, with and without its kind, its namespace and its node.
    for name in [
        b.name.clone(),
        to.clone(),
        format!("pod/{}", b.name),
        format!("po/{to}"),
        format!("{}:{to}", b.node),
        format!("{} -n {namespace}", b.name),
        format!("pod/{} --namespace {namespace}", b.name),
    ] {
        let result = named.verify(&format!("{} {name}", a.name));
        found(&result, &from, &to);
        assert_eq!(chosen(&result), None);
    }
    // The beginning of one pod's name, for both ends.
    let short = |pod: &Pod| pod.name[..pod.name.len() - 3].to_owned();
    let result = named.verify(&format!("{} {}", short(a), short(b)));
    found(&result, &from, &to);
    let note = chosen(&result).unwrap();
    assert_eq!(note["text"], format!("{} is {from}", short(a)));
    let begin = b.name.split('-').next().unwrap();
    refused(
        &named.verify(&format!("{} {begin}", a.name)),
        &[
            &format!("the names of 2 pods begin with \"{begin}\""),
            &to,
            &b.address.to_string(),
        ],
    );
    // A node, and what is none of them.
    let node = format!("node/{}", b.node);
    for name in [b.node.clone(), node.clone(), format!("no/{}", b.node)] {
        let result = named.verify(&format!("{} {name}", a.name));
        assert_eq!(
            result.json["to"]["name"],
            node.as_str(),
            "{}",
            result.stderr
        );
        assert_eq!(result.json["delivered"], 4, "{:#}", result.json);
    }
    for (args, part) in [
        (
            format!("{} pod/{}", a.name, b.node),
            format!("a node has that name: {node}"),
        ),
        (
            format!("{} {} -n elsewhere", a.name, b.name),
            "no pod".into(),
        ),
        (
            format!("{} {}:{}", a.name, other.node, b.name),
            format!("on {}", other.node),
        ),
        (
            format!("{} deploy/nothing", a.name),
            "no pod of a deployment \"nothing\"".into(),
        ),
    ] {
        refused(&named.verify(&args), &[&part]);
    }
}

#[test]
fn any_pod_of_a_workload_is_tested() {
    let mut named = NamedLab::up("verify-workload");
    let node = named.lab.nodes()[0].name.clone();
    for name in ["db-0", "agent-x7k2q", "one-off"] {
        named.lab.add_pod(&node, name).unwrap();
    }
    let [a, ..] = named.pods();
    let kind = |pod: &Pod| match pod.name.split_once('-').unwrap() {
        // An owner decides, and not the name.
        ("one", _) => ("StatefulSet", "queue".to_owned()),
        ("db", _) => ("StatefulSet", "db".into()),
        ("agent", _) => ("DaemonSet", "agent".into()),
        _ => (
            "ReplicaSet",
            pod.name.rsplit_once('-').unwrap().0.to_owned(),
        ),
    };
    for pod in named
        .lab
        .pods()
        .iter()
        .filter(|pod| pod.kind != PodKind::Unnamed)
    {
        let (kind, owner) = kind(pod);
        named.announce(pod, &pod.name, Some((kind, &owner)), &pod.name);
    }
    let deployments: BTreeSet<_> = ["busybox", "netshoot"].into();
    for (name, pod) in [
        ("sts/db", Some("default/db-0")),
        ("statefulset/default/db", Some("default/db-0")),
        ("ds/agent", Some("default/agent-x7k2q")),
        ("sts/queue", Some("default/one-off")),
        ("deploy/busybox", None),
        ("deployment/netshoot", None),
    ] {
        let result = named.verify(&format!("{} {name}", a.name));
        assert_eq!(
            result.verdict(),
            "verified",
            "{} {:#}",
            result.stderr,
            result.json
        );
        let to = result.json["to"]["pod"].as_str().unwrap();
        let note = chosen(&result).unwrap();
        match pod {
            Some(pod) => assert_eq!((to, &note["of"]), (pod, &1.into())),
            None => {
                let (_, begin) = to.split_once('/').unwrap();
                let begin = begin.split('-').next().unwrap();
                assert!(deployments.contains(begin) && name.ends_with(begin), "{to}");
                assert_eq!(note["of"], 2, "{note}");
                // Rather another pod than the sender.
                assert_ne!(to, label(a));
            }
        }
    }
    refused(
        &named.verify(&format!("{} sts/agent", a.name)),
        &["no pod of a statefulset \"agent\""],
    );
}

/// netviz sees one of two nodes; the API names the pods of both.
#[test]
fn pod_on_a_node_that_is_not_here_is_unclear() {
    let named = NamedLab::up("verify-remote");
    let [a, .., b] = named.pods();
    for pod in named.pods() {
        let uid = pod.name.clone();
        named.announce(
            pod,
            &pod.name,
            Some(("ReplicaSet", "busybox-c8bbbbb84")),
            &uid,
        );
    }
    let own = named.lab.nodes().iter().find(|node| node.name == a.node);
    let own = own.unwrap();
    let run = |args: &[&str]| {
        let quick = ["--fast-attach", "-c", "4", "--timeout", "300ms"];
        let all = [&["verify"], args, &quick[..], &named.source()].concat();
        let mut command = command_for(&named.lab, &all);
        command
            .env("NETVIZ_NETNS", own.pid.to_string())
            .output()
            .unwrap()
    };
    let verify = |from: &str, to: &str| parse(&run(&["-o", "json", from, to]));
    let (from, to) = (label(a), label(b));
    let doubt = format!("{to} is on node {}, not seen from here", b.node);
    for name in [
        to.clone(),
        b.name.clone(),
        format!("pod/{}", b.name),
        format!("{}:{to}", b.node),
        b.address.to_string(),
    ] {
        let result = verify(&from, &name);
        assert_eq!(
            (result.verdict(), result.code),
            ("unclear", Some(2)),
            "{name}: {} {:#}",
            result.stderr,
            result.json
        );
        let unclear = &result.json["unclear"];
        assert_eq!(unclear.as_array().map(Vec::len), Some(1), "{unclear:#}");
        assert_eq!(unclear[0]["code"], "remote");
        let text = unclear[0]["text"].as_str().unwrap();
        assert!(text.starts_with(&doubt), "{text}");
        assert_eq!(result.json["replied"], 4, "{:#}", result.json);
        let path = [
            "▲ eth0",
            &format!("▼ {}", a.interface.name),
            "▲ cilium_vxlan",
            "▲ eth0",
            &format!("▼ {}", own.wire.name),
        ];
        assert_eq!(result.crossed("request"), path);
        assert_eq!(result.json["detours"], json!([]));
    }
    let text = String::from_utf8(run(&[&from, &to]).stdout).unwrap();
    assert!(
        text.contains("\nUNCLEAR ") && text.contains(&doubt),
        "{text}"
    );
    // Nothing is sent from there.
    refused(&verify(&to, &from), &["is not on a node that is here"]);
    // Its node does not answer: where the packets ended is not seen from here.
    let far = named.lab.nodes().iter().find(|node| node.name == b.node);
    let far = far.unwrap();
    let mut netlink = Netlink::open_in(&named.lab.netns(far).unwrap()).unwrap();
    set_down(&mut netlink, far.eth0.index).unwrap();
    let result = verify(&from, &to);
    assert!(
        result.json["unclear"].to_string().contains(&doubt),
        "{:#}",
        result.json
    );
    assert_ne!(result.verdict(), "detour", "{:#}", result.json);
}

/// containerd kept a sandbox, and has a new one of the same pod: names do not tell them apart.
struct Twins {
    named: NamedLab,
    /// The one that was left behind, and the one that Kubernetes knows.
    pods: [Pod; 2],
    netns: [u64; 2],
}

const TWIN: &str = "default/web-0";

impl Twins {
    fn up(name: &str) -> Self {
        let mut named = NamedLab::up(name);
        let node = named.lab.nodes()[0].name.clone();
        let pods = ["web-0", "web-1"].map(|name| named.lab.add_pod(&node, name).unwrap().clone());
        let root = named.root(&node);
        let files = format!("{root}/var/lib/cni/results");
        let uid = rename(Path::new(&files)).expect("the second pod's file");
        rename(Path::new(&format!(
            "{root}/run/containerd/io.containerd.runtime.v2.task/k8s.io"
        )));
        let netns = pods
            .each_ref()
            .map(|pod| named.lab.netns(pod).unwrap().id().0);
        named.announce(&pods[1], "web-0", Some(("StatefulSet", "web")), &uid);
        Self { named, pods, netns }
    }

    /// Checks that what the API knows is known of the right one.
    fn check_facts(&self) {
        let args = ["doors", "--once", "--watch", "50ms", "-o", "json"];
        let args = [&args[..], &self.named.source()].concat();
        let output = command_for(&self.named.lab, &args).output().unwrap();
        let snapshot: Value = serde_json::from_slice(&output.stdout).unwrap();
        let pods = snapshot["pods"].as_array().unwrap().iter();
        let twins: Vec<_> = pods.filter(|pod| pod["name"] == "web-0").collect();
        assert_eq!(twins.len(), 2, "{twins:#?}");
        let owner = json!({"kind": "StatefulSet", "name": "web"});
        for pod in twins {
            let is_known = pod["netns"] == self.netns[1];
            assert_eq!(
                pod["labels"] == json!(["app=announced"]),
                is_known,
                "{pod:#}"
            );
            assert_eq!(pod["owner"] == owner, is_known, "{pod:#}");
        }
    }
}

/// Renames `web-1` in the files of a directory; returns its uid.
fn rename(directory: &Path) -> Option<String> {
    let mut uid = None;
    for entry in fs::read_dir(directory).unwrap() {
        let mut path = entry.unwrap().path();
        if path.is_dir() {
            path = path.join("config.json");
        }
        let text = fs::read_to_string(&path).unwrap();
        if text.contains("web-1") {
            let (_, after) = text.split_once("K8S_POD_UID\",\"").unwrap_or_default();
            uid = uid.or(after.split('"').next().map(ToOwned::to_owned));
            fs::write(&path, text.replace("web-1", "web-0")).unwrap();
        }
    }
    uid
}

#[test]
fn sandboxes_with_one_name_are_told_apart() {
    let twins = Twins::up("verify-twins");
    twins.check_facts();
    let [a, ..] = twins.named.pods();
    let labels = twins.netns.map(|netns| format!("netns/{netns}"));
    let about = twins.pods.each_ref().map(|pod| pod.address.to_string());
    let node = &twins.pods[0].node;
    for name in [
        "web-0",
        TWIN,
        "pod/web-0",
        "web-0 -n default",
        &format!("{node}:{TWIN}"),
    ] {
        for args in [
            format!("{} {name}", label(a)),
            format!("{name} {}", label(a)),
        ] {
            let parts = [&labels[0], &labels[1], &about[0], &about[1]].map(String::as_str);
            refused(&twins.named.verify(&args), &parts);
        }
    }
    // Each by what is its own.
    for (name, address) in labels.iter().zip(&about) {
        for to in [name, address] {
            let result = twins.named.verify(&format!("{} {to}", label(a)));
            found(&result, &label(a), name);
            assert_eq!(result.json["to"]["address"], address.as_str());
        }
    }
    // A workload's pod is the one that Kubernetes knows.
    let result = twins.named.verify(&format!("{} sts/web", label(a)));
    assert_eq!(
        result.json["to"]["name"],
        labels[1].as_str(),
        "{:#}",
        result.json
    );
    let all = [
        "verify",
        "--all-pairs",
        "-n",
        "default",
        "-c",
        "2",
        "--fast-attach",
        "-o",
        "jsonl",
    ];
    let all = [&all[..], &twins.named.source()].concat();
    let output = command_for(&twins.named.lab, &all).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let verdicts = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let pairs: BTreeSet<_> = verdicts
        .map(|it| {
            assert_eq!(it["verdict"], "verified", "{it:#}");
            let name = |end: &str| it[end]["name"].as_str().unwrap().to_owned();
            (name("from"), name("to"))
        })
        .collect();
    let [one, two] = labels;
    assert_eq!(pairs, [(one.clone(), two.clone()), (two, one)].into());
}

/// The address of the sandbox that was left behind was given to the new one.
#[test]
fn facts_of_the_api_are_about_the_sandbox_of_its_pod() {
    let twins = Twins::up("verify-twin-facts");
    let [left, right] = &twins.pods;
    let mut netlink = Netlink::open_in(&twins.named.lab.netns(left).unwrap()).unwrap();
    netlink
        .add_address(left.eth0.index, right.address.into(), 32)
        .unwrap();
    twins.check_facts();
}
