//! The trace that a caller's request belongs to: the W3C `traceparent` header.
//!
//! Source: W3C Trace Context, section 3.2 (version 00; later versions are read by the rules of 3.2.4).
//! `tracestate` is not kept: it is free text of the caller's.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Trace, span of the caller, and whether the caller records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// 16 bytes, not all zero.
    pub trace_id: [u8; 16],
    /// 8 bytes, not all zero.
    pub span_id: [u8; 8],
    /// The caller records its part.
    pub sampled: bool,
}

/// Bytes of the stored form: trace, span, flags.
const LENGTH: usize = 25;

impl TraceParent {
    /// Reads the header; `None` for everything that is no trace context.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let version = hex::<1>(parts.next()?)?;
        let (trace_id, span_id) = (hex::<16>(parts.next()?)?, hex::<8>(parts.next()?)?);
        let flags = hex::<1>(parts.next()?)?;
        // Version 00 has these four parts and no more; ff is forbidden.
        if version == [0xff] || (version == [0] && parts.next().is_some()) {
            return None;
        }
        Self::of(trace_id, span_id, flags)
    }

    fn of(trace_id: [u8; 16], span_id: [u8; 8], [flags]: [u8; 1]) -> Option<Self> {
        let known = trace_id != [0; 16] && span_id != [0; 8];
        known.then_some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let parts = self.trace_id.iter().chain(&self.span_id).copied().chain([u8::from(self.sampled)]);
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
        bytes
    }

    /// Reads the stored form.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (trace_id, rest) = bytes.split_first_chunk::<16>()?;
        let (span_id, rest) = rest.split_first_chunk::<8>()?;
        Self::of(*trace_id, *span_id, rest.try_into().ok()?)
    }
}

/// `N` bytes of lower-case hexadecimal digits.
pub(crate) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != N * 2 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        };
        f.write_str("00-")?;
        write(f, &self.trace_id)?;
        f.write_str("-")?;
        write(f, &self.span_id)?;
        write!(f, "-{:02x}", u8::from(self.sampled))
    }
}

impl Serialize for TraceParent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceParent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("is no trace context"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let parent = TraceParent::parse(HEADER).unwrap();
        assert!(parent.sampled);
        assert_eq!(parent.to_string(), HEADER);
        assert_eq!(TraceParent::from_bytes(&parent.to_bytes()), Some(parent));
        assert!(!TraceParent::parse(&HEADER.replace("-01", "-00")).unwrap().sampled);
        let later = format!("{}-and-more", HEADER.replacen("00", "cc", 1));
        assert_eq!(TraceParent::parse(&later), Some(parent));
    }

    #[test]
    fn what_is_no_trace_context_is_left_alone() {
        for wrong in [
            "",
            "00-canary",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e47ü-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
        assert_eq!(TraceParent::from_bytes(&[0; LENGTH]), None);
        assert_eq!(TraceParent::from_bytes(&[1; LENGTH - 1]), None);
    }
}
