//! Slots of a Redis Cluster: CRC16 (XMODEM) of a key's tag, modulo 16384, as the specification of Redis Cluster says.

use tidegate_types::OrganizationId;

/// How many there are.
pub(super) const SLOTS: usize = 16_384;
/// The tag of what all nodes of a pool share: `tg:{fleet}:…`.
const FLEET: &[u8] = b"fleet";

const TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u16) << 8, 0);
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// The slot of every key with this tag; below [`SLOTS`].
pub(super) fn of_tag(tag: &[u8]) -> usize {
    let crc = tag.iter().fold(0u16, |crc, byte| {
        let [high, _] = crc.to_be_bytes();
        (crc << 8) ^ TABLE[usize::from(high ^ byte)]
    });
    usize::from(crc) % SLOTS
}

/// The slot of every key of an organization.
pub(super) fn of(organization: OrganizationId) -> usize {
    of_tag(&organization.ulid_bytes())
}

/// The slot of what is no organization's.
pub(super) fn of_fleet() -> usize {
    of_tag(FLEET)
}
