//! The map: the layout that all drawings share, and each drawing.

use netviz::{
    model::{Reason, Snapshot},
    views::{
        building::{
            Map, graph, json,
            layout::{Hallway, Layout},
            svg, text,
        },
        text::visible_width,
    },
};
use netviz_tests::{
    builders::{
        random::Random,
        snapshot_builder::{self, SnapshotBuilder, blog},
    },
    cli::schema::complaints,
};

fn doors_of(layout: &Layout) -> Vec<netviz::model::DoorId> {
    let halls = layout
        .buildings
        .iter()
        .flat_map(|building| [&building.rooms, &building.inner, &building.gates])
        .flatten();
    let ends = |hall: &Hallway| [Some(hall.far), hall.near];
    let mut placed: Vec<_> = halls.flat_map(ends).flatten().collect();
    placed.sort();
    placed
}

fn shuffled(snapshot: &Snapshot, random: &mut Random) -> Snapshot {
    let mut other = snapshot.clone();
    for place in (1..other.doors.len()).rev() {
        let with = usize::try_from(random.below(place as u64 + 1)).expect("small");
        other.doors.swap(place, with);
    }
    other.pairs.reverse();
    other.nodes.reverse();
    other.pods.reverse();
    other
}

fn drawings(snapshot: &Snapshot) -> Vec<String> {
    let map = Map::new(snapshot);
    let style = text::Style {
        width: Some(100),
        ..text::Style::default()
    };
    vec![
        text::draw(&map, style),
        svg::draw(&map),
        svg::page(&map),
        graph::mermaid(&map),
        graph::dot(&map),
    ]
}

fn cluster(nodes: u64, pods: u32) -> Snapshot {
    snapshot_builder::cluster(nodes, pods, true).snapshot()
}

#[test]
fn layout_is_independent_of_input_order() {
    let mut random = Random(7);
    let mut snapshots = vec![blog().snapshot(), cluster(1, 1), cluster(3, 110)];
    snapshots.extend((0..30).map(|_| snapshot_builder::any(&mut random)));
    for snapshot in snapshots {
        let mut doors: Vec<_> = snapshot.doors.iter().map(|door| door.id).collect();
        doors.sort();
        assert_eq!(doors_of(&Layout::new(&snapshot)), doors);
        // The page contains the table, which is in the order of the snapshot.
        let without_page = |snapshot: &Snapshot| {
            let mut drawn = drawings(snapshot);
            drawn.remove(2);
            drawn
        };
        let drawn = without_page(&snapshot);
        for _ in 0..5 {
            assert_eq!(without_page(&shuffled(&snapshot, &mut random)), drawn);
        }
    }
}

#[test]
fn every_door_is_in_every_drawing() {
    let snapshot = cluster(3, 110);
    for drawn in drawings(&snapshot) {
        let lines = |needle: &str| drawn.matches(needle).count();
        assert!(
            lines("lxc0123456789ab") >= 330,
            "{}",
            lines("lxc0123456789ab")
        );
        assert!(lines("eth0") >= 330);
        assert!(lines("cilium_vxlan") >= 3);
    }
}

/// Returns the boxes of a class in the SVG: left, top, right, bottom.
fn boxes(tree: &roxmltree::Document<'_>, class: &str) -> Vec<[u32; 4]> {
    tree.descendants()
        .filter(|node| node.has_tag_name("rect") && node.attribute("class") == Some(class))
        .map(|node| {
            let number = |name| node.attribute(name).and_then(|text| text.parse().ok());
            let [x, y, width, height]: [u32; 4] =
                ["x", "y", "width", "height"].map(|name| number(name).expect("a number"));
            [x, y, x + width, y + height]
        })
        .collect()
}

fn overlap(a: &[u32; 4], b: &[u32; 4]) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

#[test]
fn rooms_and_doors_do_not_overlap_in_the_picture() {
    let mut random = Random(11);
    let mut snapshots = vec![cluster(3, 110), cluster(1, 1), blog().snapshot()];
    snapshots.extend((0..40).map(|_| snapshot_builder::any(&mut random)));
    for snapshot in snapshots {
        let map = Map::new(&snapshot);
        let picture = svg::draw(&map);
        let tree = roxmltree::Document::parse(&picture).expect("XML");
        let (houses, rooms) = (boxes(&tree, "n"), boxes(&tree, "r"));
        let wanted = map.layout.buildings.iter().map(|it| it.rooms.len());
        assert_eq!(rooms.len(), wanted.sum::<usize>());
        assert_eq!(houses.len(), map.layout.buildings.len());
        for all in [&houses, &rooms] {
            for (place, one) in all.iter().enumerate() {
                assert!(!all[place + 1..].iter().any(|other| overlap(one, other)));
            }
        }
        // Each pod is inside one node.
        let inside =
            |a: &[u32; 4], b: &[u32; 4]| a[0] > b[0] && a[1] > b[1] && a[2] < b[2] && a[3] < b[3];
        for room in &rooms {
            assert!(houses.iter().any(|house| inside(room, house)), "{room:?}");
        }
        // No two texts start at one position.
        let texts = tree.descendants().filter(|node| node.has_tag_name("text"));
        let mut places: Vec<_> = texts
            .map(|node| ["x", "y", "text-anchor"].map(|name| node.attribute(name)))
            .collect();
        let all = places.len();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), all);
    }
}

#[test]
fn no_line_is_wider_than_the_drawing() {
    let mut random = Random(5);
    let mut snapshots = vec![blog().snapshot(), cluster(3, 2)];
    snapshots.extend((0..40).map(|_| snapshot_builder::any(&mut random)));
    for snapshot in &snapshots {
        for width in [0, 80, 81, 95, 110, 159, 160, 161, 200, 300] {
            for ascii in [false, true] {
                let style = text::Style {
                    width: Some(width),
                    ascii,
                    full: true,
                    colour: false,
                };
                let drawn = text::draw(&Map::new(snapshot), style);
                let limit = width.max(text::NARROWEST);
                for line in drawn.lines() {
                    assert!(visible_width(line) <= limit, "{width}: {line}\n{drawn}");
                }
            }
        }
    }
}

/// The walls of the nodes on the left, and of those on the right, are aligned.
#[test]
fn walls_are_aligned() {
    let mut random = Random(23);
    for _ in 0..60 {
        let snapshot = snapshot_builder::any(&mut random);
        let map = Map::new(&snapshot);
        for width in [80, 160, 230] {
            let style = text::Style {
                width: Some(width),
                ..text::Style::default()
            };
            let drawn = text::draw(&map, style);
            let columns = |line: &str| -> Vec<usize> {
                let mut at = 0;
                let walls = line.char_indices().filter_map(|(place, c)| {
                    at = visible_width(&line[..place]);
                    "│╪┼┌┐└┘".contains(c).then_some(at)
                });
                walls.collect()
            };
            let lines: Vec<_> = drawn
                .lines()
                .take_while(|line| !line.starts_with('▼'))
                .collect();
            let top = lines[0];
            let right = visible_width(&top[..top.find('┐').expect("a corner")]);
            let houses = lines
                .iter()
                .filter(|line| line.starts_with(['│', '┌', '└']));
            for line in houses {
                let walls = columns(line);
                assert!(
                    walls.contains(&0) && walls.contains(&right),
                    "{line}\n{drawn}"
                );
            }
        }
    }
}

/// Every node is joined to the one line from the first node to the last.
#[test]
fn tunnel_connects_nodes() {
    for (nodes, tunnel) in [(1, true), (2, true), (3, true), (5, true), (3, false)] {
        let snapshot = snapshot_builder::cluster(nodes, 2, tunnel).snapshot();
        let map = Map::new(&snapshot);
        for width in [80, 160] {
            let style = text::Style {
                width: Some(width),
                ..text::Style::default()
            };
            let drawn = text::draw(&map, style);
            let gate = if tunnel {
                "cilium_vxlan 4 ▐"
            } else {
                "eth0 5 ▐"
            };
            let turned = if tunnel {
                "▌ 4 cilium_vxlan"
            } else {
                "▌ 5 eth0"
            };
            let gates = |needle: &str| drawn.matches(needle).count() as u64;
            assert_eq!(gates(gate) + gates(turned), nodes, "{drawn}");
            let joints: String = drawn.chars().filter(|c| "╗╝╔╚╠╣╬╦╩".contains(*c)).collect();
            let wanted = match (nodes, width) {
                (1, _) => "",
                (2, 80) => "╗╝",
                // A straight crossing.
                (2, _) => "",
                (3, 80) => "╗╣╝",
                (3, _) => "╦╝",
                (5, 80) => "╗╣╣╣╝",
                _ => "╦╬╝",
            };
            assert_eq!(joints, wanted, "{nodes} nodes, {width} columns:\n{drawn}");
            let has_network = drawn.contains("Between the nodes: ");
            assert_eq!(has_network, nodes > 1);
            let network = drawn.contains("the network, 172.18.0.0/16");
            assert_eq!(network, nodes > 1 && !tunnel);
        }
    }
}

#[test]
fn cilium_host_is_off_the_path_only_with_pod_traffic() {
    let drawn = |builder: &snapshot_builder::SnapshotBuilder| drawings(&builder.snapshot());
    let note = "not on this path";
    let mut builder = snapshot_builder::cluster(1, 1, true);
    // Without any traffic.
    assert!(drawn(&builder).iter().all(|text| !text.contains(note)));
    builder.flow((1001, 10), (1000, 11), 0, 5);
    for text in drawn(&builder) {
        assert!(text.contains(note), "{text}");
    }
    // One packet between a pod and its node, but no others.
    builder.flow((1000, 2), (1000, 3), 0, 1);
    assert!(drawn(&builder).iter().all(|text| !text.contains(note)));
    // Unknown.
    builder.flow((1000, 2), (1000, 3), 0, 0);
    builder.now(1000, 3).ingress = None;
    assert!(drawn(&builder).iter().all(|text| !text.contains(note)));
}

#[test]
fn notes_are_in_every_drawing() {
    let mut builder = snapshot_builder::cluster(2, 40, true);
    for pod in 0..40 {
        builder.at(1000, 11 + 2 * pod).problem = Some(Reason::Unreachable {
            nsid: i32::try_from(pod).unwrap(),
        });
    }
    builder.at(2000, 4).problem = Some(Reason::TooFewFiles);
    let shown = drawings(&builder.snapshot());
    for text in &shown {
        assert!(text.contains("too few file descriptors left"), "{text}");
        assert!(text.contains("cannot be found from here"), "{text}");
    }
    // For 40 doors, the note appears once.
    assert_eq!(shown[0].matches("cannot be found from here").count(), 1);
    assert!(
        shown[0].contains("at 40 doors: blind: its network namespace cannot be found from here"),
        "{}",
        shown[0]
    );
}

#[test]
fn hidden_peer_is_named_by_its_ifindex() {
    let mut snapshot = cluster(1, 1);
    snapshot.doors.retain(|door| door.ifindex != 10);
    snapshot.pairs.clear();
    for text in drawings(&snapshot) {
        assert!(text.contains("11@if10"), "{text}");
    }
}

#[test]
fn json_layout_names_doors_of_the_snapshot() {
    let snapshot = blog().snapshot();
    let map = Map::new(&snapshot);
    let written = serde_json::to_value(json::drawing(&map)).expect("JSON");
    assert_eq!(written["schema"], json::SCHEMA);
    assert_eq!(
        written["snapshot"],
        serde_json::to_value(&snapshot).expect("JSON")
    );
    let doors = written["snapshot"]["doors"].as_array().expect("doors");
    let mut placed = 0;
    for building in written["layout"]["buildings"]
        .as_array()
        .expect("buildings")
    {
        for halls in ["rooms", "inner", "gates"] {
            for hall in building[halls].as_array().expect("hallways") {
                for end in [&hall["far"], &hall["near"]] {
                    let same = |door: &&serde_json::Value| door["id"] == *end;
                    placed += usize::from(doors.iter().any(|door| same(&door)));
                }
            }
        }
    }
    assert_eq!(placed, doors.len());
}

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/map.schema.json");

#[test]
fn documented_schema_matches() {
    let schema = serde_json::to_string_pretty(&json::schema()).expect("JSON") + "\n";
    let there = std::fs::read_to_string(SCHEMA).unwrap_or_default();
    assert!(
        schema == there,
        "docs/map.schema.json is not what `netviz schema map` prints. If the change is wanted: cargo run -p netviz -- schema map > docs/map.schema.json; what was there before must stay valid, or netviz.map gets the next number"
    );
}

#[test]
fn maps_match_the_schema() {
    let schema = json::schema();
    let written = |snapshot: &Snapshot| {
        serde_json::to_value(json::drawing(&Map::new(snapshot))).expect("JSON")
    };
    let mut random = Random(29);
    let mut snapshots = vec![
        SnapshotBuilder::default().snapshot(),
        blog().snapshot(),
        cluster(3, 2),
    ];
    snapshots.extend((0..10).map(|_| snapshot_builder::any(&mut random)));
    for snapshot in &snapshots {
        assert_eq!(complaints(&schema, &written(snapshot)), [""; 0]);
    }
    // The schema refuses an absent field, an unknown field and a field of another type.
    let mut wrong = written(&blog().snapshot());
    let building = &mut wrong["layout"]["buildings"][0];
    building.as_object_mut().expect("an object").remove("rooms");
    building["inner"][0]["far"]["ifindex"] = "9".into();
    building["gates"][0]["role"] = "window".into();
    wrong["layout"]["way"]["more"] = 1.into();
    wrong["snapshot"]["doors"][0]["state"] = "asleep".into();
    assert_eq!(
        complaints(&schema, &wrong).len(),
        5,
        "{:?}",
        complaints(&schema, &wrong)
    );
}

#[test]
fn host_network_pods_are_in_every_drawing() {
    let mut builder = snapshot_builder::cluster(2, 1, true);
    for pod in 0..12 {
        builder.host_network_pod(1, &format!("agent-{pod:04}"));
    }
    for text in drawings(&builder.snapshot()) {
        let text = text.replace("&#39;", "'");
        let notes = text.matches("in the node's own network").count();
        assert_eq!(notes, 1, "{text}");
        for pod in 0..12 {
            let name = format!("kube-system/agent-{pod:04}");
            assert!(text.contains(&name), "{text}");
        }
    }
    // However many there are, the drawing stays complete and reports what it omits.
    for pod in 12..5_000 {
        builder.host_network_pod(1, &format!("agent-{pod:04}"));
    }
    for text in drawings(&builder.snapshot()) {
        assert!(text.contains("and 4970 more"), "{text}");
        assert!(!text.contains("agent-0030"), "{text}");
    }
}

#[test]
fn truncated_name_is_marked() {
    let mut snapshot = cluster(1, 1);
    let long = format!("start-{}-end", "x".repeat(200));
    for door in &mut snapshot.doors {
        door.pod = Some((&long).into());
    }
    let [text, picture] = &drawings(&snapshot)[..2] else {
        unreachable!("there are more")
    };
    // The tooltip of a pod has the full text.
    let title = format!("<title>{long}</title>");
    assert!(picture.contains(&title));
    for drawn in [text, &picture.replace(&title, "")] {
        assert!(!drawn.contains(&long));
        let cut = drawn.lines().find(|line| line.contains("start-xxx"));
        assert!(cut.is_some_and(|line| line.contains('…') && line.contains("-end")));
    }
}

#[test]
fn blog_cluster() {
    let snapshot = blog().snapshot();
    let drawn = drawings(&snapshot);
    insta::assert_snapshot!("map_text", drawn[0]);
    let wide = text::Style {
        width: Some(170),
        full: true,
        ..text::Style::default()
    };
    insta::assert_snapshot!("map_text_wide", text::draw(&Map::new(&snapshot), wide));
    let plain = text::Style {
        width: Some(80),
        ascii: true,
        ..text::Style::default()
    };
    insta::assert_snapshot!("map_text_ascii", text::draw(&Map::new(&snapshot), plain));
    let native = snapshot_builder::cluster(3, 1, false).snapshot();
    insta::assert_snapshot!("map_text_native", drawings(&native)[0]);
    insta::assert_snapshot!("map_svg", drawn[1]);
    insta::assert_snapshot!("map_mermaid", drawn[3]);
    insta::assert_snapshot!("map_dot", drawn[4]);
}

#[test]
fn connection_is_the_network_of_the_uplinks() {
    let name = |address: &str| {
        let mut snapshot = snapshot_builder::cluster(2, 1, false).snapshot();
        for door in snapshot.doors.iter_mut().filter(|door| door.ifindex == 5) {
            door.addresses = vec![address.parse().expect("an address")];
        }
        Layout::new(&snapshot).way.and_then(|way| way.name)
    };
    assert_eq!(name("172.18.0.2/16").as_deref(), Some("172.18.0.0/16"));
    assert_eq!(name("fd00::4/64").as_deref(), Some("fd00::/64"));
    for single in ["10.0.0.1/32", "fe80::1/64", "::1/128"] {
        assert_eq!(name(single), None, "{single}");
    }
}

#[test]
fn mirrored_text_stays_readable() {
    let style = text::Style {
        width: Some(160),
        ..text::Style::default()
    };
    let drawn = text::draw(&Map::new(&cluster(2, 1)), style);
    assert!(
        drawn.contains("eth0 10 ▐╪┄┄┄┄┄╪▌ 11 lxc0123456789ab"),
        "{drawn}"
    );
    assert!(
        drawn.contains("lxc0123456789ab 11 ▐╪┄┄┄┄┄╪▌ 10 eth0"),
        "{drawn}"
    );
}
