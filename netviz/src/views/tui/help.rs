//! What the keys and signs are.

/// The help, in lines that are at most 60 columns wide: framed, it fills 24 rows.
pub(super) const HELP: [&str; 22] = [
    "↑ ↓  k j        a row up or down    PgUp PgDn  a page",
    "Home End  g G   the first, the last row",
    "← →  h l        a node's rooms: hide, show; out, in",
    "Enter           details: show, hide    [ ]  scroll them",
    "/               filter by pod, node or device; Esc clears",
    "s               sort: place, rate, packets, bytes, name",
    "p               pause, go on        q  Ctrl-C  quit",
    "mouse           click selects, wheel scrolls",
    "",
    "▼ into the device (ingress hook)   ▲ out of it (egress)",
    "– not known, which is not 0",
    "┌ └ the two ends of one veth pair   ╶ no far end",
    "a rate in reverse: crossed since the reading before",
    "",
    "✓ counting   every packet at both hooks is counted",
    "! losing     counted, and some were lost behind it",
    "? blind      something crosses unseen, or might",
    "» bypassed   packets go past one of its hooks",
    "… waiting    not attached yet",
    "× gone       removed; shown for a while",
    "",
    "any key closes this",
];
