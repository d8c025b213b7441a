//! Readers of single fields; each names its message and field when it fails.

use std::fmt::Display;
use std::str::FromStr;

use tidegate_types::id::IdKind;
use tidegate_types::revision::{Revision, Shard};
use tidegate_types::{Id, LabelHash, Timestamp};

use crate::error::{ConvertError, Problem};
use crate::names::Named;

/// The fields of the message with this name.
#[derive(Clone, Copy)]
pub(crate) struct Fields(pub(crate) &'static str);

type Read<T> = Result<T, ConvertError>;

impl Fields {
    pub(crate) fn wrong<T>(self, field: &'static str, problem: Problem) -> Read<T> {
        Err(ConvertError { message: self.0, field, problem })
    }

    pub(crate) fn required<T>(self, field: &'static str, value: Option<T>) -> Read<T> {
        value.map_or_else(|| self.wrong(field, Problem::Missing), Ok)
    }

    pub(crate) fn parse<T: FromStr<Err: Display>>(self, field: &'static str, text: &str) -> Read<T> {
        text.parse().or_else(|error: T::Err| self.wrong(field, Problem::Malformed(error.to_string())))
    }

    pub(crate) fn parse_opt<T: FromStr<Err: Display>>(
        self,
        field: &'static str,
        text: Option<&str>,
    ) -> Read<Option<T>> {
        text.map(|text| self.parse(field, text)).transpose()
    }

    pub(crate) fn parse_all<T: FromStr<Err: Display>>(
        self,
        field: &'static str,
        texts: &[String],
    ) -> Read<Vec<T>> {
        texts.iter().map(|text| self.parse(field, text)).collect()
    }

    pub(crate) fn named<T: Named>(self, field: &'static str, text: &str) -> Read<T> {
        match T::from_name(text) {
            Some(value) => Ok(value),
            None => self.wrong(field, Problem::UnknownName),
        }
    }

    pub(crate) fn number<T: TryFrom<N>, N>(self, field: &'static str, value: N) -> Read<T> {
        T::try_from(value).or_else(|_| self.wrong(field, Problem::OutOfRange))
    }

    pub(crate) fn bytes<const N: usize>(self, field: &'static str, bytes: &[u8]) -> Read<[u8; N]> {
        <[u8; N]>::try_from(bytes)
            .or_else(|_| self.wrong(field, Problem::Length { expected: N, found: bytes.len() }))
    }

    /// An id as 16 bytes, big endian.
    pub(crate) fn raw_id<K: IdKind>(self, field: &'static str, bytes: &[u8]) -> Read<Id<K>> {
        self.bytes(field, bytes).map(|raw| Id::from_u128(u128::from_be_bytes(raw)))
    }

    pub(crate) fn raw_id_opt<K: IdKind>(
        self,
        field: &'static str,
        bytes: Option<&[u8]>,
    ) -> Read<Option<Id<K>>> {
        bytes.map(|bytes| self.raw_id(field, bytes)).transpose()
    }

    pub(crate) fn label(self, field: &'static str, bytes: &[u8]) -> Read<LabelHash> {
        self.bytes(field, bytes).map(LabelHash::from_bytes)
    }

    pub(crate) fn label_opt(self, field: &'static str, bytes: Option<&[u8]>) -> Read<Option<LabelHash>> {
        bytes.map(|bytes| self.label(field, bytes)).transpose()
    }

    pub(crate) fn labels(self, field: &'static str, all: &[Vec<u8>]) -> Read<Vec<LabelHash>> {
        all.iter().map(|bytes| self.label(field, bytes)).collect()
    }

    pub(crate) fn shard(self, field: &'static str, index: u32) -> Read<Shard> {
        u8::try_from(index)
            .ok()
            .and_then(Shard::new)
            .map_or_else(|| self.wrong(field, Problem::OutOfRange), Ok)
    }

    pub(crate) fn revision(self, shard: u32, n: u64) -> Read<Revision> {
        Ok(Revision { shard: self.shard("shard", shard)?, n })
    }
}

/// An id as it travels in usage messages.
pub(crate) fn raw<K: IdKind>(id: Id<K>) -> Vec<u8> {
    id.to_u128().to_be_bytes().to_vec()
}

pub(crate) fn hash(label: &LabelHash) -> Vec<u8> {
    label.as_bytes().to_vec()
}

pub(crate) fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_micros)
}

pub(crate) fn texts<T: Display>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}
