//! Anonymous rows: what is left of a report.
//!
//! Guarantees: rows are built in this crate only, out of coarsened values; [`Rows`] holds them encoded and shuffled.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use zeroize::Zeroize;

use crate::place::Cell;
use crate::time::{Day, LocalHour};
use crate::token::Token;

/// One anonymous event: a row of `usage_open`.
pub(crate) struct AnonymousEvent {
    pub(crate) when: LocalHour,
    pub(crate) app: u32,
    pub(crate) event: u32,
    /// `None` is stored as zero.
    pub(crate) token: Option<Token>,
    pub(crate) facets: crate::device::Facets,
    pub(crate) version: u32,
    pub(crate) flags: Flags,
    pub(crate) install_week_age: u8,
    /// Where its codes are among those of all events. They are sorted, so that the order of the report is lost.
    pub(crate) properties: Range<usize>,
}

/// How often a device was in a cell: a row of `places_open`.
#[derive(Clone, Copy)]
pub(crate) struct AnonymousPlace {
    pub(crate) day: Day,
    pub(crate) app: u32,
    pub(crate) token: Token,
    pub(crate) cell: Cell,
    pub(crate) n: u32,
}

/// The column `flags` of `usage_open`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub(crate) u16);

impl Flags {
    /// Counted on the day of arrival.
    pub const LATE: u16 = 1;
    /// The device's first report of the day.
    pub const FIRST_TODAY: u16 = 2;
    /// ... of the ISO week.
    pub const FIRST_THIS_WEEK: u16 = 4;
    /// ... of the calendar month.
    pub const FIRST_THIS_MONTH: u16 = 8;
    /// ... ever.
    pub const FIRST_EVER: u16 = 16;
    /// One day after the day of install.
    pub const DAY_1: u16 = 32;
    /// Seven days after.
    pub const DAY_7: u16 = 64;
    /// Thirty days after.
    pub const DAY_30: u16 = 128;
}

/// The column `install_week_age` where the week of install is not known.
pub const INSTALL_WEEK_UNKNOWN: u8 = 255;
/// The column `install_week_age` for everything older than a year.
pub const INSTALL_WEEK_OLDER: u8 = 53;

/// Encoded rows of one report.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Rows of `usage_open`: each its length as u16 little-endian, then RowBinary.
    pub usage: Vec<u8>,
    /// Rows of `places_open`, in the same form.
    pub places: Vec<u8>,
    /// How many rows of each there are for a day.
    pub counts: Vec<RowCount>,
    /// How many bytes of rows were withheld: those of a withdrawn device, for which `counts` says how many there were.
    pub withheld: usize,
}

impl Rows {
    /// Wipes the rows. What was made is known by its size alone, so that a record of the same size can be written.
    pub(crate) fn withhold(&mut self) {
        self.withheld = self.usage.len() + self.places.len();
        self.usage.zeroize();
        self.places.zeroize();
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes hold tokens.
        write!(f, "Rows(redacted, {:?})", self.counts)
    }
}

/// How many rows a report left on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCount {
    /// The rows' day.
    pub day: Day,
    /// Rows of `usage_open`.
    pub usage: u32,
    /// Rows of `places_open`.
    pub places: u32,
}
