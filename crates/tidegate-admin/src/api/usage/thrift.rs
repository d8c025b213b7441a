//! Thrift's compact protocol, as far as Parquet's metadata needs it.
//!
//! Source: the Apache Thrift compact protocol specification.

/// A struct being written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    out: Vec<u8>,
    last: i16,
}

const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

impl Writer {
    fn field(&mut self, id: i16, kind: u8) {
        match u8::try_from(id - self.last) {
            Ok(delta @ 1..=15) => self.out.push((delta << 4) | kind),
            _ => {
                self.out.push(kind);
                varint(&mut self.out, zigzag(i64::from(id)));
            }
        }
        self.last = id;
    }

    /// A boolean field.
    pub(super) fn bool(&mut self, id: i16, value: bool) -> &mut Self {
        self.field(id, if value { 1 } else { 2 });
        self
    }

    /// A 32-bit field; enums are such.
    pub(super) fn i32(&mut self, id: i16, value: i32) -> &mut Self {
        self.field(id, I32);
        varint(&mut self.out, zigzag(i64::from(value)));
        self
    }

    /// A 64-bit field.
    pub(super) fn i64(&mut self, id: i16, value: i64) -> &mut Self {
        self.field(id, I64);
        varint(&mut self.out, zigzag(value));
        self
    }

    /// A text field.
    pub(super) fn text(&mut self, id: i16, value: &str) -> &mut Self {
        self.field(id, BINARY);
        bytes(&mut self.out, value.as_bytes());
        self
    }

    /// A field that is a struct.
    pub(super) fn inner(&mut self, id: i16, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.field(id, STRUCT);
        self.out.extend(whole(write));
        self
    }

    /// A list of structs, each written whole.
    pub(super) fn structs(&mut self, id: i16, items: &[Vec<u8>]) -> &mut Self {
        self.list(id, STRUCT, items.len());
        items.iter().for_each(|item| self.out.extend(item));
        self
    }

    /// A list of enums.
    pub(super) fn enums(&mut self, id: i16, items: &[i32]) -> &mut Self {
        self.list(id, I32, items.len());
        items.iter().for_each(|item| varint(&mut self.out, zigzag(i64::from(*item))));
        self
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, id: i16, items: &[&str]) -> &mut Self {
        self.list(id, BINARY, items.len());
        items.iter().for_each(|item| bytes(&mut self.out, item.as_bytes()));
        self
    }

    fn list(&mut self, id: i16, kind: u8, length: usize) {
        self.field(id, LIST);
        match u8::try_from(length) {
            Ok(short @ 0..=14) => self.out.push((short << 4) | kind),
            _ => {
                self.out.push(0xf0 | kind);
                varint(&mut self.out, length as u64);
            }
        }
    }
}

/// A struct with all its fields and its end.
pub(super) fn whole(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    write(&mut writer);
    writer.out.push(0);
    writer.out
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
