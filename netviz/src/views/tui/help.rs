//! The help: keys and signs.

/// The help, in lines of at most 60 columns: framed, it fills 24 rows.
pub(super) const HELP: [&str; 22] = [
    "↑ ↓  k j   PgUp PgDn   Home End  g G   select; mouse, wheel",
    "← →  h l      hide or show a node's pods; out, in",
    "e             next interface that is losing or blind",
    "/             filter: words, pod: ns: node: dev: state: not or",
    "s             sort: place, state, rate, packets, bytes, name",
    "u  t          packets, bits, both; charts or counters",
    "c  i          one row a pod; hide idle rows",
    "Enter         details: show, hide    [ ]  scroll them",
    "v             verify from this pod; v again: to this pod",
    "a  f          audit the selected row; its flows",
    "y             copy the command that shows the same",
    "p  Ctrl-L  Ctrl-Z   pause, repaint, suspend   q Ctrl-C  quit",
    "",
    "▼ into the device (ingress hook)   ▲ out of it (egress)",
    "– unknown, which is not 0   ┌ └ the ends of a veth pair",
    "a node's rates: those of its uplinks, no sum along a path",
    "",
    "✓ ok       all packets are counted       … attaching",
    "! losing   some were lost behind it; interrupted: counted",
    "           again after a gap",
    "? blind    not all are counted   » bypassed  some skip it",
    "any key closes this                      × gone",
];
