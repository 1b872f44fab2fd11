//! Limits the connections per address. Without it, a single client that opens connections and sends nothing could hold
//! every place of the server (T75). An IPv6 address counts as its /64, because that is what one subscriber gets.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;

/// The seats of all addresses. An address without a connection is forgotten.
#[derive(Debug)]
pub(crate) struct Seats {
    each: usize,
    exempt: Vec<IpNet>,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's seat, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat(Option<(Arc<Seats>, IpAddr)>);

impl Seats {
    /// `exempt`: proxies, behind which everybody has the same address.
    pub(crate) fn new(each: usize, exempt: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { each, exempt, taken: Mutex::default() })
    }

    /// Takes a seat; returns `None` when the address has used all of its seats.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Seat> {
        let peer = peer.to_canonical();
        if self.exempt.iter().any(|net| net.contains(&peer)) {
            return Some(Seat(None));
        }
        let address = subscriber(peer);
        let mut taken = self.taken();
        let count = taken.entry(address).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Seat(Some((self.clone(), address))))
    }

    /// The lock is held only for a look-up and an addition, which cannot fail half-way.
    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((seats, address)) = self.0.take() else { return };
        let mut taken = seats.taken();
        if let Some(count) = taken.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&address);
            }
        }
    }
}

fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_and_gets_them_back() {
        let seats = Seats::new(2, vec!["10.0.0.0/8".parse().unwrap()]);
        let first = seats.take(ip("192.0.2.1")).unwrap();
        let _second = seats.take(ip("::ffff:192.0.2.1")).unwrap();
        assert!(seats.take(ip("192.0.2.1")).is_none(), "however it is written");
        let _others_have_their_own = seats.take(ip("192.0.2.2")).unwrap();
        drop(first);
        assert!(seats.take(ip("192.0.2.1")).is_some());
        let proxy: Vec<_> = (0..9).map(|_| seats.take(ip("10.1.2.3"))).collect();
        assert!(proxy.iter().all(Option::is_some), "a proxy stands for everybody");
    }

    #[test]
    fn an_ipv6_subscriber_is_one_and_nobody_is_remembered_without_need() {
        let seats = Seats::new(1, vec![]);
        let seat = seats.take(ip("2001:db8:0:1::1")).unwrap();
        assert!(seats.take(ip("2001:db8:0:1:ffff::2")).is_none());
        let _neighbour = seats.take(ip("2001:db8:0:2::1")).unwrap();
        drop(seat);
        assert_eq!(seats.taken().len(), 1);
    }
}
