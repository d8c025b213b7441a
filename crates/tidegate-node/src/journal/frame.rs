//! Frames: how a record lies in a segment.
//!
//! Length (4 bytes, little endian), CRC32C of length and payload (4 bytes), payload (a protobuf
//! `JournalRecord`). Unused space is zeros, so a length of 0 ends a segment.

use prost::Message;
use tidegate_proto::usage::JournalRecord;

/// Bytes before the payload.
pub(crate) const HEADER: usize = 8;

/// Longest payload in bytes; a record has no free text, so anything longer is damage.
pub(crate) const MAX_PAYLOAD: usize = 64 * 1024;

/// Writes the frame of one record behind what `frames` holds.
pub(crate) fn push(frames: &mut Vec<u8>, place: &JournalRecord, body: &[u8]) {
    let start = frames.len();
    frames.extend_from_slice(&[0; HEADER]);
    // Protobuf fields may be concatenated: first the place, then the record encoded beforehand.
    // A vector grows on demand: encoding has no reason to fail.
    let _ = place.encode(frames);
    frames.extend_from_slice(body);
    let Some((header, payload)) =
        frames.get_mut(start..).and_then(|frame| frame.split_first_chunk_mut::<HEADER>())
    else {
        return;
    };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sum = checksum(length, payload).to_le_bytes();
    let (first, second) = header.split_at_mut(4);
    first.copy_from_slice(&length);
    second.copy_from_slice(&sum);
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}

/// The payload at the start of `bytes`; `None` where no whole and sound frame begins.
pub(crate) fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*length) as usize;
    if count == 0 || count > MAX_PAYLOAD {
        return None;
    }
    let payload = rest.get(..count)?;
    (checksum(*length, payload) == u32::from_le_bytes(*sum)).then_some(payload)
}

/// Where a record lies: the first fields of a `JournalRecord`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Place {
    #[prost(uint64, tag = "1")]
    pub(crate) boot: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) lane: u32,
    #[prost(uint64, tag = "3")]
    pub(crate) sequence: u64,
}

/// Walks over the sound frames at the start of `bytes`: each record's place and payload.
pub(crate) fn payloads(bytes: &[u8]) -> impl Iterator<Item = (Place, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let payload = payload(rest)?;
        let place = Place::decode(payload).ok()?;
        rest = rest.get(HEADER + payload.len()..)?;
        Some((place, payload))
    })
}

/// Walks over the sound frames at the start of `bytes`: each record with the length of its frame.
pub(crate) fn records(bytes: &[u8]) -> impl Iterator<Item = (JournalRecord, usize)> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let payload = payload(rest)?;
        let record = JournalRecord::decode(payload).ok()?;
        let length = HEADER + payload.len();
        rest = rest.get(length..)?;
        Some((record, length))
    })
}
