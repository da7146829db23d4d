//! The layout that every drawing of the building shares.

use netviz::views::layout::{Hallway, Layout};
use netviz_tests::cli::sight::blog;

#[test]
fn every_door_has_one_place_and_input_order_does_not_matter() {
    let mut snapshot = blog().snapshot();
    let layout = Layout::new(&snapshot);
    let halls = layout
        .buildings
        .iter()
        .flat_map(|building| [&building.rooms, &building.inner, &building.gates])
        .flatten();
    let ends = |hall: &Hallway| [Some(hall.far), hall.near];
    let mut placed: Vec<_> = halls.flat_map(ends).flatten().collect();
    let mut doors: Vec<_> = snapshot.doors.iter().map(|door| door.id).collect();
    placed.sort();
    doors.sort();
    assert_eq!(placed, doors);
    for _ in 0..snapshot.doors.len() {
        snapshot.doors.rotate_left(1);
        snapshot.corridors.reverse();
        assert_eq!(Layout::new(&snapshot), layout);
    }
    snapshot.doors.reverse();
    assert_eq!(Layout::new(&snapshot), layout);
}
