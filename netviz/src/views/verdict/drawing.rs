//! The path in the building: the doors of the request numbered in order, those of the reply beside
//! them, and a loss marked where it happened.

use super::{
    ladder::{self, NARROWEST, WIDEST},
    path::{Path, State, Tone, of},
    words::{end, summary},
};
use crate::{
    model::Snapshot,
    verify::{CrossingRow, Verdict, Way},
    views::{
        building::{
            Map, Origin,
            route::{Flow, Leg, Route, Stop, StopKind},
            svg::{self, Caption, CaptionKind},
            text,
        },
        text::Style,
    },
};

/// A verdict, the doors around its path, and where the drawing is made.
#[derive(Debug)]
pub struct Drawing<'a> {
    verdict: &'a Verdict,
    map: Map<'a>,
}

impl<'a> Drawing<'a> {
    /// Puts the path of `verdict` into the building of `snapshot`.
    #[must_use]
    pub fn new(verdict: &'a Verdict, snapshot: &'a Snapshot, origin: Origin) -> Self {
        let map = Map::new(snapshot).with_origin(origin);
        Self {
            verdict,
            map: map.with_route(route(verdict)),
        }
    }

    /// Draws it in characters, without a line break at the end.
    #[must_use]
    pub fn text(&self, style: Style) -> String {
        let width = style.width.unwrap_or(WIDEST).clamp(NARROWEST, WIDEST);
        let opening = ladder::opening(self.verdict, width);
        let style = Style {
            full: false,
            ..style
        };
        let opening = ladder::print(opening, width, style);
        format!("{opening}\n{}", text::draw(&self.map, style))
    }

    /// Draws it as a picture.
    #[must_use]
    pub fn svg(&self) -> String {
        let lines = ladder::opening(self.verdict, svg::columns(&self.map));
        let lines = lines.into_iter().filter(|(_, line)| !line.is_empty());
        let caption = |(place, (tone, text))| Caption {
            kind: match tone {
                _ if place == 0 => CaptionKind::Title,
                Tone::Plain | Tone::Faint => CaptionKind::Detail,
                Tone::Good => CaptionKind::Good,
                Tone::Odd => CaptionKind::Odd,
                Tone::Bad => CaptionKind::Bad,
            },
            text,
        };
        let captions: Vec<_> = lines.enumerate().map(caption).collect();
        svg::captioned(&self.map, &self.title(), &captions)
    }

    /// Draws it as a page, with the ladder below the picture.
    #[must_use]
    pub fn page(&self) -> String {
        let style = Style {
            full: true,
            ..Style::default()
        };
        svg::document(
            &self.title(),
            &self.svg(),
            &ladder::draw(self.verdict, style),
        )
    }

    fn title(&self) -> String {
        let Verdict {
            from, to, verdict, ..
        } = self.verdict;
        let word = verdict.word().to_uppercase();
        format!(
            "{} -> {}: {word}  {}",
            end(from),
            end(to),
            summary(self.verdict)
        )
    }
}

/// Both ways of a verdict; a reply only if there was one.
fn route(verdict: &Verdict) -> Route {
    let mut route = Route::default();
    for way in [Way::Request, Way::Reply] {
        let packets = of(verdict, way);
        if way == Way::Request || packets > 0 {
            add(&mut route, verdict, way);
        }
    }
    route
}

fn add(route: &mut Route, verdict: &Verdict, way: Way) {
    let (rows, path) = (verdict.rows(way), Path::new(verdict, way));
    let (kind, flow) = match way {
        Way::Request => (StopKind::Request, Flow::Request),
        Way::Reply => (StopKind::Reply, Flow::Reply),
    };
    let whole = format!("{0}/{0}", path.of);
    for (place, (row, rung)) in rows.iter().zip(&path.rungs).enumerate() {
        let Some(door) = row.door else { continue };
        let number = rung.number.map_or_else(|| "·".into(), |it| it.to_string());
        let mut text = format!("{number} {}", rung.direction.sign());
        match rung.state {
            State::Skipped => text.push_str(" skipped"),
            // The reply's figures only where they are not those of the request.
            _ if way == Way::Reply && rung.seen == whole => {}
            _ => text.push_str(&format!(" {}", rung.seen)),
        }
        let lost = lost(verdict, way, place);
        if lost > 0 {
            text.push_str(&format!(" ✗ {lost} lost"));
        }
        if way == Way::Reply {
            text = format!("({text})");
        }
        let kind = if lost > 0 { StopKind::Lost } else { kind };
        route
            .stops
            .entry(door)
            .or_default()
            .push(Stop { text, kind });
    }
    let last = path
        .rungs
        .iter()
        .rposition(|rung| rung.state == State::Crossed);
    for (place, pair) in rows.windows(2).enumerate() {
        let flow = match last {
            Some(last) if place < last => flow,
            Some(last) if place == last => Flow::Lost,
            _ => break,
        };
        route.legs.extend(leg(&pair[0], &pair[1], flow));
    }
    route.legs.extend(outside(verdict, way, last, flow));
}

fn leg(from: &CrossingRow, to: &CrossingRow, flow: Flow) -> Option<Leg> {
    Some(Leg {
        from: from.door?,
        to: Some(to.door?),
        flow,
    })
}

/// The step from or to an end that is not here.
fn outside(verdict: &Verdict, way: Way, last: Option<usize>, flow: Flow) -> Option<Leg> {
    let rows = verdict.rows(way);
    let row = match way {
        _ if verdict.to.node.is_some() => None,
        Way::Request => last
            .filter(|last| last + 1 == rows.len())
            .and_then(|last| rows.get(last)),
        Way::Reply => rows.first(),
    };
    Some(Leg {
        from: row?.door?,
        to: None,
        flow,
    })
}

/// The packets that ended before a door, or behind it if no other is expected.
fn lost(verdict: &Verdict, way: Way, place: usize) -> u32 {
    let losses = verdict.losses.iter().filter(|loss| loss.way == way);
    let here = losses.filter(|loss| match loss.before.or(loss.after) {
        _ if !loss.circle.is_empty() => loss.circle.contains(&place),
        end => end == Some(place),
    });
    here.map(|loss| loss.packets).fold(0, u32::saturating_add)
}
