//! Metrics: their series, labels and both text formats.

use std::{collections::HashSet, sync::Arc, time::Duration};

use netviz::{
    model::{AttachState, DoorSample, Role, Side, Snapshot},
    views::metrics::{self, Level, Metrics, from_openmetrics},
};
use netviz_tests::builders::{
    hostile::{self, NAMES, data, escaped},
    snapshot_builder::{SnapshotBuilder, blog, cluster, end},
};

fn openmetrics(snapshot: Snapshot, level: Level) -> String {
    let metrics = Metrics::new(Arc::new(snapshot), None, level, Duration::from_millis(2));
    metrics::openmetrics(metrics)
}

/// The samples: lines without comments.
fn samples(metrics: &str) -> Vec<&str> {
    metrics.lines().filter(|it| !it.starts_with('#')).collect()
}

/// The sample of a series, by the beginning of its line.
fn value<'a>(metrics: &'a str, series: &str) -> Option<&'a str> {
    let mut found = samples(metrics)
        .into_iter()
        .filter_map(|it| it.strip_prefix(series));
    let value = found.next();
    assert_eq!(found.next(), None, "{series} is no single series");
    value.map(str::trim)
}

/// A node with a pod, one pair each.
fn node(builder: &mut SnapshotBuilder, name: &str, netns: u64, pod: &str) {
    let node = builder.node(name, netns, &["172.18.0.2/16"]);
    let far = end(netns + 1, 8, "eth0");
    builder.pod(node, pod, "10.0.0.8/32", &far, &end(netns, 9, "lxc1"));
}

#[test]
fn blog_cluster_as_metrics() {
    insta::assert_snapshot!(openmetrics(blog().snapshot(), Level::Door));
}

/// A node with the usual limit of pods has less than 700 series.
#[test]
fn series_of_a_full_node() {
    let snapshot = cluster(1, 110, true).snapshot();
    let pods = openmetrics(snapshot.clone(), Level::Pod);
    let number = samples(&pods).len();
    assert!((440..700).contains(&number), "{number} series");
    let of_nodes = openmetrics(snapshot.clone(), Level::Node);
    assert!(samples(&of_nodes).len() < 100, "{of_nodes}");
    assert!(samples(&openmetrics(snapshot, Level::Door)).len() > 3 * number);
}

/// One set of labels is one series: a scrape with two is refused as a whole.
#[test]
fn series_are_distinct() {
    let mut builder = SnapshotBuilder::default();
    // Two nodes of one name, and on the second one a pod that was left behind beside its successor.
    node(&mut builder, "worker", 100, "web-0");
    node(&mut builder, "worker", 200, "web-0");
    let far = end(300, 8, "eth0");
    builder.pod(1, "web-0", "10.0.0.8/32", &far, &end(200, 11, "lxc2"));
    let metrics = openmetrics(builder.snapshot(), Level::Door);
    let series: Vec<_> = samples(&metrics)
        .into_iter()
        .map(|it| it.rsplit_once(' ').unwrap().0)
        .collect();
    let distinct: HashSet<_> = series.iter().collect();
    assert_eq!(distinct.len(), series.len(), "{metrics}");
    assert_eq!(value(&metrics, "netviz_interfaces_hidden "), Some("1.0"));
    for netns in [100, 200] {
        let series = format!("netviz_interfaces{{node=\"worker net:[{netns}]\",state=\"ok\"}} ");
        let expected = if netns == 100 { "2.0" } else { "4.0" };
        assert_eq!(value(&metrics, &series), Some(expected), "{metrics}");
    }
}

/// Removed interfaces have no series, and unknown figures none either: neither is 0.
#[test]
fn what_is_unknown_has_no_series() {
    let mut builder = SnapshotBuilder::default();
    node(&mut builder, "worker", 100, "web-0");
    builder.door(0, Side::Node, Role::Uplink, &end(100, 2, "eth1"));
    *builder.now(100, 2) = DoorSample::default();
    builder.now(101, 8).meter = AttachState::Gone;
    let metrics = openmetrics(builder.snapshot(), Level::Door);
    let series = |labels: &str| metrics.contains(labels);
    assert!(!series("pod=\"web-0\",interface=\"eth0\""), "{metrics}");
    assert!(
        !series("interface=\"eth1\",side=\"node\",direction"),
        "{metrics}"
    );
    assert!(
        series("interface=\"eth1\",side=\"node\",state=\"attaching\"} 1.0"),
        "{metrics}"
    );
    assert!(series("interface=\"lxc1\""), "{metrics}");
}

/// A hostile name stays one label value, and is shown as in every view.
#[test]
fn names_stay_label_values() {
    let series = |name: &str| {
        let metrics = openmetrics(data::cluster(name), Level::Door);
        samples(&metrics).len()
    };
    for (aim, name) in NAMES {
        assert_eq!(series(name), series("harmless"), "{aim}");
        let metrics = openmetrics(data::cluster(name), Level::Door);
        assert!(
            !metrics
                .chars()
                .any(|it| it != '\n' && hostile::is_harmful(it)),
            "{aim}"
        );
        let same = openmetrics(data::cluster(&escaped(name)), Level::Door);
        assert_eq!(metrics, same, "{aim}");
    }
}

/// In the older format, the name of a counter's family is that of its series.
#[test]
fn text_format() {
    let openmetrics = "# HELP a_b Help of a_b counter.\n# TYPE a_b counter\na_b_total{x=\"# EOF\"} 1.0\n# HELP a Gauge.\n# TYPE a gauge\n# UNIT a seconds\na 2.0\n# EOF\n";
    let expected = "# HELP a_b_total Help of a_b counter.\n# TYPE a_b_total counter\na_b_total{x=\"# EOF\"} 1.0\n# HELP a Gauge.\n# TYPE a gauge\na 2.0\n";
    assert_eq!(from_openmetrics(openmetrics), expected);
}
