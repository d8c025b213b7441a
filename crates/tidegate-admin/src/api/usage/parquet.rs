//! A Parquet file, written row group by row group: what comes in goes out, only the metadata stays.
//!
//! Source: the Apache Parquet format (parquet.thrift, Encodings.md): one plain, uncompressed data page
//! for each column of a row group, definition levels run-length encoded.

use super::table::{Cell, Column, Kind};
use super::thrift::{Writer, whole};

const MAGIC: &[u8] = b"PAR1";
const INT64: i32 = 2;
const BYTE_ARRAY: i32 = 6;
const OPTIONAL: i32 = 1;
const PLAIN: i32 = 0;
const RLE: i32 = 3;
const UTF8: i32 = 0;
const DECIMAL: i32 = 5;
const TIMESTAMP_MICROS: i32 = 10;
const DATA_PAGE: i32 = 0;

/// A file being written.
#[derive(Debug)]
pub(super) struct File {
    columns: &'static [Column],
    groups: Vec<Vec<u8>>,
    rows: i64,
    written: i64,
}

impl File {
    /// Begins a file; the bytes come first.
    pub(super) fn begin(columns: &'static [Column]) -> (Self, Vec<u8>) {
        let file = Self { columns, groups: Vec::new(), rows: 0, written: MAGIC.len() as i64 };
        (file, MAGIC.to_vec())
    }

    /// A row group of these rows.
    pub(super) fn group(&mut self, rows: &[Vec<Cell>]) -> Vec<u8> {
        let (mut out, mut chunks) = (Vec::new(), Vec::new());
        for (place, (name, kind)) in self.columns.iter().enumerate() {
            let offset = self.written + out.len() as i64;
            let page = page(rows.iter().map(|row| row.get(place).unwrap_or(&Cell::Null)), rows.len());
            out.extend(&page);
            let size = page.len() as i64;
            chunks.push(whole(|chunk| {
                chunk.i64(2, offset).inner(3, |meta| {
                    meta.i32(1, physical(*kind)).enums(2, &[PLAIN, RLE]).texts(3, &[name]).i32(4, 0);
                    meta.i64(5, rows.len() as i64).i64(6, size).i64(7, size).i64(9, offset);
                });
            }));
        }
        let (size, count) = (out.len() as i64, rows.len() as i64);
        self.groups.push(whole(|group| {
            group.structs(1, &chunks).i64(2, size).i64(3, count);
        }));
        self.rows += count;
        self.written += size;
        out
    }

    /// The end of the file.
    pub(super) fn end(self) -> Vec<u8> {
        let mut schema = vec![whole(|root| {
            root.text(4, "usage").i32(5, i32::try_from(self.columns.len()).unwrap_or(0));
        })];
        schema.extend(self.columns.iter().map(|(name, kind)| whole(|field| element(field, name, *kind))));
        let mut out = whole(|file| {
            file.i32(1, 1).structs(2, &schema).i64(3, self.rows).structs(4, &self.groups);
            file.text(6, "tidegate");
        });
        let length = u32::try_from(out.len()).unwrap_or(u32::MAX);
        out.extend(length.to_le_bytes());
        out.extend(MAGIC);
        out
    }
}

fn element(field: &mut Writer, name: &str, kind: Kind) {
    field.i32(1, physical(kind)).i32(3, OPTIONAL).text(4, name);
    match kind {
        Kind::Text => {
            field.i32(6, UTF8).inner(10, |logical| {
                logical.inner(1, |_| {});
            });
        }
        Kind::Count => {}
        Kind::Money => {
            field.i32(6, DECIMAL).i32(7, 9).i32(8, 18).inner(10, |logical| {
                logical.inner(5, |decimal| {
                    decimal.i32(1, 9).i32(2, 18);
                });
            });
        }
        Kind::Time => {
            field.i32(6, TIMESTAMP_MICROS).inner(10, |logical| {
                logical.inner(8, |time| {
                    // In UTC, microseconds.
                    time.bool(1, true).inner(2, |unit| {
                        unit.inner(2, |_| {});
                    });
                });
            });
        }
    }
}

const fn physical(kind: Kind) -> i32 {
    match kind {
        Kind::Text => BYTE_ARRAY,
        Kind::Count | Kind::Money | Kind::Time => INT64,
    }
}

fn page<'a>(cells: impl Iterator<Item = &'a Cell> + Clone, count: usize) -> Vec<u8> {
    let levels = levels(cells.clone().map(|cell| *cell != Cell::Null), count);
    let mut data = u32::try_from(levels.len()).unwrap_or(0).to_le_bytes().to_vec();
    data.extend(levels);
    for cell in cells {
        match cell {
            Cell::Null => {}
            Cell::Text(text) => {
                data.extend(u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
                data.extend(text.as_bytes());
            }
            Cell::Count(count) => data.extend(count.to_le_bytes()),
            Cell::Money(amount) => data.extend(amount.get().to_le_bytes()),
            Cell::Time(at) => data.extend(at.as_micros().to_le_bytes()),
        }
    }
    let size = i32::try_from(data.len()).unwrap_or(i32::MAX);
    let mut out = whole(|header| {
        header.i32(1, DATA_PAGE).i32(2, size).i32(3, size).inner(5, |page| {
            page.i32(1, i32::try_from(count).unwrap_or(i32::MAX)).i32(2, PLAIN).i32(3, RLE).i32(4, RLE);
        });
    });
    out.extend(data);
    out
}

/// Whether each cell is there, one bit each, bit-packed in groups of eight.
fn levels(present: impl Iterator<Item = bool>, count: usize) -> Vec<u8> {
    let groups = count.div_ceil(8);
    let mut header = (groups as u64) << 1 | 1;
    let mut out = Vec::new();
    while header >= 0x80 {
        out.push((header & 0x7f) as u8 | 0x80);
        header >>= 7;
    }
    out.push(header as u8);
    let mut bits = vec![0u8; groups];
    for (place, is_there) in present.enumerate() {
        if let Some(byte) = bits.get_mut(place / 8) {
            *byte |= u8::from(is_there) << (place % 8);
        }
    }
    out.extend(bits);
    out
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};
    use tidegate_types::{NanoUsd, Timestamp};

    use super::*;

    const COLUMNS: &[Column] =
        &[("name", Kind::Text), ("calls", Kind::Count), ("cost", Kind::Money), ("start", Kind::Time)];

    fn sample() -> Vec<u8> {
        let row = |n: i64| {
            vec![
                if n % 3 == 0 { Cell::Null } else { Cell::Text(format!("ä{n}")) },
                Cell::Count(n),
                Cell::Money(NanoUsd::new((1 << 53) + n)),
                Cell::Time(Timestamp::from_seconds(1_795_255_200 + n)),
            ]
        };
        let (mut file, mut bytes) = File::begin(COLUMNS);
        bytes.extend(file.group(&(0..10).map(row).collect::<Vec<_>>()));
        bytes.extend(file.group(&(10..1_010).map(row).collect::<Vec<_>>()));
        bytes.extend(file.end());
        bytes
    }

    /// These bytes were read by pyarrow 25: 1,010 rows in two groups, every value as it was written.
    #[test]
    fn the_file_is_the_one_that_another_implementation_has_read() {
        let bytes = sample();
        assert_eq!((bytes.get(..4), bytes.get(bytes.len() - 4..)), (Some(MAGIC), Some(MAGIC)));
        assert_eq!(
            hex::encode(Sha256::digest(&bytes)),
            "63630d2df014fdbc33e8a1a796e337f964ac0b5bc6447919961e49eedbcd904a"
        );
    }
}
