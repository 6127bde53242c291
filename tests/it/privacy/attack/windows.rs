//! Every run of eight bytes in a dump, however it is written down, to be asked for quickly.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The runs of eight bytes.
pub struct Windows {
    /// A bit for each of 2^27 values of a window's hash: rules nearly all of the others out.
    marked: Vec<u64>,
    exact: HashSet<u64>,
}

impl Windows {
    /// Of raw bytes, and of what is written in them as hex, base64 or decimal numbers.
    pub fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Windows {
        let mut windows = Windows { marked: vec![0; 1 << 21], exact: HashSet::new() };
        for piece in pieces {
            windows.add(piece);
            for run in decoded(piece) {
                windows.add(&run);
            }
        }
        windows
    }

    pub fn add(&mut self, bytes: &[u8]) {
        for window in bytes.windows(8) {
            let window = u64::from_be_bytes(window.try_into().unwrap());
            // Numbers lie in files with their least byte first.
            for window in [window, window.swap_bytes()] {
                let (word, bit) = place(window);
                self.marked[word] |= bit;
                self.exact.insert(window);
            }
        }
    }

    pub fn holds(&self, window: u64) -> bool {
        let (word, bit) = place(window);
        self.marked[word] & bit != 0 && self.exact.contains(&window)
    }

    /// Whether any eight bytes of a digest are there.
    pub fn hold_part_of(&self, digest: &[u8]) -> bool {
        digest.windows(8).any(|part| self.holds(u64::from_be_bytes(part.try_into().unwrap())))
    }
}

fn place(window: u64) -> (usize, u64) {
    let hash = window.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((hash >> 43) as usize, 1 << ((hash >> 37) & 63))
}

/// What is written in bytes as hex, base64 or decimal numbers.
pub fn decoded(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for run in runs(bytes, |byte| byte.is_ascii_hexdigit(), 16) {
        // A run may begin with a digit that is not its own.
        for start in [0, 1] {
            let pairs = &run[start..];
            found.extend(hex::decode(&pairs[..pairs.len() / 2 * 2]));
        }
    }
    for run in runs(bytes, |byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/', 22) {
        for start in 0..4 {
            let groups = &run[start..];
            found.extend(STANDARD_NO_PAD.decode(&groups[..groups.len() / 4 * 4]));
        }
    }
    for run in runs(bytes, |byte| byte.is_ascii_digit(), 12) {
        let number = std::str::from_utf8(run).unwrap().parse::<u64>();
        found.extend(number.map(|number| number.to_be_bytes().to_vec()));
    }
    found
}

fn runs(bytes: &[u8], belongs: impl Fn(u8) -> bool, least: usize) -> impl Iterator<Item = &[u8]> {
    bytes.split(move |byte| !belongs(*byte)).filter(move |run| run.len() >= least)
}

#[test]
fn a_window_is_found_in_every_way_of_writing_it() {
    let secret: [u8; 12] = *b"\x93\x01\xfe\x10\x88\x42\x17\xc4\xd9\x05\x6b\xa0";
    let number = u64::from_be_bytes(secret[..8].try_into().unwrap());
    let written = [
        [b"x".as_slice(), &secret].concat(),
        number.to_le_bytes().to_vec(),
        format!("[{number},").into_bytes(),
        format!("\"{}\"", hex::encode(secret)).into_bytes(),
        format!("\"{}\"", STANDARD_NO_PAD.encode([&secret[..], &secret[..]].concat())).into_bytes(),
    ];
    for text in &written {
        let windows = Windows::of([text.as_slice()]);
        assert!(windows.holds(number), "{text:?}");
        assert!(!windows.holds(number ^ 1));
    }
}
