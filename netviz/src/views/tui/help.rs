//! The help: keys and signs.

/// The help, in lines of at most 60 columns: framed, it fills 24 rows.
pub(super) const HELP: [&str; 22] = [
    "↑ ↓  k j        a row up or down    PgUp PgDn  a page",
    "Home End  g G   the first, the last row",
    "← →  h l        hide or show a node's pods; out, in",
    "Enter           details: show, hide    [ ]  scroll them",
    "/               filter by pod, node or device; Esc clears",
    "s               sort: place, rate, packets, bytes, name",
    "p               pause, continue     q  Ctrl-C  quit",
    "mouse           click selects, wheel scrolls",
    "",
    "▼ into the device (ingress hook)   ▲ out of it (egress)",
    "– unknown, which is not 0",
    "┌ └ the two ends of a veth pair     ╶ a single door",
    "inverse rate: packets crossed since the last reading",
    "",
    "✓ counting   every packet at both hooks is counted",
    "! losing     counted, but some were lost behind it",
    "? blind      not all packets are counted",
    "» bypassed   packets skip one of its hooks",
    "… waiting    not attached yet",
    "× gone       removed; shown for a while",
    "",
    "any key closes this",
];
