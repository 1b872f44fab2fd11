//! The rule for destinations: an address must be public or allowed by the operator, and either all addresses of a name
//! pass or none.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::addresses::special_purpose;
use crate::{BlockReason, EgressError};

/// The table of addresses, and the ranges that the operator allows beyond it.
#[derive(Debug)]
pub(crate) struct Guard {
    allow: Vec<IpNet>,
}

impl Guard {
    pub(crate) fn new(allow: Vec<IpNet>) -> Self {
        Self { allow }
    }

    /// Refuses the host if any of its addresses may not be dialled. One bad address rejects them all: a name that
    /// points both outside and inside is an attack or a mistake, and if the guard picked the good address, the owner of
    /// the name could choose the moment at which it turns bad.
    pub(crate) fn admit(&self, host: &str, plain: bool, answers: &[SocketAddr]) -> Result<(), EgressError> {
        match answers.iter().find_map(|answer| self.objection(answer.ip(), plain)) {
            None => Ok(()),
            Some(reason) => Err(EgressError::BlockedDestination { host: host.to_owned(), reason }),
        }
    }

    fn objection(&self, address: IpAddr, plain: bool) -> Option<BlockReason> {
        if self.allow.iter().any(|net| net.contains(&address)) {
            return None;
        }
        match special_purpose(address) {
            Some(purpose) => Some(BlockReason::SpecialPurpose(purpose)),
            None => plain.then_some(BlockReason::PlainHttp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|ip| SocketAddr::new(ip.parse().expect("test address"), 443)).collect()
    }

    fn admitted(allow: &[&str], plain: bool, list: &[&str]) -> bool {
        let guard = Guard::new(allow.iter().map(|net| net.parse().expect("test range")).collect());
        guard.admit("host.example", plain, &addresses(list)).is_ok()
    }

    #[test]
    fn t79_one_bad_answer_rejects_all_wherever_it_stands() {
        assert!(admitted(&[], false, &["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]));
        assert!(!admitted(&[], false, &["93.184.215.14", "10.0.0.1"]));
        assert!(!admitted(&[], false, &["10.0.0.1", "93.184.215.14"]));
        assert!(!admitted(&[], false, &["93.184.215.14", "8.8.8.8", "::1"]));
    }

    #[test]
    fn an_allowed_range_opens_itself_and_nothing_beside_it() {
        assert!(admitted(&["10.1.0.0/16"], false, &["10.1.2.3", "8.8.8.8"]));
        assert!(!admitted(&["10.1.0.0/16"], false, &["10.2.0.1"]));
        assert!(!admitted(&["127.0.0.0/8"], false, &["::1"]));
        assert!(!admitted(&["127.0.0.0/8"], false, &["::ffff:127.0.0.1"]));
        assert!(admitted(&["::1/128"], false, &["::1"]));
    }

    #[test]
    fn plain_http_goes_to_allowed_ranges_only() {
        assert!(admitted(&["127.0.0.0/8"], true, &["127.0.0.1"]));
        assert!(!admitted(&["127.0.0.0/8"], true, &["8.8.8.8"]));
        assert!(!admitted(&["127.0.0.0/8"], true, &["127.0.0.1", "8.8.8.8"]));
        assert!(!admitted(&[], true, &["8.8.8.8"]));
    }
}
