//! The address table: which addresses of the internet are somebody else's public service.
//!
//! Source: IANA special-purpose address registries (RFC 6890) and the metadata addresses
//! that the large clouds document. Everything not listed as global unicast is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is, seen from a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// Global unicast: may be called.
    Public,
    /// Loopback, private or carrier-grade space: only where the operator lists it.
    Private,
    /// Metadata services, link-local, multicast, translation prefixes, reserved space:
    /// never called, whatever is listed.
    Forbidden,
}

/// Looks an address up in the table.
#[must_use]
pub const fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

const fn classify_v4(address: Ipv4Addr) -> AddressClass {
    use AddressClass::{Forbidden, Private, Public};
    match address.octets() {
        // Metadata services: Alibaba, Oracle, Azure's wire server (the others are link-local).
        [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => Forbidden,
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Private,
        // "This network", link-local, protocol assignments, documentation, 6to4 relay,
        // benchmarking, multicast, reserved, broadcast.
        [0 | 224..=255, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] => Forbidden,
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => Forbidden,
        _ => Public,
    }
}

const fn classify_v6(address: Ipv6Addr) -> AddressClass {
    use AddressClass::{Forbidden, Private, Public};
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Private,
        // Metadata services: Amazon, Google.
        [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, ..] => Forbidden,
        [0xfc00..=0xfdff, ..] => Private,
        // Teredo, benchmarking, ORCHID and the other protocol assignments of 2001::/23.
        [0x2001, 0..=0x01ff, ..] => Forbidden,
        // Documentation, 6to4.
        [0x2001, 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => Forbidden,
        [0x2000..=0x3fff, ..] => Public,
        // All else: unspecified, mapped and compatible IPv4, NAT64 (64:ff9b::/96 and :1::/48),
        // discard, link-local, site-local, multicast, unassigned.
        _ => Forbidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &str, class: AddressClass) {
        for text in texts.split_whitespace() {
            assert_eq!(classify(text.parse().unwrap()), class, "{text}");
        }
    }

    #[test]
    fn public_services_may_be_called() {
        all(
            "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 198.17.0.1 198.20.0.1
             2606:4700::1111 2a00:1450::1 2001:4860::8888 2001:200::1 2400:cb00::1",
            AddressClass::Public,
        );
    }

    #[test]
    fn private_space_needs_to_be_listed() {
        all("127.0.0.1 127.255.255.254 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255
             ::1 fc00::1 fd12:3456::1", AddressClass::Private);
    }

    #[test]
    fn metadata_translation_and_reserved_space_is_never_called() {
        all("169.254.169.254 169.254.170.2 169.254.0.1 100.100.100.200 192.0.0.192 168.63.129.16 0.0.0.0 0.1.2.3
             192.0.0.8 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.9 224.0.0.1
             239.255.255.255 240.0.0.1 255.255.255.255
             :: ::ffff:8.8.8.8 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::8.8.8.8 64:ff9b::8.8.8.8
             64:ff9b:1::7f00:1 100::1 2001::1 2001:2::1 2001:10::1 2001:db8::1 2002:7f00:1::1 3fff::1 fe80::1
             fec0::1 feff::1 ff02::1 fd00:ec2::254 fd20:ce::254 4000::1 5f00::1", AddressClass::Forbidden);
    }
}
