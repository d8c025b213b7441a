//! The chunked form of a body (RFC 9112, section 7.1), decoded as it comes. Knows no connection.

use bytes::BytesMut;

/// Most bytes of one chunk's extensions, and of all trailers.
const MOST_ASIDE: u32 = 16 * 1024;

/// Where the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In a chunk's size; whether it has a digit yet.
    Size(bool),
    /// Behind the size, in what says nothing to us.
    Extension,
    /// Before the line feed of the size's line.
    SizeEnd,
    Data,
    /// Before the carriage return, then the line feed, behind a chunk.
    DataReturn,
    DataFeed,
    /// At the beginning of a line behind the last chunk, within one, before the last line feed.
    Trailer,
    TrailerLine,
    LastFeed,
    End,
}

/// A body on its way.
#[derive(Debug)]
pub(super) struct Chunked {
    at: At,
    /// Bytes left of the chunk, or its size as far as it was read.
    left: u64,
    aside: u32,
}

/// Not a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled;

impl Chunked {
    pub(super) const fn new() -> Self {
        Self { at: At::Size(false), left: 0, aside: 0 }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.at == At::End
    }

    /// Decodes what is there into `out`; how many bytes of `input` are used up: all, unless the body
    /// ends before.
    pub(super) fn decode(&mut self, input: &[u8], out: &mut BytesMut) -> Result<usize, Garbled> {
        let mut rest = input;
        while self.at != At::End {
            if self.at == At::Data {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                let (data, behind) = rest.split_at(length);
                out.extend_from_slice(data);
                (rest, self.left) = (behind, self.left - length as u64);
                if self.left == 0 {
                    self.at = At::DataReturn;
                }
            }
            let Some((byte, behind)) = rest.split_first() else { break };
            self.take(*byte)?;
            rest = behind;
        }
        Ok(input.len() - rest.len())
    }

    fn take(&mut self, byte: u8) -> Result<(), Garbled> {
        self.at = match (self.at, byte) {
            (At::Size(_), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                // Four bits of room, so that the next digit cannot push one out.
                if self.left >> 59 != 0 {
                    return Err(Garbled);
                }
                self.left = self.left << 4 | u64::from(digit);
                At::Size(true)
            }
            (At::Size(true) | At::Extension, b'\r') => At::SizeEnd,
            (At::Size(true), b';' | b' ' | b'\t') => At::Extension,
            (At::Extension, b'\n') => return Err(Garbled),
            (At::Extension, _) => {
                self.set_aside()?;
                At::Extension
            }
            (At::SizeEnd, b'\n') if self.left == 0 => {
                self.aside = 0;
                At::Trailer
            }
            (At::SizeEnd, b'\n') => {
                self.aside = 0;
                At::Data
            }
            (At::DataReturn, b'\r') => At::DataFeed,
            (At::DataFeed, b'\n') => At::Size(false),
            (At::Trailer, b'\r') => At::LastFeed,
            (At::Trailer | At::TrailerLine, b'\n') => At::Trailer,
            (At::Trailer | At::TrailerLine, _) => {
                self.set_aside()?;
                At::TrailerLine
            }
            (At::LastFeed, b'\n') => At::End,
            _ => return Err(Garbled),
        };
        Ok(())
    }

    fn set_aside(&mut self) -> Result<(), Garbled> {
        self.aside += 1;
        if self.aside > MOST_ASIDE { Err(Garbled) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes pieces of `size` bytes; the body, and what is left behind its end.
    fn decode(text: &[u8], size: usize) -> Result<(Vec<u8>, bool), Garbled> {
        let (mut chunked, mut out) = (Chunked::new(), BytesMut::new());
        for piece in text.chunks(size) {
            chunked.decode(piece, &mut out)?;
        }
        Ok((out.to_vec(), chunked.is_ended()))
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let text =
            b"5;name=\"x\"\r\nhello\r\n1 \r\n,\r\n00006\r\n world\r\n0\r\nexpires: never\r\nx: y\r\n\r\n";
        for size in 1..=text.len() {
            assert_eq!(decode(text, size), Ok((b"hello, world".to_vec(), true)), "{size}");
        }
    }

    #[test]
    fn a_body_that_is_cut_short_has_not_ended() {
        let text = b"2\r\nok\r\n0\r\n\r\n";
        for end in 0..text.len() {
            assert!(!decode(&text[..end], 3).unwrap().1, "{end}");
        }
    }

    #[test]
    fn what_lies_behind_the_end_is_left() {
        let (mut chunked, mut out) = (Chunked::new(), BytesMut::new());
        assert_eq!(chunked.decode(b"0\r\n\r\nHTTP/1.1", &mut out), Ok(5));
        assert!(chunked.is_ended());
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for text in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"1\nx",
            b"1\r\nxx",
            b"1\r\nx\n",
            b"1;a\nb",
            b"0\r\n\rx",
            b"10000000000000000\r\n",
            b"ffffffffffffffffff\r\n",
            b";\r\n",
        ] {
            assert_eq!(decode(text, 64), Err(Garbled), "{text:?}");
        }
        let long = [b"1;".as_slice(), &[b'a'; 20_000], b"\r\n"].concat();
        assert_eq!(decode(&long, 64), Err(Garbled));
        let long = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(4_000)].concat();
        assert_eq!(decode(&long, 64), Err(Garbled));
    }
}
