//! The building, drawn: the layout that all drawings share, and each of them.

use netviz::{
    model::{Role, Side, Snapshot},
    views::{
        layout::{Hallway, Layout},
        map::{Map, graph, svg, text},
        text::visible_width,
    },
};
use netviz_tests::{
    cli::{
        random::Random,
        sight::{Sight, blog, end},
    },
    hostile::NAMES,
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
    other.corridors.reverse();
    other.nodes.reverse();
    other
}

fn drawings(snapshot: &Snapshot) -> Vec<String> {
    let map = Map::new(snapshot);
    let style = text::Style {
        width: 100,
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

/// A cluster of so many nodes with so many pods each.
fn cluster(nodes: u64, pods: u32) -> Snapshot {
    let mut sight = Sight::default();
    for node in 1..=nodes {
        let netns = node * 1_000;
        let place = sight.node(&format!("worker{node}"), netns, &["172.18.0.2/16"]);
        sight.door(
            place,
            Side::Node,
            Role::Overlay,
            &end(netns, 4, "cilium_vxlan"),
        );
        for pod in 0..pods {
            let index = 10 + 2 * pod;
            sight.pod(
                place,
                &format!("shop-{pod}-7d996d7884-{node}{pod:04}"),
                &format!("10.{node}.0.{}/32", pod + 1),
                &end(netns + 1 + u64::from(pod), index, "eth0"),
                &end(netns, index + 1, "lxc0123456789ab"),
            );
        }
    }
    sight.snapshot()
}

#[test]
fn every_door_has_one_place_and_no_order_of_input_changes_a_byte() {
    let mut random = Random(7);
    for snapshot in [blog().snapshot(), cluster(1, 1), cluster(3, 110)] {
        let mut doors: Vec<_> = snapshot.doors.iter().map(|door| door.id).collect();
        doors.sort();
        assert_eq!(doors_of(&Layout::new(&snapshot)), doors);
        // The page has the table in it, which is in the order of the snapshot.
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

#[test]
fn rooms_and_doors_do_not_overlap_in_the_picture() {
    let picture = svg::draw(&Map::new(&cluster(3, 110)));
    let tree = roxmltree::Document::parse(&picture).expect("XML");
    let mut rooms: Vec<(u32, u32)> = tree
        .descendants()
        .filter(|node| node.has_tag_name("rect") && node.attribute("class") == Some("r"))
        .map(|node| {
            let number = |name| node.attribute(name).and_then(|text| text.parse().ok());
            let top: u32 = number("y").expect("a number");
            (top, top + number("height").expect("a number"))
        })
        .collect();
    rooms.sort_unstable();
    assert_eq!(rooms.len(), 330);
    assert!(rooms.windows(2).all(|pair| pair[0].1 < pair[1].0));
    // No two texts begin at one place.
    let mut places: Vec<_> = tree
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .map(|node| (node.attribute("x"), node.attribute("y")))
        .collect();
    let all = places.len();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), all);
}

#[test]
fn no_line_is_wider_than_the_drawing() {
    let snapshot = blog().snapshot();
    for width in [0, 80, 81, 95, 110] {
        for ascii in [false, true] {
            let style = text::Style {
                width,
                ascii,
                mac: true,
            };
            let drawn = text::draw(&Map::new(&snapshot), style);
            let limit = width.max(text::NARROWEST);
            for line in drawn.lines() {
                assert!(visible_width(line) <= limit, "{width}: {line}");
                let wall = line.starts_with(['│', '┌', '└']);
                assert!(!wall || visible_width(line) == limit, "{width}: {line}");
            }
        }
    }
}

#[test]
fn hostile_names_stay_text() {
    for (_, name) in NAMES {
        let mut snapshot = cluster(2, 2);
        for door in &mut snapshot.doors {
            door.node = name.into();
            door.pod = Some(name.into());
            door.namespace = Some(name.into());
            door.interface = Some(name.into());
            door.reason = Some(name.into());
            door.mac = Some(name.into());
            door.addresses = vec![name.into()];
        }
        for node in &mut snapshot.nodes {
            node.name = name.into();
        }
        let map = Map::new(&snapshot);
        for drawn in drawings(&snapshot) {
            let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!drawn.contains(bad), "{name:?}");
            // Text and DOT are no HTML.
            let markup = drawn.starts_with('<') || drawn.starts_with("flowchart");
            assert!(!markup || !drawn.contains("<script"), "{name:?}");
        }
        let picture = svg::draw(&map);
        let tree = roxmltree::Document::parse(&picture).expect("XML");
        let known = ["svg", "title", "desc", "style", "g", "rect", "text", "line"];
        let mut elements = tree.descendants().filter(roxmltree::Node::is_element);
        assert!(elements.all(|node| known.contains(&node.tag_name().name())));
        // What a name could end is not ended: quotes are where the drawing put them.
        for line in graph::mermaid(&map).lines() {
            assert_eq!(line.matches('"').count() % 2, 0, "{line}");
            assert!(line.matches('"').count() <= 2, "{line}");
        }
        for line in graph::dot(&map).lines() {
            let bare = line.replace("\\\\", "").replace("\\\"", "");
            assert!(bare.matches('"').count() <= 2, "{line}");
            assert_eq!(bare.matches('"').count() % 2, 0, "{line}");
        }
    }
}

#[test]
fn a_name_that_is_cut_says_so() {
    let mut snapshot = cluster(1, 1);
    let long = format!("start-{}-end", "x".repeat(200));
    for door in &mut snapshot.doors {
        door.pod = Some(long.clone());
    }
    for drawn in &drawings(&snapshot)[..2] {
        assert!(!drawn.contains(&long));
        let cut = drawn.lines().find(|line| line.contains("start-xxx"));
        assert!(cut.is_some_and(|line| line.contains('…') && line.contains("-end")));
    }
}

#[test]
fn the_blog_s_cluster() {
    let snapshot = blog().snapshot();
    let drawn = drawings(&snapshot);
    insta::assert_snapshot!("map_text", drawn[0]);
    insta::assert_snapshot!("map_svg", drawn[1]);
    insta::assert_snapshot!("map_mermaid", drawn[3]);
    insta::assert_snapshot!("map_dot", drawn[4]);
}
