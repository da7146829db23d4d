//! Policies that select a pod, from a Kubernetes API that answers all, some or none of the requests.

use std::{net::IpAddr, sync::Arc};

use anyhow::Result;
use netviz::{
    discover::Discovered,
    model::{Direction, NetNsId},
    names::{
        SourceOptions,
        policies::{
            Selecting, Unread, UnreadReason,
            lookup::{PodKey, PolicyReader, Subject},
        },
    },
};
use netviz_tests::builders::api_server::{ApiServer, Behaviour};
use serde_json::{Value, json};

const PLAIN: &str = "networkpolicies";
const CILIUM: &str = "ciliumnetworkpolicies";
const WIDE: &str = "ciliumclusterwidenetworkpolicies";
const ALL: [&str; 3] = [PLAIN, CILIUM, WIDE];

/// A server with the pod `default/web`, 10.0.0.7.
fn server(name: &str) -> Result<ApiServer> {
    let server = ApiServer::start(name, 2199)?;
    let pod = json!({
        "metadata": {"namespace": "default", "name": "web", "labels": {"app": "web", "tier": "front"}},
        "spec": {"serviceAccountName": "shop"},
        "status": {"podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}]},
    });
    server.state().put("pods", pod);
    let namespace = json!({"metadata": {"name": "default", "labels": {"team": "blue"}}});
    server.state().put("namespaces", namespace);
    Ok(server)
}

fn reader(server: &ApiServer) -> Result<PolicyReader> {
    let config = server.kubeconfig("{token: very-secret}");
    let options = SourceOptions {
        kubeconfig: Some(server.write("config", &config)?),
        ..SourceOptions::default()
    };
    Ok(PolicyReader::new(Arc::new(Discovered::default()), options))
}

fn pod(address: &str) -> Subject {
    Subject {
        netns: NetNsId(7),
        node: NetNsId(1),
        address: address.parse::<IpAddr>().unwrap(),
        key: Some(PodKey {
            namespace: "default".into(),
            name: "web".into(),
        }),
    }
}

fn put(server: &ApiServer, plural: &str, namespace: Option<&str>, name: &str, spec: Value) {
    let mut object = json!({"metadata": {"name": name}, "spec": spec});
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    server.state().put(plural, object);
}

fn names(selecting: &Selecting) -> Vec<String> {
    let policies = selecting.policies.iter();
    let name = |it: &netviz::names::policies::Policy| {
        format!("{} {}", it.kind, it.name.within(it.namespace.as_ref()))
    };
    policies.map(name).collect()
}

#[test]
fn policies_of_the_denied_direction_that_select_the_pod() -> Result<()> {
    let server = server("policies")?;
    let here = Some("default");
    let own = json!({"matchLabels": {"app": "web"}});
    let spec =
        |selector: &Value, types: &[&str]| json!({"podSelector": selector, "policyTypes": types});
    put(&server, PLAIN, here, "in", spec(&own, &["Ingress"]));
    put(&server, PLAIN, here, "out", spec(&own, &["Egress"]));
    put(
        &server,
        PLAIN,
        here,
        "everyone",
        spec(&json!({}), &["Ingress", "Egress"]),
    );
    put(&server, PLAIN, here, "untyped", json!({"podSelector": {}}));
    put(
        &server,
        PLAIN,
        here,
        "others",
        spec(&json!({"matchLabels": {"app": "db"}}), &["Ingress"]),
    );
    put(
        &server,
        PLAIN,
        Some("shop"),
        "elsewhere",
        spec(&json!({}), &["Ingress"]),
    );
    let rule = |selector: Value| json!({"endpointSelector": selector, "ingress": [{}]});
    put(
        &server,
        CILIUM,
        here,
        "cilium",
        rule(json!({"matchLabels": {"k8s:app": "web"}})),
    );
    // Cilium replaces the namespace by the policy's own.
    let lies = json!({"matchLabels": {"k8s:io.kubernetes.pod.namespace": "shop"}});
    put(&server, CILIUM, here, "lies", rule(lies));
    let several = json!({"metadata": {"namespace": "default", "name": "several"}, "specs": [
        rule(json!({"matchLabels": {"app": "db"}})),
        {"endpointSelector": {"matchExpressions": [{"key": "any:tier", "operator": "In", "values": ["front"]}]},
            "egressDeny": [{}]},
    ]});
    server.state().put(CILIUM, several);
    let team =
        |team: &str| json!({"matchLabels": {"k8s:io.cilium.k8s.namespace.labels.team": team}});
    put(&server, WIDE, None, "blue", rule(team("blue")));
    put(&server, WIDE, None, "red", rule(team("red")));
    let account = json!({"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "shop",
        "io.cilium.k8s.policy.cluster": "here"}});
    put(&server, WIDE, None, "account", rule(account));
    put(
        &server,
        WIDE,
        None,
        "nodes",
        json!({"nodeSelector": {}, "ingress": [{}]}),
    );
    put(
        &server,
        WIDE,
        None,
        "reserved",
        rule(json!({"matchLabels": {"reserved:host": ""}})),
    );
    let mut reader = reader(&server)?;
    let ingress = reader.selecting(&pod("10.0.0.7"), Direction::Ingress);
    assert_eq!(ingress.unread, []);
    assert_eq!(
        names(&ingress),
        [
            "CiliumClusterwideNetworkPolicy account",
            "CiliumClusterwideNetworkPolicy blue",
            "CiliumNetworkPolicy default/cilium",
            "CiliumNetworkPolicy default/lies",
            "NetworkPolicy default/everyone",
            "NetworkPolicy default/in",
            "NetworkPolicy default/untyped",
        ]
    );
    let egress = reader.selecting(&pod("fd00::7"), Direction::Egress);
    assert_eq!(
        names(&egress),
        [
            "CiliumNetworkPolicy default/several",
            "NetworkPolicy default/everyone",
            "NetworkPolicy default/out",
        ]
    );
    // Each object is read once.
    let asked = server.state().asked.clone();
    assert_eq!(asked.len(), 5, "{asked:#?}");
    let elsewhere = |target: &&String| target.contains("/shop/");
    assert_eq!(asked.iter().find(elsewhere), None);
    Ok(())
}

#[test]
fn pages_are_followed_to_a_limit() -> Result<()> {
    let server = server("pages")?;
    for number in 0..1_100 {
        let name = format!("policy-{number:04}");
        put(
            &server,
            PLAIN,
            Some("default"),
            &name,
            json!({"podSelector": {}}),
        );
    }
    let found = reader(&server)?.selecting(&pod("10.0.0.7"), Direction::Ingress);
    assert_eq!(found.policies.len(), 1_000);
    let too_many = Unread {
        resource: PLAIN.into(),
        reason: UnreadReason::TooMany,
    };
    assert_eq!(found.unread, [too_many]);
    Ok(())
}

#[test]
fn kinds_that_may_not_be_listed_are_reported() -> Result<()> {
    let server = server("partly")?;
    put(
        &server,
        PLAIN,
        Some("default"),
        "all",
        json!({"podSelector": {}}),
    );
    server.state().refused = [(CILIUM.to_owned(), 403), (WIDE.to_owned(), 404)].into();
    let found = reader(&server)?.selecting(&pod("10.0.0.7"), Direction::Ingress);
    assert_eq!(names(&found), ["NetworkPolicy default/all"]);
    let unread = |resource: &str, reason| Unread {
        resource: resource.into(),
        reason,
    };
    assert_eq!(
        found.unread,
        [
            unread(CILIUM, UnreadReason::Forbidden),
            unread(WIDE, UnreadReason::NotInstalled)
        ]
    );
    server.state().refused = [("pods".to_owned(), 403)].into();
    let mut reader = reader(&server)?;
    let found = reader.selecting(&pod("10.0.0.7"), Direction::Ingress);
    assert_eq!(found.unread, [unread("pods", UnreadReason::Forbidden)]);
    Ok(())
}

/// Two clusters can have the same names.
#[test]
fn api_of_another_cluster_is_not_used() -> Result<()> {
    let server = server("foreign")?;
    put(
        &server,
        PLAIN,
        Some("default"),
        "all",
        json!({"podSelector": {}}),
    );
    let mut reader = reader(&server)?;
    let other = reader.selecting(&pod("10.0.0.8"), Direction::Ingress);
    assert_eq!(other, Selecting::default());
    server.state().remove("pods", "default", "web");
    let mut absent = self::reader(&server)?;
    let absent = absent.selecting(&pod("10.0.0.7"), Direction::Ingress);
    assert_eq!(absent, Selecting::default());
    Ok(())
}

#[test]
fn failures_are_one_line_and_asked_once() -> Result<()> {
    let server = server("failing")?;
    for behaviour in [
        Behaviour::Garbage,
        Behaviour::Huge,
        Behaviour::Refuse(500),
        Behaviour::Silent,
    ] {
        server.state().behaviour = behaviour;
        let mut reader = reader(&server)?;
        let first = reader.selecting(&pod("10.0.0.7"), Direction::Ingress);
        let asked = server.state().asked.len();
        let again = reader.selecting(&pod("10.0.0.7"), Direction::Egress);
        assert_eq!(server.state().asked.len(), asked, "{behaviour:?}");
        assert_eq!(first, again);
        let [
            Unread {
                reason: UnreadReason::Failed { error },
                ..
            },
        ] = first.unread.as_slice()
        else {
            panic!("{behaviour:?}: {first:?}");
        };
        assert!(!error.contains("secret"), "{error}");
        assert!(!error.contains(char::is_control), "{error:?}");
    }
    server.state().behaviour = Behaviour::Good;
    // What is no policy is no cause of a panic, nor of an endless search.
    server.state().put(
        PLAIN,
        json!({"metadata": {"namespace": "default", "name": "x"}, "spec": 7}),
    );
    let found = reader(&server)?.selecting(&pod("10.0.0.7"), Direction::Ingress);
    assert_eq!(found.unread.len(), 1, "{found:?}");
    for plural in ALL {
        assert!(
            server
                .state()
                .asked
                .iter()
                .any(|target| target.contains(plural))
        );
    }
    Ok(())
}

#[test]
fn unreadable_kubeconfig_is_reported() {
    let options = SourceOptions {
        kubeconfig: Some("/nonexistent/kubeconfig".into()),
        ..SourceOptions::default()
    };
    let mut reader = PolicyReader::new(Arc::new(Discovered::default()), options);
    let found = reader.selecting(&pod("10.0.0.7"), Direction::Ingress);
    assert!(
        matches!(&found.unread[..], [Unread { reason: UnreadReason::Failed { error }, .. }] if error.contains("/nonexistent/kubeconfig")),
        "{found:?}"
    );
    let nameless = Subject {
        key: None,
        ..pod("10.0.0.7")
    };
    assert_eq!(
        reader.selecting(&nameless, Direction::Ingress),
        Selecting::default()
    );
}
