//! The length of a WAV file, whose header tells it for certain.

/// Begun seconds of an uncompressed WAV file; `None` for everything else. All that follows the header
/// is taken for sound, so that it is an upper bound.
pub(super) fn seconds(file: &[u8]) -> Option<u64> {
    if file.get(..4)? != b"RIFF" || file.get(8..12)? != b"WAVE" {
        return None;
    }
    let mut at = 12usize;
    loop {
        let name = file.get(at..at + 4)?;
        let size = u32::from_le_bytes(file.get(at + 4..at + 8)?.try_into().ok()?) as usize;
        let chunk = at + 8;
        if name == b"fmt " {
            let half = |offset: usize| {
                let bytes = file.get(chunk + offset..chunk + offset + 2)?;
                Some(u64::from(u16::from_le_bytes(bytes.try_into().ok()?)))
            };
            let rate = u32::from_le_bytes(file.get(chunk + 4..chunk + 8)?.try_into().ok()?);
            let (kind, channels, bits) = (half(0)?, half(2)?, half(14)?);
            // PCM or floats, whole bytes.
            if !matches!(kind, 1 | 3) || channels == 0 || bits == 0 || bits % 8 != 0 || rate == 0 {
                return None;
            }
            let per_second = u64::from(rate) * channels * (bits / 8);
            return Some((file.len() as u64).div_ceil(per_second));
        }
        at = chunk.checked_add(size)?.checked_add(size % 2)?;
    }
}
