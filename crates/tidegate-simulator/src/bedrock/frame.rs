//! Frames of AWS's event streams, written by the book.
//! Source: <https://smithy.io/2.0/aws/amazon-eventstream.html>.

/// A frame: lengths, their checksum, headers (all strings), payload, checksum of all that.
pub(super) fn frame(headers: [(&str, &str); 3], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(name.len() as u8);
        head.extend(name.bytes());
        head.push(7);
        head.extend((value.len() as u16).to_be_bytes());
        head.extend(value.bytes());
    }
    let mut out = Vec::with_capacity(16 + head.len() + payload.len());
    out.extend(((16 + head.len() + payload.len()) as u32).to_be_bytes());
    out.extend((head.len() as u32).to_be_bytes());
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out.extend(head);
    out.extend(payload);
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out
}
