//! The client's network address: the connection's other end, or, behind proxies that the operator lists, the
//! one that they tell in `x-forwarded-for`. Nobody else's headers are believed.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Entries that are read; a longer list ends the reading where it is.
const MOST: usize = 32;

/// Whose address counts for `allow.ips`. Each proxy appends whom it heard: from the right, the first address
/// that is no listed proxy's is the client's. What cannot be read ends at the last proxy.
pub(crate) fn of(proxies: &[IpNet], connection: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_proxy = |address: IpAddr| proxies.iter().any(|proxy| proxy.contains(&address));
    let mut address = connection.to_canonical();
    if proxies.is_empty() || !is_proxy(address) {
        return address;
    }
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    let entries = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    for entry in entries.take(MOST) {
        let Some(told) = read(entry.trim()) else { return address };
        address = told.to_canonical();
        if !is_proxy(address) {
            return address;
        }
    }
    address
}

/// An address, with or without a port.
fn read(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    bare.parse().ok().or_else(|| entry.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(connection: &str, lines: &[&str]) -> String {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        of(&proxies, connection.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_what_listed_proxies_say_is_believed() {
        for (connection, lines, expected) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.1.1.1", &[], "10.1.1.1"),
            ("10.1.1.1", &["198.51.100.1"], "198.51.100.1"),
            // What the client itself wrote stands to the left of what the proxy appended.
            ("10.1.1.1", &["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
            ("10.1.1.1", &["127.0.0.1", "198.51.100.1, 10.2.2.2"], "198.51.100.1"),
            ("::ffff:10.1.1.1", &["2001:db8::1"], "2001:db8::1"),
            ("fd00::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.1.1.1", &["198.51.100.1:8443"], "198.51.100.1"),
            ("10.1.1.1", &["198.51.100.1, unknown"], "10.1.1.1"),
            ("10.1.1.1", &["198.51.100.1, "], "10.1.1.1"),
            ("10.1.1.1", &["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ] {
            assert_eq!(told(connection, lines), expected, "{connection} {lines:?}");
        }
        let many = vec!["10.2.2.2"; 100].join(",");
        assert_eq!(told("10.1.1.1", &[&format!("198.51.100.1,{many}")]), "10.2.2.2");
    }

    #[test]
    fn without_a_list_nothing_is_believed() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, "198.51.100.1".parse().unwrap());
        let connection = "127.0.0.1".parse().unwrap();
        assert_eq!(of(&[], connection, &headers), connection);
    }
}
