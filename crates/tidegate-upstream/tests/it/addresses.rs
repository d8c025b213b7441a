//! No name, form or answer of a resolver leads to an address that is not listed.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use proptest::prelude::*;
use tidegate_types::OrganizationId;
use tidegate_upstream::{
    AddressClass, Endpoint, PrivateTarget, Resolver, SendError, Settings, Upstreams, classify,
};

use crate::peer::{Act, Peer, loopback, post};

pub(crate) fn answering(addresses: &[&str]) -> Resolver {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Resolver::new(move |_| {
        let addresses = addresses.clone();
        async move { Ok(addresses) }.boxed()
    })
}

#[tokio::test]
async fn a_name_with_one_forbidden_address_is_never_called() {
    let peer = Peer::start(Act::SayAndClose("")).await;
    let port = peer.address.port();
    for bad in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "fec0::1",
        "fe80::1",
        "::127.0.0.1",
        "fd00:ec2::254",
    ] {
        for answer in [vec![bad], vec!["1.1.1.1", bad], vec![bad, "2606:4700::1111"]] {
            let settings = Settings { resolver: answering(&answer), ..Settings::default() };
            let upstreams = Upstreams::new(&settings).unwrap();
            let error = post(&upstreams, &format!("https://provider.example:{port}")).await.unwrap_err();
            assert_eq!((error, error.was_sent()), (SendError::Forbidden, false), "{answer:?}");
        }
    }
    assert_eq!(peer.connections.load(Ordering::SeqCst), 0);
    // The control: the same name is called once the operator lists what it leads to.
    let settings =
        Settings { resolver: answering(&["127.0.0.1"]), private: loopback(&[port]), ..Settings::default() };
    let reached = post(&Upstreams::new(&settings).unwrap(), &format!("http://provider.example:{port}")).await;
    assert_eq!(reached.unwrap_err(), SendError::Broken);
    assert_eq!(peer.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_name_that_is_rebound_after_the_check_gains_nothing() {
    let peer = Peer::start(Act::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    let lookups = Arc::new(AtomicUsize::new(0));
    let counted = lookups.clone();
    let resolver = Resolver::new(move |_| {
        let answer =
            if counted.fetch_add(1, Ordering::SeqCst) == 0 { "127.0.0.1" } else { "169.254.169.254" };
        async move { Ok(vec![answer.parse().unwrap()]) }.boxed()
    });
    let settings = Settings { resolver, private: loopback(&[peer.address.port()]), ..Settings::default() };
    let upstreams = Upstreams::new(&settings).unwrap();
    let url = format!("http://provider.example:{}", peer.address.port());
    // The first look-up is vetted and used: there is no second one to flip.
    assert_eq!(post(&upstreams, &url).await.unwrap().0, 200);
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
    // The next connection looks up again, and the flipped answer is refused.
    assert_eq!(post(&upstreams, &url).await.unwrap_err(), SendError::Forbidden);
}

#[tokio::test]
async fn one_tenant_cannot_use_a_connection_that_another_was_allowed() {
    let peer = Peer::start(Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    let tenant = OrganizationId::from_u128(1);
    let private = vec![PrivateTarget {
        cidr: "127.0.0.1/32".parse().unwrap(),
        ports: vec![peer.address.port()],
        http: true,
        organizations: vec![tenant],
    }];
    let upstreams = Upstreams::new(&Settings { private, ..Settings::default() }).unwrap();
    let endpoint = upstreams.endpoint(&peer.url()).unwrap();
    let send = |owner| {
        let path = endpoint.path("/").unwrap();
        upstreams.post(&endpoint, owner, path, http::HeaderMap::new(), bytes::Bytes::new())
    };
    drop(send(tenant).await.unwrap());
    assert_eq!(send(OrganizationId::from_u128(2)).await.unwrap_err(), SendError::Forbidden);
    assert_eq!(send(tenant).await.unwrap().status(), 200);
    assert_eq!(peer.connections.load(Ordering::SeqCst), 1);
}

/// Ranges that are closed, first and last address, as IANA's registries of special purposes list them; which of
/// them an operator may open.
pub(crate) const CLOSED: &[(&str, &str, AddressClass)] = &[
    ("0.0.0.0", "0.255.255.255", AddressClass::Forbidden),
    ("10.0.0.0", "10.255.255.255", AddressClass::Private),
    ("100.64.0.0", "100.100.100.199", AddressClass::Private),
    ("100.100.100.201", "100.127.255.255", AddressClass::Private),
    ("127.0.0.0", "127.255.255.255", AddressClass::Private),
    ("169.254.0.0", "169.254.255.255", AddressClass::Forbidden),
    ("172.16.0.0", "172.31.255.255", AddressClass::Private),
    ("192.0.0.0", "192.0.0.255", AddressClass::Forbidden),
    ("192.0.2.0", "192.0.2.255", AddressClass::Forbidden),
    ("192.88.99.0", "192.88.99.255", AddressClass::Forbidden),
    ("192.168.0.0", "192.168.255.255", AddressClass::Private),
    ("198.18.0.0", "198.19.255.255", AddressClass::Forbidden),
    ("198.51.100.0", "198.51.100.255", AddressClass::Forbidden),
    ("203.0.113.0", "203.0.113.255", AddressClass::Forbidden),
    ("224.0.0.0", "255.255.255.255", AddressClass::Forbidden),
    ("::", "::", AddressClass::Forbidden),
    ("::1", "::1", AddressClass::Private),
    ("::2", "::ffff:ffff:ffff", AddressClass::Forbidden),
    ("64:ff9b::", "64:ff9b::ffff:ffff", AddressClass::Forbidden),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", AddressClass::Forbidden),
    ("100::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Forbidden),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Forbidden),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Forbidden),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Forbidden),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Forbidden),
    ("fc00::", "fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Private),
    ("fe80::", "fec0::", AddressClass::Forbidden),
    ("fec0::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressClass::Forbidden),
];

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(number: u128, v4: bool) -> IpAddr {
    if v4 {
        std::net::Ipv4Addr::from_bits(number as u32).into()
    } else {
        std::net::Ipv6Addr::from_bits(number).into()
    }
}

#[test]
fn every_closed_range_is_closed_at_both_ends_and_what_lies_beyond_is_told_apart() {
    let open = [
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "1.0.0.0",
        "2000::",
        "2001:200::",
        "2001:db7:ffff::",
        "2001:db9::",
        "2003::",
        "3ffe::",
        "3fff:1000::",
    ];
    for text in open {
        assert_eq!(classify(text.parse().unwrap()), AddressClass::Public, "{text}");
    }
    for (first, last, class) in CLOSED {
        for text in [first, last] {
            assert_eq!(classify(text.parse().unwrap()), *class, "{text}");
        }
    }
}

proptest! {
    #[test]
    fn no_address_of_a_closed_range_is_open(place in 0..CLOSED.len(), within: u128) {
        let (first, last, class) = CLOSED[place];
        let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
        let (low, high) = (number(first), number(last));
        let span = (high - low).checked_add(1);
        let inside = address(span.map_or(within, |span| low + within % span), first.is_ipv4());
        prop_assert_eq!(classify(inside), class, "{}", inside);
    }

    #[test]
    fn whatever_parses_as_an_address_is_classified_as_written(v4 in any::<[u8; 4]>()) {
        let text = IpAddr::from(v4).to_string();
        if let Ok(endpoint) = Endpoint::parse(&format!("https://{text}/")) {
            let shown = format!("{endpoint:?}");
            prop_assert!(shown.contains(&text));
        }
        let mapped: IpAddr = format!("::ffff:{text}").parse().unwrap();
        prop_assert_eq!(classify(mapped), AddressClass::Forbidden);
    }

    #[test]
    fn no_text_makes_the_parser_fall_over(text in "\\PC{0,60}") {
        let _ = Endpoint::parse(&text);
        let _ = Endpoint::parse(&format!("https://{text}"));
    }
}
