//! The lines above and below the list.

use jiff::tz::TimeZone;
use ratatui::{
    style::Modifier,
    text::{Line, Span},
};

use super::{cells::style, state::State};
use crate::{
    model::Snapshot,
    views::{
        order::Sort,
        sources, summary,
        text::{list, safe, visible_width},
    },
};

/// States and settings on the left; nodes, interval and clock on the right, as far as they fit.
pub(super) fn header(state: &State, width: usize) -> Line<'static> {
    let mut left = states(state, true);
    left.extend(settings(state));
    let wide = |spans: &[Span]| {
        spans
            .iter()
            .map(|it| visible_width(&it.content))
            .sum::<usize>()
    };
    if wide(&left) > width {
        left = states(state, false);
        left.extend(settings(state));
    }
    let room = width.saturating_sub(wide(&left));
    // The clock is worth most.
    let Some(mut right) = state.shown.as_ref().map(|shown| clock(state, shown)) else {
        return left.into();
    };
    for part in [interval(state), nodes(state)] {
        let more = format!("{part}   {right}");
        if visible_width(&more) + 3 <= room {
            right = more;
        }
    }
    if let Some(pad) = room
        .checked_sub(visible_width(&right))
        .filter(|pad| *pad >= 2)
    {
        left.push(Span::raw(format!("{:pad$}{right}", "")));
    }
    left.into()
}

/// `26 interfaces  24 ok  1 losing  1 blind`, or the same in signs.
fn states(state: &State, words: bool) -> Vec<Span<'static>> {
    let Some(snapshot) = &state.shown else {
        return vec![Span::styled("netviz", Modifier::BOLD)];
    };
    let number = snapshot.doors.len();
    let mut spans = match words {
        true => vec![
            Span::styled("netviz", Modifier::BOLD),
            Span::raw(format!("  {number} interfaces")),
        ],
        false => vec![Span::raw(number.to_string())],
    };
    for (status, number) in summary::states(snapshot) {
        let text = match words {
            true => format!("  {number} {}", status.word()),
            false => format!(" {}{number}", status.sign()),
        };
        spans.push(Span::styled(text, style(state, status)));
    }
    spans
}

/// What the user changed.
fn settings(state: &State) -> Vec<Span<'static>> {
    let sort = state.settings.sort;
    let filter = !state.filter.is_empty() && !state.typing;
    let parts = [
        state.paused.then(|| "PAUSED".into()),
        (sort != Sort::Place).then(|| format!("by {}", format!("{sort:?}").to_lowercase())),
        state.settings.hide_idle.then(|| "idle hidden".into()),
        filter.then(|| format!("/{}", safe(&state.filter))),
    ];
    let parts = parts.into_iter().flatten();
    parts
        .map(|part| Span::styled(format!("  {part}"), Modifier::BOLD))
        .collect()
}

/// The time of the reading, in the time zone of the reader.
fn clock(state: &State, snapshot: &Snapshot) -> String {
    let zone = state.options.zone.clone().unwrap_or(TimeZone::UTC);
    crate::views::text::clock(&snapshot.taken_at, &zone).unwrap_or_default()
}

fn interval(state: &State) -> String {
    format!("every {} s", state.options.interval.as_secs_f64())
}

fn nodes(state: &State) -> String {
    let nodes = state.shown.iter().flat_map(|shown| &shown.nodes);
    list(nodes.map(|node| &node.name), ", ")
}

/// A message; progress of attaching; or the sources of names and the first note. On the right, the
/// position in the list.
pub(super) fn status(state: &State, width: usize) -> Line<'static> {
    let text = left_status(state);
    let position = match state.rows.len() {
        0 => String::new(),
        rows => format!("row {} of {rows}", state.place + 1),
    };
    let room = width.saturating_sub(visible_width(&position) + 2);
    let text = crate::views::text::cut_end(&text, room);
    let pad = width.saturating_sub(visible_width(&text) + visible_width(&position));
    let style = match state.message {
        Some(_) => Modifier::BOLD,
        None => Modifier::empty(),
    };
    Line::styled(format!("{text}{:pad$}{position}", ""), style)
}

fn left_status(state: &State) -> String {
    if let Some(message) = &state.message {
        return safe(message);
    }
    if let Some(mistake) = &state.mistake {
        // Above the filter, which begins behind a slash.
        return format!("{}↓ {}", " ".repeat(mistake.column()), mistake.why());
    }
    if let Some(sender) = &state.sender {
        return safe(&format!(
            "verify: select the receiver and press v, or Esc; from {sender}"
        ));
    }
    if let Some(attaching) = &state.attaching {
        return attaching.clone();
    }
    let Some(snapshot) = &state.shown else {
        return String::new();
    };
    let mut text = format!("names: {}", sources::line(snapshot));
    if let Some(note) = snapshot.notes.first() {
        text += &format!("  {note}");
    }
    safe(&text)
}

/// The keys.
pub(super) fn prompt(state: &State) -> String {
    if state.typing {
        return format!("/{}█   Enter keeps it, Esc clears it", safe(&state.filter));
    }
    if state.pane.is_some() {
        return "q quit  Esc close  [ ] scroll  y copy command  ? help".into();
    }
    "q quit  ? help  / filter  e next problem  s sort  u unit  c compact  i hide idle  v verify  a audit  f flows  y copy command  t table  p pause".into()
}
