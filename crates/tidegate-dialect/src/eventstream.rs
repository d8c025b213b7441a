//! AWS's binary event streams (`application/vnd.amazon.eventstream`): bytes in, whole frames out.
//!
//! A frame is: total length, length of headers, CRC-32 of these eight bytes, headers, payload, CRC-32 of all
//! before. Both checksums are checked. Knows nothing of what frames mean.
//! Source: <https://smithy.io/2.0/aws/amazon-eventstream.html>, read November 2026.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::AnswerFault;
use crate::sse::{MAX_EVENT, Ready};

/// Bytes before the headers.
const PRELUDE: usize = 12;
/// Bytes of a checksum.
const CHECKSUM: usize = 4;
/// How the type of a header's value is written when it is a string.
const STRING: u8 = 7;

const BROKEN: AnswerFault = AnswerFault::Malformed("a frame whose checksum or lengths are wrong");

/// Cuts a stream into frames.
#[derive(Debug, Default)]
pub struct Reader {
    /// Bytes of a frame that is not whole yet.
    rest: Vec<u8>,
    fault: Option<AnswerFault>,
}

impl Reader {
    /// Takes the next bytes; gives the frames that are whole now, which may be none.
    /// Gives nothing any more once there is a [`Self::fault`].
    pub fn feed(&mut self, chunk: &Bytes) -> Ready {
        if self.fault.is_some() {
            return Ready::default();
        }
        if self.rest.is_empty() {
            return self.cut(chunk);
        }
        self.rest.extend_from_slice(chunk);
        if let Ok(None) = length(&self.rest) {
            return Ready::default();
        }
        let bytes = Bytes::from(std::mem::take(&mut self.rest));
        self.cut(&bytes)
    }

    fn cut(&mut self, bytes: &Bytes) -> Ready {
        let mut ends: SmallVec<[usize; 8]> = SmallVec::new();
        let mut start = 0;
        while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
            match length(rest).and_then(|length| length.map(|length| checked(rest, length)).transpose()) {
                Ok(Some(length)) => start += length,
                Ok(None) => {
                    self.rest.extend_from_slice(rest);
                    break;
                }
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
            ends.push(start);
        }
        Ready::of_frames(bytes.slice(..start), ends)
    }

    /// What is wrong with the stream, if it is.
    #[must_use]
    pub fn fault(&self) -> Option<&AnswerFault> {
        self.fault.as_ref()
    }
}

/// Length of the frame that `bytes` begin with, once it is whole. Nothing is believed before its checksum.
fn length(bytes: &[u8]) -> Result<Option<usize>, AnswerFault> {
    let (Some(total), Some(headers), Some(sum)) = (number(bytes, 0), number(bytes, 4), number(bytes, 8))
    else {
        return Ok(None);
    };
    if crc32fast::hash(bytes.get(..8).unwrap_or_default()) != sum {
        return Err(BROKEN);
    }
    let (total, headers) = (total as usize, headers as usize);
    if total > MAX_EVENT {
        return Err(AnswerFault::TooLong);
    }
    if headers > total || total - headers < PRELUDE + CHECKSUM {
        return Err(BROKEN);
    }
    Ok((bytes.len() >= total).then_some(total))
}

/// The same length, if the frame's checksum is right.
fn checked(bytes: &[u8], length: usize) -> Result<usize, AnswerFault> {
    let body = length.saturating_sub(CHECKSUM);
    let said = number(bytes, body);
    let sum = crc32fast::hash(bytes.get(..body).unwrap_or_default());
    if said == Some(sum) { Ok(length) } else { Err(BROKEN) }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// Where a frame's name and payload lie in `bytes`. The name is the value of `:event-type`,
/// `:exception-type` or `:error-code`, whichever it has; empty when it has none.
pub(crate) fn parts(bytes: &[u8], frame: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let inside = bytes.get(frame.clone()).unwrap_or_default();
    let headers = number(inside, 4).unwrap_or(0) as usize;
    let end = frame.end.saturating_sub(CHECKSUM).max(frame.start);
    let start = frame.start + PRELUDE;
    let payload = (start + headers).min(end)..end;
    let name = name(bytes, start..payload.start).unwrap_or(frame.start..frame.start);
    (name, payload)
}

fn name(bytes: &[u8], headers: Range<usize>) -> Option<Range<usize>> {
    let mut at = headers.start;
    while at < headers.end {
        let name_end = at + 1 + usize::from(*bytes.get(at)?);
        let key = bytes.get(at + 1..name_end)?;
        let kind = *bytes.get(name_end)?;
        let start = name_end + 1;
        let value = match kind {
            0 | 1 => start..start,
            2 => start..start + 1,
            3 => start..start + 2,
            4 => start..start + 4,
            5 | 8 => start..start + 8,
            9 => start..start + 16,
            6 | STRING => {
                let length = u16::from_be_bytes(bytes.get(start..start + 2)?.try_into().ok()?);
                start + 2..start + 2 + usize::from(length)
            }
            _ => return None,
        };
        if value.end > headers.end {
            return None;
        }
        if kind == STRING && matches!(key, b":event-type" | b":exception-type" | b":error-code") {
            return Some(value);
        }
        at = value.end;
    }
    None
}

/// A frame with these headers, all of them strings of at most 64 KiB.
#[must_use]
pub fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(128);
    for (name, value) in headers {
        let (Ok(name_length), Ok(length)) = (u8::try_from(name.len()), u16::try_from(value.len())) else {
            continue;
        };
        written.push(name_length);
        written.extend_from_slice(name.as_bytes());
        written.push(STRING);
        written.extend_from_slice(&length.to_be_bytes());
        written.extend_from_slice(value.as_bytes());
    }
    let total = PRELUDE + written.len() + payload.len() + CHECKSUM;
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&u32::try_from(total).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&u32::try_from(written.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(&written);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out
}
