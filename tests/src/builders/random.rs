//! Random data that is the same in every run, so that failures are reproducible.

/// Marsaglia's xorshift.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// Returns a number below `below`, which is not 0.
    pub fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// Returns true once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Returns text with characters of every width, combining marks, control characters and others.
    pub fn text(&mut self) -> String {
        const SOME: [char; 16] = [
            'a', '-', '7', '日', '零', '\u{301}', '\u{200d}', '👨', '\u{fe0f}', '\u{1b}', '[',
            '\n', '\u{202e}', '\0', 'é', '\u{fffd}',
        ];
        let length = self.below(70);
        (0..length)
            .map(|_| match self.below(3) {
                0 => u32::try_from(self.below(0x11_0000))
                    .ok()
                    .and_then(char::from_u32)
                    .unwrap_or('x'),
                _ => SOME[usize::try_from(self.below(16)).unwrap_or(0)],
            })
            .collect()
    }
}
