//! Bodies that come compressed: gzip, deflate and zstd, within bounds of size, memory and ratio.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use ruzstd::decoding::StreamingDecoder;
use tidegate_types::usage::RefusalCause;

use crate::gateway::Settings;
use crate::refusal::{Refusal, Refused};

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    /// The zlib format, as HTTP means it.
    Deflate,
    Zstd,
}

/// A body grows at most so many times; texts that people and models write grow ten times.
const MOST_GROWTH: usize = 1_000;
/// Below this size nobody counts.
const FREE: usize = 1024 * 1024;
/// Windows of zstd that every reader should know (RFC 8878, 3.1.1.1.2).
const WINDOW: usize = 8 * 1024 * 1024;
/// Read at once.
const PIECE: u64 = 64 * 1024;

impl Coding {
    /// The coding that the headers name: none, or one.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Refused> {
        let mut found = Self::Identity;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            for word in value.to_str().map_err(|_| unread())?.split(',') {
                let coding = match word.trim().to_ascii_lowercase().as_str() {
                    "identity" | "" => continue,
                    "gzip" | "x-gzip" => Self::Gzip,
                    "deflate" => Self::Deflate,
                    "zstd" => Self::Zstd,
                    _ => return Err(unread()),
                };
                if found != Self::Identity {
                    return Err(unread());
                }
                found = coding;
            }
        }
        Ok(found)
    }

    /// The body itself. Long work happens beside the tasks that wait for connections.
    pub(crate) async fn open(self, settings: &Settings, body: Bytes) -> Result<Bytes, Refused> {
        if self == Self::Identity {
            return Ok(body);
        }
        let limit = settings.max_body.min(body.len().saturating_mul(MOST_GROWTH).max(FREE));
        let most = settings.max_body;
        let opened = tokio::task::spawn_blocking(move || self.opened(&body, limit));
        match opened.await {
            Ok(Ok(opened)) => Ok(opened.into()),
            Ok(Err(Fault::Large)) if limit < most => {
                let message = format!("the body grows more than {MOST_GROWTH} times when it is decompressed");
                Err(Refusal::new(RefusalCause::TooLarge, message).param("content-encoding"))
            }
            Ok(Err(Fault::Large)) => {
                let message = format!("the decompressed body is larger than {most} bytes");
                Err(Refusal::new(RefusalCause::TooLarge, message))
            }
            Ok(Err(Fault::Broken)) | Err(_) => {
                let message = "the body is not compressed as its content-encoding says";
                Err(Refusal::new(RefusalCause::BadRequest, message).param("content-encoding"))
            }
        }
    }

    fn opened(self, body: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        match self {
            Self::Identity => out.extend_from_slice(body),
            Self::Gzip => read(MultiGzDecoder::new(body), &mut out, limit)?,
            Self::Deflate => {
                let mut decoder = ZlibDecoder::new(body);
                read(&mut decoder, &mut out, limit)?;
                if decoder.total_in() != body.len() as u64 {
                    return Err(Fault::Broken);
                }
            }
            Self::Zstd => {
                let mut rest = body;
                while !rest.is_empty() {
                    // The window is memory, and as much may be made before anything is seen of it.
                    let window = limit.max(WINDOW) as u64;
                    let frame = StreamingDecoder::new_with_max_window_size(&mut rest, window);
                    read(frame.map_err(|_| Fault::Broken)?, &mut out, limit)?;
                }
            }
        }
        Ok(out)
    }
}

/// Why a body cannot be opened.
enum Fault {
    Large,
    Broken,
}

fn read(mut from: impl Read, out: &mut Vec<u8>, limit: usize) -> Result<(), Fault> {
    loop {
        let read = from.by_ref().take(PIECE).read_to_end(out).map_err(|_| Fault::Broken)?;
        if out.len() > limit {
            return Err(Fault::Large);
        }
        if read == 0 {
            return Ok(());
        }
    }
}

fn unread() -> Refused {
    let message = "this compression is not read; a body may come once compressed, as gzip, deflate or zstd";
    Refusal::new(RefusalCause::BadRequest, message).status(415).param("content-encoding").closing()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn opened(coding: Coding, body: &[u8], limit: usize) -> Option<Vec<u8>> {
        coding.opened(body, limit).ok()
    }

    #[test]
    fn what_is_cut_off_or_goes_on_is_no_body() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"a tide").unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(b"a tide").unwrap();
        let zlib = zlib.finish().unwrap();
        let zstd =
            ruzstd::encoding::compress_to_vec(&b"a tide"[..], ruzstd::encoding::CompressionLevel::Fastest);
        for (coding, body) in [(Coding::Gzip, gzip), (Coding::Deflate, zlib), (Coding::Zstd, zstd)] {
            assert_eq!(opened(coding, &body, 6).as_deref(), Some(&b"a tide"[..]), "{coding:?}");
            assert_eq!(opened(coding, &body, 5), None, "{coding:?}: larger than the limit");
            assert_eq!(opened(coding, &body[..body.len() - 1], 6), None, "{coding:?}: cut off");
            assert_eq!(opened(coding, &[&body[..], b"more"].concat(), 20), None, "{coding:?}: goes on");
        }
    }
}
