//! The map: the layout that all drawings share, and each drawing.

use std::collections::HashSet;

use netviz::{
    model::{Reason, Snapshot},
    views::{
        building::{
            Map, Origin, graph, json,
            layout::{Hallway, Layout},
            route::Flow,
            scene::{Line, Scene},
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
    let map = Map::new(snapshot).with_idle(true);
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

fn has(node: &roxmltree::Node<'_, '_>, class: &str) -> bool {
    let classes = node.attribute("class").unwrap_or_default();
    classes.split(' ').any(|it| it == class)
}

/// Returns the boxes of a class in the SVG: left, top, right, bottom.
fn boxes(tree: &roxmltree::Document<'_>, class: &str) -> Vec<[u32; 4]> {
    tree.descendants()
        .filter(|node| node.has_tag_name("rect") && has(node, class))
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
        let map = Map::new(&snapshot).with_idle(true);
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
                .take_while(|line| !line.starts_with("══"))
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
        for width in [80, 200] {
            let style = text::Style {
                width: Some(width),
                ..text::Style::default()
            };
            let drawn = text::draw(&map, style);
            let count = |needle: &str| drawn.matches(needle).count() as u64;
            let devices = count("4 cilium_vxlan ┄") + count("┄ cilium_vxlan  4");
            assert_eq!(devices, if tunnel { nodes } else { 0 }, "{drawn}");
            // The tunnel and the network leave each node through its wall.
            let joined = nodes > 1;
            let ways = if tunnel && joined { 2 } else { 1 };
            let inside = |line: &str| line.trim_end().trim_end_matches('│').contains('┼');
            let walls = drawn.lines().filter(|line| inside(line)).count() as u64;
            let rows = if width == 200 {
                nodes.div_ceil(2)
            } else {
                nodes
            };
            assert_eq!(
                walls,
                rows * ways,
                "{nodes} nodes, {width} columns:\n{drawn}"
            );
            assert_eq!(drawn.contains("between the nodes: "), joined);
            let network = drawn.contains("the network, 172.18.0.0/16");
            assert_eq!(network, joined && !tunnel);
            let below = drawn.contains("the tunnel, vxlan, over 172.18.0.0/16");
            assert_eq!(below, joined && tunnel);
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
        width: Some(200),
        ..text::Style::default()
    };
    let drawn = text::draw(&Map::new(&cluster(2, 1)), style);
    let line = drawn.lines().find(|line| line.contains("lxc0123456789ab"));
    let line = line.expect("a pod");
    assert!(
        line.contains("eth0 10 ▐┄┄┄┄┄┄┄▌ 11 lxc0123456789ab ┄"),
        "{line}"
    );
    assert!(
        line.contains("┄ lxc0123456789ab 11 ▐┄┄┄┄┄┄┄▌ eth0 10"),
        "{line}"
    );
}

/// Texts over each other, over a line, a door or a wall.
fn faults(scene: &Scene) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, label) in scene.labels.iter().enumerate() {
        let (text, row, (start, end)) = (&label.text, label.at.1, label.columns());
        let mut check = |what: &str, rows: (usize, usize), columns: (usize, usize)| {
            let same_row = (rows.0..=rows.1).contains(&row);
            if same_row && columns.0 < end && start <= columns.1 {
                faults.push(format!("{text:?} is over {what}"));
            }
        };
        for other in &scene.labels[place + 1..] {
            let (from, to) = other.columns();
            check(
                &other.text,
                (other.at.1, other.at.1),
                (from, to.saturating_sub(1)),
            );
        }
        for line in &scene.lines {
            check("a line", (line.from.1, line.to.1), (line.from.0, line.to.0));
        }
        for door in &scene.doors {
            check("a door", (door.at.1, door.at.1), (door.at.0, door.at.0));
        }
        for frame in &scene.frames {
            let rows = (frame.from.1, frame.to.1);
            for wall in [frame.from.0, frame.to.0] {
                check("a wall", rows, (wall, wall));
            }
        }
        check("the edge", (0, usize::MAX), (scene.size.0, usize::MAX));
    }
    faults
}

#[test]
fn no_text_is_over_another_or_over_a_line() {
    let mut random = Random(41);
    let pods = |nodes, pods| snapshot_builder::cluster(nodes, pods, true).snapshot();
    // 6, 60 and 330 pods.
    let mut snapshots = vec![pods(2, 3), pods(2, 30), pods(3, 110), blog().snapshot()];
    snapshots.extend((0..20).map(|_| snapshot_builder::any(&mut random)));
    for snapshot in snapshots {
        for idle in [false, true] {
            let map = Map::new(&snapshot).with_idle(idle);
            let none: [&str; 0] = [];
            assert_eq!(faults(&svg::scene(&map)), none, "{}", svg::draw(&map));
            for width in [80, 100, 180] {
                let style = text::Style {
                    width: Some(width),
                    full: true,
                    ..text::Style::default()
                };
                let faults = faults(&text::scene(&map, width));
                assert_eq!(faults, none, "{width}\n{}", text::draw(&map, style));
            }
        }
    }
}

/// Idle pods are a number, unless there are few, or `--idle` asks for them.
#[test]
fn idle_pods_are_folded() {
    let mut builder = snapshot_builder::cluster(1, 12, true);
    builder.flow((1004, 16), (1000, 17), 0, 5);
    builder.flow((1008, 24), (1000, 25), 0, 9);
    builder.at(1000, 31).problem = Some(Reason::TooFewFiles);
    let snapshot = builder.snapshot();
    let map = Map::new(&snapshot);
    let drawn = [
        text::draw(&map, text::Style::default()),
        svg::draw(&map),
        graph::mermaid(&map),
        graph::dot(&map),
    ];
    for text in &drawn {
        assert!(text.contains("+ 9 idle pods"), "{text}");
        // The busy ones, the busier one first, and the one with a remark.
        for pod in [3, 7, 10] {
            assert!(text.contains(&format!("shop-{pod}-7d996d7884")), "{text}");
        }
        assert!(!text.contains("shop-4-7d996d7884"), "{text}");
        assert!(
            text.find("shop-7-7d996d7884") < text.find("shop-3-7d996d7884"),
            "{text}"
        );
    }
    for text in drawings(&snapshot) {
        assert!(!text.contains("idle pods"), "{text}");
        assert!(text.contains("shop-4-7d996d7884"), "{text}");
    }
    let few = snapshot_builder::cluster(1, 5, true).snapshot();
    let few = text::draw(&Map::new(&few), text::Style::default());
    assert!(!few.contains("idle pods"), "{few}");
}

/// From a pod to the network between the nodes, without a gap.
#[test]
fn path_of_a_packet_is_drawn_without_a_gap() {
    let mut builder = snapshot_builder::cluster(2, 3, true);
    for node in [1000, 2000] {
        builder.flow((node + 1, 10), (node, 11), 0, 5);
        for gate in [4, 5] {
            let packets = |packets| snapshot_builder::counts(packets, packets, packets * 98);
            let both = [packets(0), packets(5)];
            builder.read(node, gate, both, both);
        }
    }
    let snapshot = builder.snapshot();
    let map = Map::new(&snapshot);
    let text = |width| text::scene(&map, width);
    for scene in [svg::scene(&map), text(80), text(100), text(200)] {
        let busy = |line: &&Line| matches!(line.flow, Flow::Busy(_)) && !line.tunnel;
        let cells_of = |line: &Line| {
            let (rows, columns) = (line.from.1..=line.to.1, line.from.0..=line.to.0);
            let cells = columns.flat_map(|x| rows.clone().map(move |y| (x, y)));
            cells.collect::<Vec<_>>()
        };
        let lines = scene.lines.iter().filter(busy);
        let mut cells: HashSet<_> = lines.flat_map(cells_of).collect();
        cells.extend(scene.doors.iter().map(|door| door.at));
        // A name beside its door is a part of the line.
        for label in &scene.labels {
            let (start, end) = label.columns();
            let columns = start.saturating_sub(3)..end + 3;
            cells.extend(columns.map(|x| (x, label.at.1)));
        }
        let mut doors = scene.doors.iter().filter(|door| !door.quiet);
        let first = doors.next().expect("a busy door").at;
        let (mut reached, mut next) = (HashSet::from([first]), vec![first]);
        while let Some((x, y)) = next.pop() {
            let (left, up) = (x.wrapping_sub(1), y.wrapping_sub(1));
            for cell in [(x + 1, y), (left, y), (x, y + 1), (x, up)] {
                if cells.contains(&cell) && reached.insert(cell) {
                    next.push(cell);
                }
            }
        }
        let missed: Vec<_> = doors.filter(|door| !reached.contains(&door.at)).collect();
        assert!(missed.is_empty(), "{missed:?}");
    }
}

#[test]
fn origin_is_in_every_drawing_for_people() {
    let snapshot = blog().snapshot();
    let origin = Origin {
        time: Some("2024-05-06T09:08:09+02:00".into()),
        host: Some("machine".into()),
        cluster: Some("kind".into()),
        version: Some("1.2.3".into()),
    };
    let map = Map::new(&snapshot).with_origin(origin);
    let line = "2024-05-06T09:08:09+02:00 · machine · cluster kind · netviz 1.2.3";
    let text = text::draw(&map, text::Style::default());
    for text in [text, svg::draw(&map), svg::page(&map)] {
        assert!(text.contains(line), "{text}");
    }
}
