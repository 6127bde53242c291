//! Writes ClickHouse's RowBinary: little-endian numbers, strings and arrays with a LEB128 length.

/// Rows, encoded.
#[derive(Debug, Default, Clone)]
pub struct RowBinary(Vec<u8>);

impl RowBinary {
    /// No rows, and room for so many bytes.
    #[must_use]
    pub fn with_room(bytes: usize) -> RowBinary {
        RowBinary(Vec::with_capacity(bytes))
    }

    /// The bytes so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Rows that were encoded apart.
    pub fn append(&mut self, rows: &RowBinary) -> &mut RowBinary {
        self.raw(rows.bytes())
    }

    /// `Date`, in days since 1970.
    pub fn date(&mut self, day: tuman_privacy::time::Day) -> &mut RowBinary {
        self.raw(&day.0.to_le_bytes())
    }

    /// `Bool`.
    pub fn bool(&mut self, value: bool) -> &mut RowBinary {
        self.raw(&[u8::from(value)])
    }

    /// `UInt8`.
    pub fn u8(&mut self, value: u8) -> &mut RowBinary {
        self.raw(&[value])
    }

    /// `UInt32` and `DateTime`.
    pub fn u32(&mut self, value: u32) -> &mut RowBinary {
        self.raw(&value.to_le_bytes())
    }

    /// `UInt64`.
    pub fn u64(&mut self, value: u64) -> &mut RowBinary {
        self.raw(&value.to_le_bytes())
    }

    /// `Int64` and `DateTime64`.
    pub fn i64(&mut self, value: i64) -> &mut RowBinary {
        self.raw(&value.to_le_bytes())
    }

    /// `Float64`.
    pub fn f64(&mut self, value: f64) -> &mut RowBinary {
        self.raw(&value.to_le_bytes())
    }

    /// `String`.
    pub fn string(&mut self, text: &str) -> &mut RowBinary {
        self.length(text.len()).raw(text.as_bytes())
    }

    /// `Array(String)`.
    pub fn strings<T: AsRef<str>>(&mut self, texts: &[T]) -> &mut RowBinary {
        self.length(texts.len());
        for text in texts {
            self.string(text.as_ref());
        }
        self
    }

    /// `Array(Date)`.
    pub fn dates(&mut self, days: &[tuman_privacy::time::Day]) -> &mut RowBinary {
        self.length(days.len());
        for day in days {
            self.date(*day);
        }
        self
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut RowBinary {
        self.0.extend_from_slice(bytes);
        self
    }

    fn length(&mut self, mut value: usize) -> &mut RowBinary {
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return self;
            }
            self.0.push(low | 0x80);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_leb128() {
        let mut rows = RowBinary::default();
        rows.string(&"x".repeat(300));
        assert_eq!(&rows.bytes()[..3], [0xac, 0x02, b'x']);
        let mut rows = RowBinary::default();
        rows.strings(&["a", ""]);
        assert_eq!(rows.bytes(), [2, 1, b'a', 0]);
    }
}
