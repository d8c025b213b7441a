//! Between the words of `tidegate-types` and the columns of Postgres.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_types::id::{Id, IdKind};
use tidegate_types::{Position, Revision, Shard, Timestamp};
use uuid::Uuid;

use crate::{Result, StoreError};

/// A point in time as a column; times beyond the calendar are held at its ends.
pub(crate) fn time(at: Timestamp) -> DateTime<Utc> {
    let end = if at.as_micros() < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp_micros(at.as_micros()).unwrap_or(end)
}

/// A column as a point in time.
pub(crate) fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp::from_micros(at.timestamp_micros())
}

/// An id's bits, absent or not.
pub(crate) fn uuid_of<K: IdKind>(id: Option<Id<K>>) -> Option<Uuid> {
    id.map(Id::to_uuid)
}

/// The name under which serde writes a unit variant.
pub(crate) fn name_of<T: Serialize>(value: &T) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        _ => Err(StoreError::Unreadable("name")),
    }
}

/// The unit variant with this name.
pub(crate) fn from_name<T: DeserializeOwned>(name: &str) -> Result<T> {
    from_json(serde_json::Value::String(name.to_owned()), "name")
}

/// A JSON column; `what` names it in the error.
pub(crate) fn from_json<T: DeserializeOwned>(value: serde_json::Value, what: &'static str) -> Result<T> {
    serde_json::from_value(value).map_err(|_| StoreError::Unreadable(what))
}

/// A value as JSON; `what` names it in the error.
pub(crate) fn to_json<T: Serialize>(value: &T, what: &'static str) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|_| StoreError::Unreadable(what))
}

/// A shard as a column.
pub(crate) fn shard_index(shard: Shard) -> i16 {
    i16::try_from(shard.index()).unwrap_or(i16::MAX)
}

/// A column as a shard.
pub(crate) fn shard(index: i16) -> Result<Shard> {
    u8::try_from(index).ok().and_then(Shard::new).ok_or(StoreError::Unreadable("shard"))
}

/// A count as a column, held at the end of its range.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A column as a count; negative numbers count as none.
pub(crate) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// 32 bytes from a column.
pub(crate) fn bytes32(bytes: &[u8], what: &'static str) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| StoreError::Unreadable(what))
}

/// A version number as a column, held at the end of its range.
pub(crate) fn signed32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A column of counts, one for each shard, as a position.
pub(crate) fn positions(counts: &[i64]) -> Result<Position> {
    let mut position = Position::default();
    for (index, n) in (0i16..).zip(counts) {
        position.advance(Revision { shard: shard(index)?, n: unsigned(*n) });
    }
    Ok(position)
}
