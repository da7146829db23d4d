//! The table of faults: for each, how many packets were sent, how many the other party received, and
//! how many netviz counted. A test prints its rows; `cargo xtask test` collects them.

use std::{
    fmt::{self, Display},
    fs::OpenOptions,
    io::Write as _,
};

/// The file in which the ordinary run collects the rows, where the harness hides them.
pub const FILE_VARIABLE: &str = "NETVIZ_FAULTS";
/// Set where the processor is emulated: everything takes some twenty times as long there.
pub const EMULATED_VARIABLE: &str = "NETVIZ_EMULATED";

/// Whether the processor is emulated.
#[must_use]
pub fn is_emulated() -> bool {
    std::env::var_os(EMULATED_VARIABLE).is_some()
}

/// So many packets or rounds, or a hundredth of that, but at least 3, where the processor is
/// emulated.
#[must_use]
pub fn many(number: u64) -> u64 {
    if is_emulated() {
        (number / 100).max(3)
    } else {
        number
    }
}

/// How many cases of one test run at a time: most of their time is waited, but an emulated processor has
/// none to spare.
#[must_use]
pub fn side_by_side() -> usize {
    if is_emulated() { 4 } else { 32 }
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// What was done.
    pub fault: String,
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that the other party received: a socket, or somebody else's program.
    pub received: u64,
    /// Packets that netviz counted.
    pub counted: Counted,
    /// What was said or measured besides.
    pub note: String,
}

/// What netviz counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// So many.
    Packets(u64),
    /// So many; the rest crossed while netviz said that it was behind or not there.
    Partly(u64),
    /// This is not about counters.
    #[default]
    Nothing,
}

impl From<u64> for Counted {
    fn from(packets: u64) -> Self {
        Self::Packets(packets)
    }
}

impl Row {
    /// Of packets that were received and counted, or not.
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

    /// Of traffic that went on beside a fault, sent and received, and that netviz need not have counted.
    ///
    /// # Panics
    /// When nothing was sent: that nothing was lost would say nothing.
    #[must_use]
    pub fn beside(fault: impl Display, (sent, received): (u64, u64)) -> Self {
        let row = Self::new(fault, sent, received, Counted::Nothing);
        assert!(sent > 0, "no traffic, which shows nothing: {row:?}");
        row
    }

    /// With what was said or measured besides.
    #[must_use]
    pub fn noting(mut self, note: impl Display) -> Self {
        self.note = note.to_string();
        self
    }

    /// Prints the row, then fails unless all that was sent was received and counted, or what was not
    /// counted was said not to be.
    ///
    /// # Panics
    /// When a packet is missing.
    pub fn holds(self, scenario: &str) {
        self.print(scenario);
        assert_eq!(self.received, self.sent, "{scenario}: {self:?}");
        match self.counted {
            Counted::Packets(counted) => assert_eq!(counted, self.sent, "{scenario}: {self:?}"),
            Counted::Partly(counted) => assert!(counted <= self.sent, "{scenario}: {self:?}"),
            Counted::Nothing => {}
        }
    }

    /// Prints it alone, where others checked it.
    ///
    /// # Panics
    /// When the file of the ordinary run cannot be written.
    pub fn print(&self, scenario: &str) {
        let line = format!("{scenario:<12} {self}\n");
        print!("{line}");
        if let Some(path) = std::env::var_os(FILE_VARIABLE) {
            // Short lines are appended whole.
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
