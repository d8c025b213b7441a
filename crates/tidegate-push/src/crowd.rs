//! Connections in one state, of which there are so many at most, and so many of one address.
//!
//! Nobody's places are in everybody's way: when all are taken, an address gets one of whoever has more than it would have then.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::metrics::Dropped;

/// Connections in one state.
pub(crate) struct Crowd {
    most: usize,
    most_of_one: usize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    all: usize,
    next: u64,
    // In the order in which they came; no address without one.
    of: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
}

/// One of a crowd, until it is dropped or somebody else has its place.
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    from: IpAddr,
    number: u64,
    displaced: CancellationToken,
}

impl Crowd {
    pub(crate) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, inside: Mutex::default() })
    }

    /// A place for a connection from there, made free where that is fair.
    pub(crate) fn enter(crowd: &Arc<Self>, from: IpAddr) -> Result<Place, Dropped> {
        let from = network(from);
        let mut inside = crowd.inside.lock();
        let own = inside.of.get(&from).map_or(0, BTreeMap::len);
        if own >= crowd.most_of_one {
            return Err(Dropped::AddressFull);
        }
        if inside.all >= crowd.most {
            inside.displace(own)?;
        }
        let (number, displaced) = (inside.next, CancellationToken::new());
        inside.next = inside.next.wrapping_add(1);
        inside.all += 1;
        inside.of.entry(from).or_default().insert(number, displaced.clone());
        Ok(Place { crowd: Arc::clone(crowd), from, number, displaced })
    }
}

impl Inside {
    /// Takes the oldest place of whoever has most, for one who has `own`. Nobody loses one to an address that then has as many.
    fn displace(&mut self, own: usize) -> Result<(), Dropped> {
        let most = self.of.values_mut().max_by_key(|places| places.len());
        let oldest = most.filter(|places| places.len() > own + 1).and_then(BTreeMap::pop_first);
        let (_, displaced) = oldest.ok_or(Dropped::Full)?;
        displaced.cancel();
        self.all = self.all.saturating_sub(1);
        Ok(())
    }
}

impl Place {
    /// Ends when somebody else has it.
    pub(crate) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.crowd.inside.lock();
        let Some(places) = inside.of.get_mut(&self.from) else { return };
        let left = places.remove(&self.number).is_some();
        if places.is_empty() {
            inside.of.remove(&self.from);
        }
        if left {
            inside.all = inside.all.saturating_sub(1);
        }
    }
}

/// What one party has many addresses of as easily as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}
