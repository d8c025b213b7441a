//! The cursor file: how far each stream is acknowledged.
//!
//! Written and synced before a segment is unlinked, so that a start-up never looks for records
//! that are gone. A cursor that is missing or damaged means "nothing": records are shipped
//! again, which the other side takes without doubling.

use std::collections::BTreeMap;

use super::disk::Disk;

const NAME: &str = "cursor";
const OWNER: &str = "owner";
const ENTRY: usize = 18;

/// Acknowledged sequence by (boot, lane).
pub(crate) type Positions = BTreeMap<(u64, u16), u64>;

/// Replaces the file, durably.
pub(crate) fn write(disk: &Disk, positions: &Positions) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(positions.len() * ENTRY + 4);
    for ((boot, lane), sequence) in positions {
        bytes.extend_from_slice(&boot.to_le_bytes());
        bytes.extend_from_slice(&lane.to_le_bytes());
        bytes.extend_from_slice(&sequence.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    disk.replace(NAME, &bytes)
}

/// Reads the file; empty when it is missing or damaged.
pub(crate) fn read(disk: &Disk) -> std::io::Result<Positions> {
    let bytes = disk.read(NAME)?.unwrap_or_default();
    let positions = parse(&bytes);
    if positions.is_none() && !bytes.is_empty() {
        tracing::warn!("the journal's cursor is damaged; everything is shipped again");
    }
    Ok(positions.unwrap_or_default())
}

/// Writes down whose journal it is. False when it was another's: the control plane knows nothing
/// of what that one shipped as ours.
pub(crate) fn claim(disk: &Disk, owner: u128) -> std::io::Result<bool> {
    let owner = owner.to_be_bytes();
    match disk.read(OWNER)? {
        Some(held) if held == owner => return Ok(true),
        Some(_) => disk.unlink(NAME)?,
        None => {}
    }
    disk.replace(OWNER, &owner)?;
    Ok(false)
}

fn parse(bytes: &[u8]) -> Option<Positions> {
    let (entries, sum) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(entries) != u32::from_le_bytes(*sum) || entries.len() % ENTRY != 0 {
        return None;
    }
    entries
        .chunks_exact(ENTRY)
        .map(|entry| {
            let (boot, rest) = entry.split_first_chunk::<8>()?;
            let (lane, rest) = rest.split_first_chunk::<2>()?;
            let sequence = rest.first_chunk::<8>()?;
            Some(((u64::from_le_bytes(*boot), u16::from_le_bytes(*lane)), u64::from_le_bytes(*sequence)))
        })
        .collect()
}
