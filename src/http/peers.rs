//! What one peer may take of what all share, by the network that it calls from.
//!
//! An IPv4 address is one network; of IPv6, whoever has one address has its whole /64.
//!
//! In scope: connections at a time, and refused registrations. Out of scope: who a peer is ([`access`](super::access)).
//! Behind a load balancer that hides addresses all clients are one peer: there both limits belong to it, and are
//! switched off here.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use treering_witness::rate::{Bucket, Rate};

/// A pause brings as many refusals as the rate brings in this many seconds.
const BURST_S: u32 = 10;
/// Networks whose refusals are counted; some 4 MiB. Beyond it those that made none lately are forgotten.
const MOST_NETWORKS: usize = 1 << 16;

/// Where a peer calls from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The network of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))))
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

/// Connections of each network.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    open: Mutex<HashMap<Network, usize>>,
}

/// One connection of a network; dropped, it makes room for another.
pub(super) struct Connection {
    of: Arc<Connections>,
    network: Network,
}

impl Connections {
    /// At most so many of each; 0 is no limit.
    pub(super) fn new(most: usize) -> Self {
        Self { most: if most == 0 { usize::MAX } else { most }, open: Mutex::default() }
    }

    /// Counts one more, unless there are as many as may be.
    pub(super) fn enter(self: &Arc<Self>, network: Network) -> Option<Connection> {
        let mut open = self.open();
        let count = open.entry(network).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Connection { of: Arc::clone(self), network })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Network, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.of.open();
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

/// Registrations that come to nothing: garbage and statements that the policy refuses cost a verification, and whoever
/// sends them need not be known. Those that are taken are signed by an issuer that the policy names, and cost nothing
/// here.
#[derive(Debug)]
pub struct Refusals {
    rate: Option<Rate>,
    buckets: Mutex<HashMap<Network, Bucket>>,
}

impl Refusals {
    /// So many a second for each network; 0 is no limit.
    pub fn new(per_second: u32) -> Self {
        let rate = Rate { per_second, burst: per_second.saturating_mul(BURST_S) };
        Self { rate: (per_second > 0).then_some(rate), buckets: Mutex::default() }
    }

    /// Begins a registration, which is counted as refused until it is [`forgiven`](Self::forgive), so that many at a time
    /// count, too; or says how long to wait.
    pub(super) fn begin(&self, network: Network, now: Instant) -> Result<(), Duration> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_NETWORKS && !buckets.contains_key(&network) {
            buckets.retain(|_, bucket| !bucket.is_full(now));
            // That many networks at a time that all send garbage: no table would tell them from the others.
            if buckets.len() >= MOST_NETWORKS {
                buckets.clear();
            }
        }
        buckets.entry(network).or_insert_with(|| Bucket::new(rate, now)).take(now)
    }

    /// The registration was not refused, or for no fault of its own.
    pub(super) fn forgive(&self, network: Network) {
        if self.rate.is_some() {
            let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(bucket) = buckets.get_mut(&network) {
                bucket.give_back();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    #[test]
    fn a_network_is_one_address_or_a_64() {
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:0:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }

    #[test]
    fn connections_are_counted_by_network_and_forgotten() {
        let connections = Arc::new(Connections::new(2));
        let held: Vec<_> = (0..2).map(|_| connections.enter(network("192.0.2.1")).unwrap()).collect();
        assert!(connections.enter(network("192.0.2.1")).is_none());
        let other = connections.enter(network("192.0.2.2"));
        assert!(other.is_some());
        drop(held);
        assert!(connections.enter(network("192.0.2.1")).is_some());
        drop(other);
        assert!(connections.open().is_empty());
        let unlimited = Arc::new(Connections::new(0));
        let many: Vec<_> = (0..100).map(|_| unlimited.enter(network("192.0.2.1"))).collect();
        assert!(many.iter().all(Option::is_some));
    }

    #[test]
    fn refusals_are_counted_by_network_and_others_are_forgiven() {
        let (refusals, now) = (Refusals::new(1), crate::clock::monotonic());
        let (one, other) = (network("192.0.2.1"), network("192.0.2.2"));
        for _ in 0..100 {
            refusals.begin(one, now).unwrap();
            refusals.forgive(one);
        }
        for _ in 0..10 {
            refusals.begin(one, now).unwrap();
        }
        assert_eq!(refusals.begin(one, now), Err(Duration::from_secs(1)));
        assert_eq!(refusals.begin(other, now), Ok(()));
        assert_eq!(refusals.begin(one, now + Duration::from_secs(1)), Ok(()));
        let off = Refusals::new(0);
        assert!((0..100).all(|_| off.begin(one, now).is_ok()));
    }

    /// Whoever has many addresses must not have the service's memory.
    #[test]
    fn the_table_of_networks_is_bounded() {
        let (refusals, now) = (Refusals::new(1), crate::clock::monotonic());
        for address in 0..=u32::try_from(MOST_NETWORKS).unwrap() {
            refusals.begin(Network::of(IpAddr::from(address.to_be_bytes())), now).unwrap();
        }
        assert!(refusals.buckets.lock().unwrap().len() <= MOST_NETWORKS);
    }
}
