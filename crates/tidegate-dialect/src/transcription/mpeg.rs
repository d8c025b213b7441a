//! The length of an MPEG audio file (MP3): the sum of its frames, each of which tells its own.

/// No frame has a lower rate than 8 kbit/s.
const LEAST_BYTES_PER_SECOND: u64 = 1_000;

/// An upper bound of the begun seconds of an MP3 file; `None` for everything else. What follows the
/// last frame that can be read is taken for sound at the lowest rate that there is.
pub(super) fn seconds(file: &[u8]) -> Option<u64> {
    let mut at = behind_tag(file)?;
    let mut micros = 0u64;
    let mut frames = 0u32;
    while let Some(frame) = file.get(at..at.checked_add(4)?).and_then(Frame::read) {
        micros = micros.saturating_add((frame.samples * 1_000_000).div_ceil(frame.rate));
        at = at.checked_add(frame.length)?;
        frames += 1;
    }
    let rest = file.len().saturating_sub(at) as u64;
    (frames > 0).then(|| micros.div_ceil(1_000_000) + rest.div_ceil(LEAST_BYTES_PER_SECOND))
}

/// Where sound begins: behind an ID3 tag, if there is one.
fn behind_tag(file: &[u8]) -> Option<usize> {
    if !file.starts_with(b"ID3") {
        return Some(0);
    }
    // Four times seven bits.
    let size = file.get(6..10)?.iter().fold(0usize, |size, byte| (size << 7) | usize::from(byte & 0x7f));
    size.checked_add(10).filter(|behind| *behind < file.len())
}

/// One frame: its bytes, and what it sounds like.
struct Frame {
    length: usize,
    samples: u64,
    rate: u64,
}

/// Kilobits per second by index: layer II, layer III, and both in the lower versions.
const LAYER_2: [u64; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
const LAYER_3: [u64; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const LOWER: [u64; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

impl Frame {
    /// Reads a header (ISO 11172-3, 13818-3). Free formats, whose frames do not tell their length, and
    /// layer I are not read.
    fn read(header: &[u8]) -> Option<Self> {
        let [0xff, second, third, _] = *header else { return None };
        if second & 0xe0 != 0xe0 {
            return None;
        }
        let (version, layer) = ((second >> 3) & 3, (second >> 1) & 3);
        let divisor = match version {
            3 => 1,
            2 => 2,
            0 => 4,
            _ => return None,
        };
        let table = match (version, layer) {
            (3, 2) => &LAYER_2,
            (3, 1) => &LAYER_3,
            (_, 1 | 2) => &LOWER,
            _ => return None,
        };
        let bits = table.get(usize::from(third >> 4).checked_sub(1)?)? * 1_000;
        let rate = [44_100u64, 48_000, 32_000].get(usize::from((third >> 2) & 3))? / divisor;
        let samples = if version != 3 && layer == 1 { 576 } else { 1_152 };
        let length = samples / 8 * bits / rate + u64::from((third >> 1) & 1);
        Some(Self { length: usize::try_from(length).ok()?, samples, rate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of 417 bytes: MPEG-1 layer III, 128 kbit/s, 44.1 kHz, 1152 samples.
    fn frames(count: usize) -> Vec<u8> {
        let mut frame = vec![0xff, 0xfb, 0x90, 0x00];
        frame.resize(417, 0);
        frame.repeat(count)
    }

    #[test]
    fn frames_tell_their_length() {
        assert_eq!(seconds(&frames(100)), Some(3), "2.6 s");
        let tagged = [&b"ID3\x04\0\0\0\0\0\x05hello"[..], &frames(38)].concat();
        assert_eq!(seconds(&tagged), Some(1));
        let spoilt = [frames(38), vec![1; 5_001]].concat();
        assert_eq!(seconds(&spoilt), Some(1 + 6), "the rest may be sound at the lowest rate");
    }

    #[test]
    fn what_is_no_such_file_has_no_length() {
        for file in [&b""[..], b"ID3 something compressed", b"OggS", b"\xff\xfb\x00\x00", b"\xff\xff\x90\x00"]
        {
            assert_eq!(seconds(file), None, "{file:?}");
        }
    }
}
