//! Every view of one handmade snapshot: no kernel, no clock.
//!
//! After an intended change, run `INSTA_UPDATE=always cargo test -p netviz-tests --test views`, and
//! review the difference before the commit.

use clap::CommandFactory as _;
use netviz::{
    cli::Cli,
    count::LossTracker,
    feed::assemble,
    model::{
        AttachState, Direction, DoorSample, Reason, Role, Side, Snapshot, Source, SourceStatus,
        Status, rounded,
    },
    views::{
        FORMATS, building, csv,
        filter::Filter,
        json,
        lines::Lines,
        order::{Sort, sort},
        table::{self, Style},
        text::{
            bits, bytes, count, cut_apart, cut_end, cut_middle, cut_name, rate, safe,
            visible_width, wrap,
        },
    },
};
use netviz_tests::{
    builders::{
        hostile::{check, data},
        random::Random,
        snapshot_builder::{SnapshotBuilder, any, blog, end},
    },
    cli::schema::complaints,
};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

fn draw(snapshot: &Snapshot, width: Option<usize>, colour: bool) -> String {
    let style = Style {
        width,
        colour,
        ..Style::default()
    };
    table::draw(snapshot, style)
}

#[test]
fn table() {
    let snapshot = blog().snapshot();
    for width in [80, 100, 120, 160] {
        insta::assert_snapshot!(
            format!("table_{width}"),
            draw(&snapshot, Some(width), false)
        );
    }
    insta::assert_snapshot!("table_unlimited", draw(&snapshot, None, false));
}

#[test]
fn lines_fit_the_screen() {
    let snapshot = blog().snapshot();
    for width in 1..=250 {
        for colour in [false, true] {
            for line in draw(&snapshot, Some(width), colour).lines() {
                let wide = visible_width(line);
                assert!(wide <= width, "{wide} of {width}: {line:?}");
            }
        }
    }
}

#[test]
fn text_is_the_same_without_colours() {
    let snapshot = blog().snapshot();
    for width in [None, Some(80), Some(120)] {
        let mut plain = String::new();
        let mut inside = false;
        for c in draw(&snapshot, width, true).chars() {
            inside |= c == '\u{1b}';
            if !inside {
                plain.push(c);
            }
            inside &= !c.is_ascii_alphabetic();
        }
        let plain: Vec<_> = plain.lines().map(str::trim_end).collect();
        let without = draw(&snapshot, width, false);
        assert_eq!(plain, without.lines().collect::<Vec<_>>());
    }
    assert!(draw(&snapshot, None, true).contains("\u{1b}["));
}

/// From 80 columns on, both ends are unambiguous, and numbers are aligned.
#[test]
fn names_stay_unambiguous_and_numbers_aligned() {
    let snapshot = blog().snapshot();
    for width in [80, 100, 120, 160, 300] {
        let text = draw(&snapshot, Some(width), false);
        for end in ["x2x4k", "x2x5k", "t6ggh", "fmhwc", "零壱"] {
            assert!(text.contains(end), "{end} at {width}:\n{text}");
        }
        let named = snapshot
            .doors
            .iter()
            .filter_map(|door| door.interface.as_ref());
        for interface in named {
            assert!(
                text.contains(&interface.to_string()),
                "{interface} at {width}"
            );
        }
        let lines: Vec<_> = text.lines().collect();
        let header = lines.iter().find(|line| line.contains("pkt/s")).unwrap();
        // In every row, a number or its sign ends where the column's title ends.
        let column = header.find("pkt/s").unwrap() + "pkt/s".len();
        let column = header[..column].width();
        // Below the last door, the full reasons follow.
        let last = lines
            .iter()
            .position(|line| line.contains("lxcbbbbbbbbbbbb"));
        let rows = lines[..=last.unwrap()]
            .iter()
            .filter(|line| line.starts_with("  ") && !line.contains("pkt/s"));
        for row in rows {
            let mut at = 0;
            let last = row.chars().find(|c| {
                at += c.to_string().width();
                at >= column
            });
            let last = last.unwrap_or(' ');
            assert!(
                last.is_ascii_digit() || last == '–',
                "{last:?} in {row:?} at {width}"
            );
        }
    }
}

#[test]
fn unknown_counts_are_not_numbers() {
    let snapshot = blog().snapshot();
    let text = draw(&snapshot, None, false);
    let outside = text
        .lines()
        .find(|line| line.contains("link-netnsid 4"))
        .unwrap();
    assert!(outside.matches('–').count() == 8, "{outside}");
    let foreign = text.lines().find(|line| line.contains("filter_x")).unwrap();
    assert!(
        foreign.contains("blind: ▼ filter_x runs before netviz"),
        "{foreign}"
    );
    let skipped = text
        .lines()
        .find(|line| line.contains("lxc73d2e1d7cf4f"))
        .unwrap();
    assert!(
        skipped.contains("bypassed: ▲ skipped: bpf_redirect_peer (3 segments"),
        "{skipped}"
    );
    let lost = text
        .lines()
        .find(|line| line.contains("lxc174c023046ff"))
        .unwrap();
    assert!(lost.contains("▲ 12 lost before eth0"), "{lost}");
}

#[test]
fn hostile_names_reach_no_view() {
    let snapshot = blog().snapshot();
    let mut records = Vec::new();
    csv::write(&snapshot, &mut records).unwrap();
    let mut lines = Lines::new(jiff::tz::TimeZone::UTC);
    let mut texts = vec![
        draw(&snapshot, None, false),
        String::from_utf8(records).unwrap(),
        lines.next(&snapshot).join("\n"),
    ];
    // A loss before an interface with such a name: the reason contains the name.
    let mut builder = blog();
    let (pod, lxc) = ((4_026_532_204, 16), (4_026_532_200, 17));
    for (netns, index) in [pod, lxc] {
        builder.now(netns, index).meter = AttachState::Failed(Reason::Displaced {
            direction: Direction::Ingress,
            programs: vec!["place on e\u{1b}[31mth0".into()],
        });
    }
    texts.push(lines.next(&builder.snapshot()).join("\n"));
    assert!(texts[3].contains("place on e"), "{}", texts[3]);
    texts.push(draw(&builder.snapshot(), None, false));
    for text in texts {
        check::plain("view", &text);
    }
}

#[test]
fn sorted_and_filtered() {
    let mut snapshot = blog().snapshot();
    sort(&mut snapshot, Sort::Rate);
    let first: Vec<_> = snapshot
        .doors
        .iter()
        .map(|door| door.node.clone())
        .collect();
    let nodes = first.partition_point(|node| node == "mycluster-worker");
    assert!(
        first[nodes..]
            .iter()
            .all(|node| node == "mycluster-worker2")
    );
    let most = |door: &netviz::model::DoorState| {
        let both = [&door.ingress, &door.egress];
        both.map(|t| t.packets_per_second.unwrap_or(0.0))
            .into_iter()
            .fold(0.0, f64::max)
    };
    assert_eq!(most(&snapshot.doors[0]), 506.0);
    let filter = |nodes: &[&str], pods: &[&str], devices: &[&str]| {
        let owned = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        let filter = Filter::new(&owned(nodes), &owned(pods), &owned(devices)).unwrap();
        let mut snapshot = blog().snapshot();
        filter.check(&snapshot).map(|()| {
            filter.apply(&mut snapshot);
            snapshot
        })
    };
    let one = filter(&[], &["busybox-*-fmhwc"], &[]).unwrap();
    assert_eq!(one.doors.len(), 2);
    assert_eq!(one.nodes.len(), 1);
    // Every pod has an eth0, and the filter selects only one.
    assert_eq!(one.pairs.len(), 1);
    assert_eq!(one.pairs[0].pod, Some("busybox-c8bbbbb84-fmhwc".into()));
    assert_eq!(
        filter(&[], &["networking101/*"], &[]).unwrap().doors.len(),
        4
    );
    assert_eq!(filter(&[], &["10.10.2.121"], &[]).unwrap().doors.len(), 1);
    assert_eq!(
        filter(&["*worker"], &[], &["cilium_*"])
            .unwrap()
            .doors
            .len(),
        3
    );
    let error = filter(&[], &["busybox-c8bbbbb84-fmhwx"], &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("no pod \"busybox-c8bbbbb84-fmhwx\"; near: busybox-c8bbbbb84-fmhwc"),
        "{error}"
    );
}

#[test]
fn invalid_patterns_are_errors() {
    for (bad, why) in [
        ("busy[box", "unclosed"),
        ("a{b", "unclosed"),
        ("a\\", "dangling"),
        ("[z-a]", "invalid range"),
    ] {
        let of = |place: usize| -> Vec<String> {
            [bad.to_owned()]
                .into_iter()
                .take(usize::from(place == 0))
                .collect()
        };
        for (option, filter) in [
            ("--node", Filter::new(&of(0), &[], &[])),
            ("--pod", Filter::new(&[], &of(0), &[])),
            ("--device", Filter::new(&[], &[], &of(0))),
        ] {
            let error = filter.unwrap_err().to_string();
            assert!(error.starts_with(option) && error.contains(why), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
    }
}

#[test]
fn csv() {
    let mut out = Vec::new();
    csv::write(&blog().snapshot(), &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn formulas_are_defused() {
    let mut builder = blog();
    for door in &mut builder.cluster.doors {
        door.pod = Some("=HYPERLINK(\"http://x\")".into());
    }
    let mut out = Vec::new();
    csv::write(&builder.snapshot(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("'=HYPERLINK") && !text.contains(",=") && !text.contains(",\"="));
}

#[test]
fn json_snapshot() {
    let mut out = Vec::new();
    json::write(&blog().snapshot(), &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn wide_table() {
    for ascii in [false, true] {
        let style = Style {
            ascii,
            ..Style::default()
        };
        let wide = FORMATS.iter().find(|format| format.name == "wide").unwrap();
        let mut out = Vec::new();
        (wide.write)(&blog().snapshot(), style, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        match ascii {
            true => assert!(!text.contains(['▼', '▲', '–']), "{text}"),
            false => insta::assert_snapshot!(text),
        }
    }
}

/// No figure has more decimals than it is worth, as 61.199999999999996 has.
#[test]
fn figures_have_three_decimals_at_the_most() {
    let mut builder = blog();
    builder.now.at += std::time::Duration::from_nanos(1_234_567);
    let snapshot = builder.snapshot();
    let text = as_json(&snapshot).to_string();
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    for number in text.split(|c| !is_part(c)) {
        if let Some((whole, decimals)) = number.split_once('.')
            && whole.parse::<u64>().is_ok()
            && decimals.parse::<u64>().is_ok()
        {
            assert!(decimals.len() <= 3, "{number}");
        }
    }
    assert_eq!(
        snapshot.window_seconds,
        Some(rounded(snapshot.window_seconds.unwrap()))
    );
}

fn as_json(snapshot: &Snapshot) -> Value {
    let mut out = Vec::new();
    json::write_line(snapshot, &mut out).unwrap();
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
    serde_json::from_slice(&out).unwrap()
}

/// Field names that other programs rely on.
#[test]
fn json_names() {
    let value = as_json(&blog().snapshot());
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let has = |value: &Value, names: &[&str]| {
        for name in names {
            assert!(
                value.get(name).is_some(),
                "{name} is missing in {:?}",
                keys(value)
            );
        }
    };
    has(
        &value,
        &[
            "schema",
            "taken_at",
            "window_seconds",
            "nodes",
            "doors",
            "sources",
        ],
    );
    assert_eq!(value["schema"], "netviz.snapshot/2");
    assert_eq!(value["taken_at"], "2024-05-06T07:08:09.123Z");
    assert_eq!(value["window_seconds"], 1.0);
    has(&value["nodes"][0], &["name", "netns"]);
    let door = json!({
        "node": "mycluster-worker",
        "pod": "busybox-c8bbbbb84-t6ggh",
        "namespace": null,
        "interface": "lxc4a891387ff1a",
        "ifindex": 9,
        "peer_ifindex": 8,
        "peer_interface": "eth0",
        "netns": 4_026_532_100_u64,
        "kind": "veth",
        "addresses": [],
        "mac": "02:6e:04:00:00:09",
        "state": "counting",
        "reason": null,
    });
    let traffic = ["packets", "segments", "bytes", "packets_per_second"];
    for (name, wanted) in door.as_object().unwrap() {
        assert_eq!(&value["doors"][1][name], wanted, "{name}");
    }
    let count = json!({"packets": 1204, "segments": 1204, "bytes": 1204 * 98,
        "packets_per_second": 12.0, "bytes_per_second": 1176.0});
    assert_eq!(value["doors"][1]["ingress"], count);
    assert_eq!(value["doors"][1]["egress"], count);
    // Unknown values are present as null.
    let names: Vec<_> = keys(&value["doors"][0]);
    for door in value["doors"].as_array().unwrap() {
        assert_eq!(keys(door), names);
        has(&door["ingress"], &traffic);
        has(&door["egress"], &traffic);
    }
    let outside = value["doors"].as_array().unwrap().iter();
    let outside = outside
        .filter(|door| door["netns"].is_null())
        .collect::<Vec<_>>();
    assert_eq!(outside.len(), 1);
    for name in ["pod", "namespace", "interface", "mac", "mtu", "link_state"] {
        assert_eq!(outside[0][name], Value::Null, "{name}");
    }
    let words: std::collections::BTreeSet<_> = value["doors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|door| door["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        Vec::from_iter(words),
        ["blind", "bypassed", "counting", "gone"]
    );
    assert_eq!(
        value["sources"][0],
        json!({"source": "kernel", "node": null, "status": {"code": "ok", "detail": null}})
    );
}

/// A first reading has no interval, and no rate.
#[test]
fn json_of_a_first_sample() {
    let builder = blog();
    let snapshot = assemble(
        &builder.cluster,
        None,
        &builder.now,
        &mut LossTracker::default(),
        netviz_tests::builders::snapshot_builder::taken_at(),
    );
    let value = as_json(&snapshot);
    assert_eq!(value["window_seconds"], Value::Null);
    assert_eq!(value["doors"][1]["ingress"]["packets"], 1204);
    assert_eq!(
        value["doors"][1]["ingress"]["packets_per_second"],
        Value::Null
    );
    assert_eq!(complaints(&json::schema(), &value), [""; 0]);
}

/// A recorded snapshot is as good as a live one: identities, reasons and hostile names survive.
#[test]
fn json_is_read_back_as_it_was_written() {
    let random = (0..64).map(|seed| any(&mut Random(seed)));
    for snapshot in [blog().snapshot(), data::cluster("a\u{1b}[2Jb")]
        .into_iter()
        .chain(random)
    {
        let mut text = Vec::new();
        json::write(&snapshot, &mut text).unwrap();
        let read: Snapshot = serde_json::from_slice(&text).unwrap();
        assert_eq!(read, snapshot);
    }
}

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snapshot.schema.json");

#[test]
fn documented_schema_matches() {
    let schema = serde_json::to_string_pretty(&json::schema()).unwrap() + "\n";
    let there = std::fs::read_to_string(SCHEMA).unwrap_or_default();
    assert!(
        schema == there,
        "docs/snapshot.schema.json is not what `netviz schema` prints. If the change is wanted: cargo run -p netviz -- schema > docs/snapshot.schema.json; what was there before must stay valid, or netviz.snapshot gets the next number"
    );
}

#[test]
fn snapshots_match_the_schema() {
    let schema = json::schema();
    let value = as_json(&blog().snapshot());
    assert_eq!(complaints(&schema, &value), [""; 0]);
    assert_eq!(
        complaints(&schema, &as_json(&SnapshotBuilder::default().snapshot())),
        [""; 0]
    );
    // The schema refuses an absent field, an unknown field and a field of another type.
    let mut wrong = value.clone();
    wrong["doors"][0].as_object_mut().unwrap().remove("reason");
    wrong["doors"][1]["ifindex"] = json!("9");
    wrong["doors"][2]["more"] = json!(1);
    wrong["doors"][3]["state"] = json!("asleep");
    wrong["doors"][4]["ingress"]["packets"] = json!(-1);
    assert_eq!(
        complaints(&schema, &wrong).len(),
        5,
        "{:?}",
        complaints(&schema, &wrong)
    );
}

#[test]
fn lines_print_only_changes() {
    let hours = jiff::tz::Offset::constant(2);
    let mut lines = Lines::new(jiff::tz::TimeZone::fixed(hours));
    let mut builder = blog();
    let first = lines.next(&builder.snapshot());
    assert_eq!(
        lines.next(&builder.snapshot()),
        [""; 0],
        "nothing has changed"
    );
    let (pod, lxc) = ((4_026_532_101, 8), (4_026_532_100, 9));
    builder.flow(pod, lxc, 1_204, 1_216);
    // In the later snapshot, pending doors count, and the others are gone.
    for (netns, index) in [(4_026_532_206, 20), (4_026_532_200, 21)] {
        *builder.now(netns, index) = DoorSample {
            meter: AttachState::Counting,
            ..DoorSample::default()
        };
    }
    builder.now(4_026_532_200, 19).meter = AttachState::Gone;
    let second = lines.next(&builder.snapshot());
    insta::assert_snapshot!(format!("{}\n---\n{}", first.join("\n"), second.join("\n")));
}

#[test]
fn help() {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut text = vec![command.render_long_help().to_string()];
    for name in ["doors", "verify", "demo"] {
        let command = command.find_subcommand_mut(name).unwrap();
        text.push(command.render_long_help().to_string());
    }
    insta::assert_snapshot!(text.join("\n======\n"));
}

#[test]
fn truncated_text_fits_the_width() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..50_000 {
        let text = random.text();
        let name = safe(&text);
        assert!(!name.chars().any(char::is_control));
        assert_eq!(safe(&name), name);
        let width = usize::try_from(random.below(40)).unwrap();
        for cut in [cut_middle, cut_name, cut_end].map(|cut| cut(&name, width)) {
            assert!(
                cut.width() <= width,
                "{cut:?} is wider than {width}: {text:?}"
            );
            assert!(
                cut == name || width == 0 || cut.contains('…') || name.ends_with(&cut),
                "{cut:?} {name:?}"
            );
        }
        // With colours, never wider, whatever the contents.
        let cut = cut_end(&text, width);
        assert!(
            visible_width(&cut) <= width,
            "{cut:?} is wider than {width}"
        );
    }
}

#[test]
fn numbers_of_any_size_are_formatted() {
    let mut random = Random(7);
    for _ in 0..10_000 {
        let value = random.below(u64::MAX) >> random.below(64);
        assert_eq!(count(Some(value)).replace(' ', ""), value.to_string());
        assert!(bytes(Some(value)).len() <= 11, "{}", bytes(Some(value)));
        let text = rate(Some(value as f64));
        assert!(text.len() <= 26 && !text.contains('e'), "{text}");
    }
}

#[test]
fn filters_of_arbitrary_text_do_not_panic() {
    let mut random = Random(11);
    let snapshot = blog().snapshot();
    let (mut read, mut refused) = (0, 0);
    for _ in 0..3_000 {
        let text = [
            random.text(),
            "[a-*{,?}\\]"
                .chars()
                .filter(|_| random.below(2) > 0)
                .collect(),
        ]
        .concat();
        match Filter::new(&[], std::slice::from_ref(&text), &[]) {
            Ok(filter) => {
                read += 1;
                let _ = filter.check(&snapshot);
                filter.apply(&mut snapshot.clone());
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.to_string().lines().count(), 1, "{error}");
            }
        }
    }
    assert!(read > 100 && refused > 100, "{read} {refused}");
}

#[test]
fn numbers_are_formatted() {
    assert_eq!(count(None), "–");
    assert_eq!(count(Some(0)), "0");
    assert_eq!(count(Some(999)), "999");
    assert_eq!(count(Some(1_204)), "1 204");
    assert_eq!(count(Some(u64::MAX)), "18 446 744 073 709 551 615");
    assert_eq!(rate(Some(12.04)), "12.0");
    assert_eq!(rate(Some(1_000.4)), "1 000");
    assert_eq!(rate(Some(0.0)), "0");
    assert_eq!(bits(None), "–");
    assert_eq!(bits(Some(0.0)), "0");
    assert_eq!(bits(Some(10.0)), "80 bit/s");
    assert_eq!(bits(Some(76_500.0)), "612 kbit/s");
    assert_eq!(bits(Some(1_225_000.0)), "9.8 Mbit/s");
    assert_eq!(bits(Some(124_990_000.0)), "1.0 Gbit/s");
    assert_eq!(bytes(Some(1023)), "1023 B");
    assert_eq!(bytes(Some(1536)), "1.5 KiB");
    assert_eq!(bytes(Some(u64::MAX)), "16384.0 PiB");
}

#[test]
fn cutting_keeps_the_width_and_both_ends() {
    assert_eq!(
        cut_middle("busybox-c8bbbbb84-fmhwc", 23),
        "busybox-c8bbbbb84-fmhwc"
    );
    assert_eq!(cut_middle("busybox-c8bbbbb84-fmhwc", 14), "busybo…4-fmhwc");
    assert_eq!(cut_end("counting", 5), "coun…");
    assert_eq!(cut_middle("日本語日本語日本語", 6).width(), 5);
    assert_eq!(cut_middle("abc", 0), "");
    assert_eq!(cut_middle("abc", 1), "…");
}

#[test]
fn workload_and_last_characters_of_names_are_kept() {
    let pod = "networking101/busybox-c8bbbbb84-t6ggh";
    for (width, cut) in [
        (37, pod),
        (36, "networking1…/busybox-c8bbbbb84-t6ggh"),
        (25, "…/busybox-c8bbbbb84-t6ggh"),
        (23, "busybox-c8bbbbb84-t6ggh"),
        (20, "…/busybox-c8b…-t6ggh"),
        (17, "…/busybox-…-t6ggh"),
        (16, "busybox-c…-t6ggh"),
        (15, "busybox-…-t6ggh"),
        (10, "busy…t6ggh"),
    ] {
        assert_eq!(cut_name(pod, width), cut, "{width}");
    }
    // No ReplicaSet: the end is kept.
    assert_eq!(cut_name("databases/postgres-main-0", 15), "postgres-main-0");
    assert_eq!(cut_name("kube-system/kube-proxy-x2x4k", 12), "kube-…-x2x4k");
    // Not a namespace.
    assert_eq!(cut_name("uplink 172.18.0.2/16", 12), "uplin…0.2/16");
}

/// In every view: web-2 before web-10, worker2 before worker10, eth2 before eth10.
#[test]
fn names_are_in_natural_order() {
    let mut builder = SnapshotBuilder::default();
    for (netns, node) in [(10, "worker10"), (2, "worker2")] {
        let place = builder.node(node, netns, &[]);
        for pod in [10, 2] {
            let (eth0, lxc) = (
                end(netns * 100 + u64::from(pod), 2, "eth0"),
                end(netns, pod, "lxc"),
            );
            builder.pod(place, &format!("web-{pod}"), "10.0.0.1/32", &eth0, &lxc);
        }
        for (index, uplink) in [(110, "eth10"), (102, "eth2")] {
            builder.door(place, Side::Node, Role::Uplink, &end(netns, index, uplink));
        }
    }
    let mut snapshot = builder.snapshot();
    sort(&mut snapshot, Sort::Place);
    let table = draw(&snapshot, None, false);
    let map = building::text::draw(&building::Map::new(&snapshot), Style::default());
    for (view, text) in [("table", table), ("map", map)] {
        let place = |name: &str| {
            text.find(name)
                .unwrap_or_else(|| panic!("{name} in {text}"))
        };
        for (first, second) in [
            ("worker2", "worker10"),
            ("web-2", "web-10"),
            ("eth2", "eth10"),
        ] {
            assert!(
                place(first) < place(second),
                "{view}: {first}, {second}: {text}"
            );
        }
    }
}

#[test]
fn worst_interfaces_come_first() {
    let mut snapshot = blog().snapshot();
    sort(&mut snapshot, Sort::State);
    let worker2 = snapshot
        .doors
        .iter()
        .filter(|door| door.node == "mycluster-worker2");
    let pods: Vec<_> = worker2.filter_map(|door| door.pod.as_ref()).collect();
    assert_eq!(*pods[0], "busybox-c8bbbbb84-fmhwc", "it loses packets");
    assert_eq!(*pods[pods.len() - 1], "gone-pod");
}

#[test]
fn names_that_differ_are_cut_apart() {
    let names = ["team-a/frontend-canary-0", "team-b/frontend-canary-0", "x"];
    let cut = cut_apart(names.map(String::from), 10);
    assert_eq!(cut[names[0]], "…a/f…ary-0");
    assert_eq!(cut[names[1]], "…b/f…ary-0");
    assert_eq!(cut["x"], "x");
}

#[test]
fn long_text_is_wrapped() {
    assert_eq!(wrap("one two three", 20, 2), ["one two three"]);
    assert_eq!(wrap("one two three", 8, 2), ["one two", "  three"]);
    assert_eq!(wrap("extraordinarily long", 8, 2), ["extraor…", "  long"]);
}

#[test]
fn colours_have_no_width_and_end_at_the_cut() {
    let red = "\u{1b}[31mcounting\u{1b}[0m";
    assert_eq!(visible_width(red), 8);
    assert_eq!(cut_end(red, 8), red);
    assert_eq!(cut_end(red, 5), "\u{1b}[31mcoun…\u{1b}[0m");
}

#[test]
fn equal_failures_of_a_source_share_a_clause() {
    let names = |statuses: &[(&str, Status)]| {
        let status = |(node, status): &(&str, Status)| SourceStatus {
            source: Source::Cilium,
            node: Some((*node).into()),
            status: status.clone(),
        };
        let mut snapshot = blog().snapshot();
        snapshot.sources = statuses.iter().map(status).collect();
        let text = draw(&snapshot, None, false);
        text[text.find("names: ").unwrap()..].to_owned()
    };
    let failed = |reason: &str| Status::Failed {
        reason: reason.into(),
    };
    let all = [
        ("a", failed("no answer in 2 s")),
        ("b", failed("refused")),
        ("c", failed("no answer in 2 s")),
        ("d", failed("no answer in 2 s")),
        ("e", failed("no answer in 2 s")),
        ("f", Status::OK),
    ];
    assert_eq!(
        names(&all),
        "names: ; cilium: no answer in 2 s (a, c, d and 1 more), refused (b)"
    );
    assert_eq!(
        names(&[("a", Status::Absent), ("f", Status::OK)]),
        "names: ; cilium: ok on 1 of 2 nodes"
    );
}
