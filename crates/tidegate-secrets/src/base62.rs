//! Random text of the characters 0-9, A-Z, a-z.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of a secret: 32 of them carry 190 bits.
pub(crate) const LENGTH: usize = 32;

/// 32 characters from 256 random bits: the bits as one number modulo 62³², so that the
/// distribution is uniform up to 2⁻⁶⁵.
pub(crate) fn encode(mut random: [u8; 32]) -> [u8; LENGTH] {
    let mut out = [b'0'; LENGTH];
    for slot in &mut out {
        let mut remainder = 0u32;
        for byte in &mut random {
            let value = (remainder << 8) | u32::from(*byte);
            *byte = (value / 62) as u8;
            remainder = value % 62;
        }
        *slot = ALPHABET.get(remainder as usize).copied().unwrap_or(b'0');
    }
    zeroize::Zeroize::zeroize(&mut random);
    out
}

/// Whether every byte is one of the 62 characters.
pub(crate) fn is_base62(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_alphanumeric)
}
