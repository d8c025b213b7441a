//! The corpus of forms that have led other gateways into private networks: spellings of closed addresses, names
//! that resolve to them, names that are rebound, redirects. No form opens a connection; a client that
//! trusts its URL parser and its resolver, sent the same way, does.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use tidegate_upstream::{Resolver, SendError, Settings, Upstreams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::addresses::{CLOSED, answering};
use crate::peer::{Act, Peer, loopback, post};

/// Targets worth an attack: loopback, the metadata services of the clouds, private and shared space.
const TARGETS: [[u8; 4]; 8] = [
    [127, 0, 0, 1],
    [169, 254, 169, 254],
    [100, 100, 100, 200],
    [168, 63, 129, 16],
    [192, 0, 0, 192],
    [10, 0, 0, 1],
    [100, 64, 0, 1],
    [0, 0, 0, 0],
];

/// Every way of writing an address of IPv4 in one to four parts, each decimal, octal or hexadecimal.
fn numbers(octets: [u8; 4]) -> BTreeSet<String> {
    let whole = u32::from_be_bytes(octets);
    let [a, b, c, d] = octets.map(u32::from);
    let forms: [fn(u32) -> String; 5] = [
        |n| n.to_string(),
        |n| format!("0{n:o}"),
        |n| format!("0x{n:x}"),
        |n| format!("0X{n:X}"),
        |n| format!("000{n:o}"),
    ];
    let mut all = BTreeSet::new();
    for f in forms {
        all.insert(f(whole));
        for g in forms {
            all.insert(format!("{}.{}", f(a), g(whole & 0x00ff_ffff)));
            all.insert(format!("{}.{}.{}", f(a), g(b), f(whole & 0xffff)));
            all.insert(format!("{}.{}.{}.{}", f(a), g(b), f(c), g(d)));
        }
    }
    all
}

/// The same address in other scripts, in other families, behind other parts of a URL.
fn disguises(octets: [u8; 4]) -> BTreeSet<String> {
    let [a, b, c, d] = octets;
    let plain = format!("{a}.{b}.{c}.{d}");
    let hex = format!("{a:02x}{b:02x}:{c:02x}{d:02x}");
    let digits = |zero: u32| -> String {
        plain
            .chars()
            .map(|one| one.to_digit(10).map_or(one, |digit| char::from_u32(zero + digit).unwrap_or(one)))
            .collect()
    };
    let escaped: String = plain.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let mut all: BTreeSet<String> =
        ["。", ".", "。", "%2e", "%E3%80%82"].map(|dot| plain.replace('.', dot)).into();
    // Full-width, mathematical bold and monospaced digits.
    all.extend([0xff10, 0x1d7ce, 0x1d7f6].map(digits));
    for six in [
        format!("::ffff:{plain}"),
        format!("::ffff:{hex}"),
        format!("0:0:0:0:0:FFFF:{hex}"),
        format!("::{plain}"),
        format!("::ffff:0:{plain}"),
        format!("64:ff9b::{plain}"),
        format!("64:ff9b:1::{plain}"),
        format!("2002:{hex}::"),
        format!("2001:0:{hex}::"),
    ] {
        all.insert(format!("[{six}]"));
    }
    all.extend([
        escaped,
        format!("{plain}."),
        format!("{plain}%00"),
        format!("user@{plain}"),
        format!("user:word@{plain}"),
        format!("1.1.1.1@{plain}"),
        format!("1.1.1.1%40{plain}"),
        format!("1.1.1.1#@{plain}"),
        format!("1.1.1.1?@{plain}"),
        format!("1.1.1.1\\@{plain}"),
        format!("1.1.1.1 {plain}"),
        format!("1.1.1.1\t{plain}"),
        format!("\u{ad}{plain}"),
        format!("{plain}\\.provider.example"),
        // Names that say so themselves; who answers for them answers what he likes.
        format!("{plain}.nip.example"),
        format!("{}.nip.example", plain.replace('.', "-")),
        plain,
    ]);
    all
}

const NAMES: [&str; 12] = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost.localdomain",
    "ip6-localhost",
    "metadata.google.internal",
    "instance-data",
    "kubernetes.default.svc",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[fd00:ec2::254]",
    "[fe80::1%25eth0]",
];

fn corpus() -> BTreeSet<String> {
    let hosts = TARGETS.into_iter().flat_map(|target| numbers(target).into_iter().chain(disguises(target)));
    hosts.chain(NAMES.map(str::to_owned)).collect()
}

/// A client that believes its URL parser and its resolver: whether it gets through.
async fn naive(url: String) -> bool {
    let connect = move || {
        let url = url::Url::parse(&url).ok()?;
        let target = (url.host_str()?, url.port()?).to_socket_addrs().ok()?.next()?;
        std::net::TcpStream::connect_timeout(&target, Duration::from_secs(5)).ok()
    };
    tokio::task::spawn_blocking(connect).await.unwrap().is_some()
}

#[tokio::test]
async fn no_form_of_the_corpus_opens_a_connection() {
    let peer = Peer::start(Act::SayAndClose("")).await;
    let port = peer.address.port();
    // Whoever answers for a name that gets so far, answers with what is closed.
    let settings = Settings { resolver: answering(&["127.0.0.1"]), ..Settings::default() };
    let upstreams = Upstreams::new(&settings).unwrap();
    let corpus = corpus();
    let mut refused = [0, 0];
    for (scheme, host) in ["https", "http"].into_iter().flat_map(|s| corpus.iter().map(move |host| (s, host)))
    {
        for url in [format!("{scheme}://{host}:{port}"), format!("{scheme}:{host}:{port}/v1")] {
            if upstreams.endpoint(&url).is_ok() {
                assert_eq!(post(&upstreams, &url).await.unwrap_err(), SendError::Forbidden, "{url}");
                refused[1] += 1;
            } else {
                refused[0] += 1;
            }
        }
    }
    assert!(corpus.len() >= 500, "{} forms", corpus.len());
    assert!(refused[0] > 500 && refused[1] > 10, "as texts and as addresses: {refused:?}");
    assert_eq!(peer.connections.load(Ordering::SeqCst), 0, "of {} forms", corpus.len());

    // The control: these are forms of an address. A naive client gets through by most of them.
    let mut through = 0;
    for host in numbers(TARGETS[0]) {
        through += usize::from(naive(format!("http://{host}:{port}")).await);
    }
    assert!(through >= 50, "{through} of {}", numbers(TARGETS[0]).len());
    crate::peer::reaches(&peer.connections, through).await;
}

/// Both ends of each closed range, and one address between.
fn closed() -> Vec<String> {
    let middle = |first: &str, last: &str| -> String {
        use std::net::IpAddr::{V4, V6};
        match (first.parse().unwrap(), last.parse().unwrap()) {
            (V4(low), V4(high)) => {
                std::net::Ipv4Addr::from_bits(low.to_bits() + (high.to_bits() - low.to_bits()) / 2)
                    .to_string()
            }
            (V6(low), V6(high)) => {
                std::net::Ipv6Addr::from_bits(low.to_bits() + (high.to_bits() - low.to_bits()) / 2)
                    .to_string()
            }
            _ => unreachable!("a range has one family"),
        }
    };
    let all = CLOSED
        .iter()
        .flat_map(|(first, last, _)| [(*first).to_owned(), middle(first, last), (*last).to_owned()]);
    all.collect::<BTreeSet<_>>().into_iter().collect()
}

/// A resolver whose answers are set by hand, and how often it was asked.
#[derive(Clone, Default)]
struct Answers {
    /// The first answer, and those behind it.
    next: Arc<Mutex<[Vec<IpAddr>; 2]>>,
    asked: Arc<AtomicUsize>,
}

impl Answers {
    fn set(&self, first: &[&str], then: &[&str]) {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        *self.next.lock().unwrap() = [parse(first), parse(then)];
        self.asked.store(0, Ordering::SeqCst);
    }

    fn resolver(&self) -> Resolver {
        let all = self.clone();
        Resolver::new(move |_| {
            let turn = usize::from(all.asked.fetch_add(1, Ordering::SeqCst) > 0);
            let answer = all.next.lock().unwrap()[turn].clone();
            async move { Ok(answer) }.boxed()
        })
    }
}

#[tokio::test]
async fn no_answer_of_a_resolver_leads_to_a_closed_address() {
    let answers = Answers::default();
    let settings = Settings { resolver: answers.resolver(), ..Settings::default() };
    let upstreams = Upstreams::new(&settings).unwrap();
    let mut tried = 0;
    for bad in closed() {
        for answer in [vec![&*bad], vec!["1.1.1.1", &bad], vec![&bad, "2606:4700::1111"]] {
            answers.set(&answer, &answer);
            let error = post(&upstreams, "https://provider.example").await.unwrap_err();
            assert_eq!((error, error.was_sent()), (SendError::Forbidden, false), "{answer:?}");
            tried += 1;
        }
    }
    assert!(tried >= 200, "{tried}");
}

#[tokio::test]
async fn a_name_that_flips_to_a_closed_address_is_called_at_the_vetted_one_only() {
    let peer = Peer::start(Act::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    let port = peer.address.port();
    let answers = Answers::default();
    let settings =
        Settings { resolver: answers.resolver(), private: loopback(&[port]), ..Settings::default() };
    let upstreams = Upstreams::new(&settings).unwrap();
    let url = format!("http://provider.example:{port}");
    let mut rounds = 0;
    for bad in closed() {
        if bad.starts_with("127.") || bad == "::1" {
            continue;
        }
        answers.set(&["127.0.0.1"], &[&bad]);
        // One look-up for a connection: its answer is vetted, and is where the connection goes.
        assert_eq!(post(&upstreams, &url).await.unwrap().0, 200);
        assert_eq!(answers.asked.load(Ordering::SeqCst), 1);
        assert_eq!(post(&upstreams, &url).await.unwrap_err(), SendError::Forbidden, "{bad}");
        rounds += 1;
        assert_eq!(peer.connections.load(Ordering::SeqCst), rounds, "{bad}");
    }
    assert!(rounds >= 60, "{rounds}");
}

/// Answers each request with a redirect to the next of these places, on connections of their own.
async fn redirecting(places: Vec<String>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for (status, place) in [301, 302, 303, 307, 308].iter().cycle().zip(places) {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"{}") {
                seen.push(socket.read_u8().await.unwrap());
            }
            let answer = format!(
                "HTTP/1.1 {status} x\r\nlocation: {place}\r\nrefresh: 0;url={place}\r\n\
                 connection: close\r\ncontent-length: 0\r\n\r\n"
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn no_redirect_is_followed_wherever_it_leads() {
    let victim = Peer::start(Act::SayAndClose("")).await;
    let port = victim.address.port();
    let mut places: Vec<String> = TARGETS
        .into_iter()
        .flat_map(disguises)
        .filter(|host| host.is_ascii() && !host.contains(['\t', ' ']))
        .map(|host| format!("http://{host}:{port}/"))
        .collect();
    places.extend([format!("//127.0.0.1:{port}/"), "/elsewhere".to_owned(), "file:///etc/passwd".to_owned()]);
    let count = places.len();
    let server = redirecting(places).await;
    // Both are on the operator's list: nothing but the rule itself keeps a redirect from its place.
    let private = loopback(&[server.port(), port]);
    let upstreams = Upstreams::new(&Settings { private, ..Settings::default() }).unwrap();
    for place in 0..count {
        let (status, _) = post(&upstreams, &format!("http://{server}")).await.unwrap();
        assert!((301..=308).contains(&status), "{place}: {status}");
    }
    assert!(count >= 150, "{count}");
    assert_eq!(victim.connections.load(Ordering::SeqCst), 0);
    // The control: asked for by name, the victim is reached.
    post(&upstreams, &victim.url()).await.unwrap_err();
    assert_eq!(victim.connections.load(Ordering::SeqCst), 1);
}
