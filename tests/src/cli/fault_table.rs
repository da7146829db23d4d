//! The table of faults: the number of packets that were sent, received by the other party, and
//! counted by netviz. A test prints its rows; `cargo xtask test` collects them.

use std::{
    fmt::{self, Display},
    fs::OpenOptions,
    io::Write as _,
};

/// Names the file in which the ordinary run collects the rows, because the harness hides output.
pub const FILE_VARIABLE: &str = "NETVIZ_FAULTS";
/// Set on an emulated processor, where everything takes some twenty times as long.
pub const EMULATED_VARIABLE: &str = "NETVIZ_EMULATED";

/// Returns true on an emulated processor.
#[must_use]
pub fn is_emulated() -> bool {
    std::env::var_os(EMULATED_VARIABLE).is_some()
}

/// Returns `number` of packets or rounds; on an emulated processor a hundredth, but at least 3.
#[must_use]
pub fn many(number: u64) -> u64 {
    if is_emulated() {
        (number / 100).max(3)
    } else {
        number
    }
}

/// Returns the number of cases that a test runs at a time: they mostly wait, but an emulated
/// processor has no time to spare.
#[must_use]
pub fn side_by_side() -> usize {
    if is_emulated() { 4 } else { 32 }
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Description of the fault.
    pub fault: String,
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that the other party received: a socket, or another program.
    pub received: u64,
    /// Packets that netviz counted.
    pub counted: Counted,
    /// Other reports or measurements.
    pub note: String,
}

/// Counts of netviz.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// Number of packets.
    Packets(u64),
    /// Number of packets; the others crossed while netviz reported that it was displaced or
    /// detached.
    Partly(u64),
    /// Not about counters.
    #[default]
    Nothing,
}

impl From<u64> for Counted {
    fn from(packets: u64) -> Self {
        Self::Packets(packets)
    }
}

impl Row {
    /// Returns a row of packets that were received and counted, or not.
    #[must_use]
    pub fn new(fault: impl Display, sent: u64, received: u64, counted: impl Into<Counted>) -> Self {
        Self {
            fault: fault.to_string(),
            sent,
            received,
            counted: counted.into(),
            note: String::new(),
        }
    }

    /// Returns a row of traffic during a fault, sent and received, that netviz need not have
    /// counted.
    ///
    /// # Panics
    /// If nothing was sent, because then the absence of losses would prove nothing.
    #[must_use]
    pub fn during(fault: impl Display, (sent, received): (u64, u64)) -> Self {
        let row = Self::new(fault, sent, received, Counted::Nothing);
        assert!(sent > 0, "no traffic, so the test proves nothing: {row:?}");
        row
    }

    /// Adds other reports or measurements.
    #[must_use]
    pub fn note(mut self, note: impl Display) -> Self {
        self.note = note.to_string();
        self
    }

    /// Prints the row, then fails unless all packets that were sent were received and counted, or
    /// netviz reported that its count was incomplete.
    ///
    /// # Panics
    /// If a packet is missing.
    pub fn check(self, scenario: &str) {
        self.print(scenario);
        assert_eq!(self.received, self.sent, "{scenario}: {self:?}");
        match self.counted {
            Counted::Packets(counted) => assert_eq!(counted, self.sent, "{scenario}: {self:?}"),
            Counted::Partly(counted) => assert!(counted <= self.sent, "{scenario}: {self:?}"),
            Counted::Nothing => {}
        }
    }

    /// Only prints the row, if it is checked elsewhere.
    ///
    /// # Panics
    /// If the file of the ordinary run cannot be written.
    pub fn print(&self, scenario: &str) {
        let line = format!("{scenario:<12} {self}\n");
        print!("{line}");
        if let Some(path) = std::env::var_os(FILE_VARIABLE) {
            // Short lines are appended atomically.
            let file = OpenOptions::new().append(true).create(true).open(path);
            let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
            assert!(written.is_ok(), "{FILE_VARIABLE}: {written:?}");
        }
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = match self.counted {
            Counted::Packets(packets) => packets.to_string(),
            Counted::Partly(packets) => format!("{packets}*"),
            Counted::Nothing => "-".into(),
        };
        let (fault, sent, received) = (&self.fault, self.sent, self.received);
        write!(
            f,
            "{fault:<58} {sent:>9} {received:>9} {counted:>10}  {}",
            self.note
        )
    }
}
