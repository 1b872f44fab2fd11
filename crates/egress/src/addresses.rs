//! The table of addresses that are not on the public internet.
//!
//! Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its updates), the IANA IPv4
//! multicast and IPv6 address space registries. The table is stricter than their "globally reachable" column where no
//! provider's API can live: it refuses the ranges for anycast relays, for AS112 and for protocol assignments as a
//! whole. It also refuses every IPv6 form that carries an IPv4 address, whichever address that is: a translator or
//! tunnel on the path would unwrap it after the check, and providers publish A records.
//!
//! A network that reaches IPv4 only through NAT64 sees `64:ff9b::/96` answers; its operator allows that range in
//! `ALTER_EGRESS_ALLOW`.
//!
//! To add a range: add one line, the most specific purpose first (the first match names the reason), and the range's
//! edges in the test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Returns what the address is reserved for, or `None` for an ordinary public unicast address.
pub(crate) fn special_purpose(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => V4.iter().find(|(net, _)| net.contains(&v4)).map(|(_, purpose)| *purpose),
        IpAddr::V6(v6) => V6
            .iter()
            .find(|(net, _)| net.contains(&v6))
            .map(|(_, purpose)| *purpose)
            .or_else(|| (!GLOBAL_UNICAST_V6.contains(&v6)).then_some("no public use (outside 2000::/3)")),
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(address: u128, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_bits(address), prefix)
}

/// The only block IANA allocates to networks (RFC 4291, section 2.4; IPv6 address space registry).
const GLOBAL_UNICAST_V6: Ipv6Net = v6(0x2000 << 112, 3);

const V4: [(Ipv4Net, &str); 20] = [
    (v4(0, 0, 0, 0, 8), "this network (RFC 791)"),
    (v4(10, 0, 0, 0, 8), "private use (RFC 1918)"),
    (v4(100, 64, 0, 0, 10), "shared address space (RFC 6598)"),
    (v4(127, 0, 0, 0, 8), "loopback (RFC 1122)"),
    // 169.254.169.254 and its relatives answer with the machine's own cloud credentials.
    (v4(169, 254, 0, 0, 16), "link local and cloud metadata (RFC 3927)"),
    (v4(172, 16, 0, 0, 12), "private use (RFC 1918)"),
    (v4(192, 0, 0, 0, 24), "protocol assignments (RFC 6890)"),
    (v4(192, 0, 2, 0, 24), "documentation (RFC 5737)"),
    (v4(192, 31, 196, 0, 24), "AS112 (RFC 7535)"),
    (v4(192, 52, 193, 0, 24), "multicast tunnelling (RFC 7450)"),
    (v4(192, 88, 99, 0, 24), "6to4 relay anycast (RFC 7526)"),
    (v4(192, 168, 0, 0, 16), "private use (RFC 1918)"),
    (v4(192, 175, 48, 0, 24), "AS112 (RFC 7534)"),
    (v4(198, 18, 0, 0, 15), "benchmarking (RFC 2544)"),
    (v4(198, 51, 100, 0, 24), "documentation (RFC 5737)"),
    (v4(203, 0, 113, 0, 24), "documentation (RFC 5737)"),
    (v4(224, 0, 0, 0, 4), "multicast (RFC 5771)"),
    (v4(255, 255, 255, 255, 32), "limited broadcast (RFC 8190)"),
    (v4(240, 0, 0, 0, 4), "future use (RFC 1112)"),
    // In no registry, and public by its number, but an Azure host serves it to its own virtual machines only.
    (v4(168, 63, 129, 16, 32), "cloud metadata (Azure)"),
];

const V6: [(Ipv6Net, &str); 24] = [
    (v6(0, 128), "the unspecified address (RFC 4291)"),
    (v6(1, 128), "loopback (RFC 4291)"),
    (v6(0xffff << 32, 96), "IPv4-mapped addresses (RFC 4291)"),
    (v6(0xffff << 48, 96), "IPv4-translated addresses (RFC 2765)"),
    (v6(0, 96), "IPv4-compatible addresses (RFC 4291)"),
    (v6(0x0064_ff9b << 96, 96), "NAT64 (RFC 6052)"),
    (v6(0x0064_ff9b_0001 << 80, 48), "local-use NAT64 (RFC 8215)"),
    (v6(0x0100 << 112, 64), "discard (RFC 6666)"),
    (v6(0x0100_0000_0000_0001 << 64, 64), "dummy prefix (RFC 9780)"),
    (v6(0x2001 << 112, 32), "Teredo (RFC 4380)"),
    (v6(0x2001_0002 << 96, 48), "benchmarking (RFC 5180)"),
    (v6(0x2001_0010 << 96, 28), "ORCHID (RFC 4843)"),
    (v6(0x2001_0020 << 96, 28), "ORCHIDv2 (RFC 7343)"),
    (v6(0x2001 << 112, 23), "protocol assignments (RFC 2928)"),
    (v6(0x2001_0db8 << 96, 32), "documentation (RFC 3849)"),
    (v6(0x2002 << 112, 16), "6to4 (RFC 3056)"),
    (v6(0x2620_004f_8000 << 80, 48), "AS112 (RFC 7534)"),
    (v6(0x3fff << 112, 20), "documentation (RFC 9637)"),
    (v6(0x5f00 << 112, 16), "segment routing (RFC 9602)"),
    // Contains fd00:ec2::254, the IPv6 metadata address of AWS.
    (v6(0xfc00 << 112, 7), "unique local and cloud metadata (RFC 4193)"),
    (v6(0xfe80 << 112, 10), "link local (RFC 4291)"),
    (v6(0xfec0 << 112, 10), "site local (RFC 3879)"),
    (v6(0xff00 << 112, 8), "multicast (RFC 4291)"),
    (v6(0x3ffe << 112, 16), "the former 6bone (RFC 3701)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Both edges of every range, and an address between them.
    const SPECIAL: &str = "
        0.0.0.0 0.0.0.1 0.255.255.255
        10.0.0.0 10.0.0.1 10.128.3.4 10.255.255.255
        100.64.0.0 100.64.0.1 100.100.100.200 100.127.255.255
        127.0.0.0 127.0.0.1 127.0.0.53 127.1.1.1 127.255.255.255
        168.63.129.16
        169.254.0.0 169.254.169.253 169.254.169.254 169.254.170.2 169.254.255.255
        172.16.0.0 172.17.0.1 172.20.10.2 172.31.255.255
        192.0.0.0 192.0.0.8 192.0.0.9 192.0.0.10 192.0.0.170 192.0.0.171 192.0.0.192 192.0.0.255
        192.0.2.0 192.0.2.1 192.0.2.255
        192.31.196.1 192.52.193.1 192.88.99.0 192.88.99.1 192.88.99.255
        192.168.0.0 192.168.1.1 192.168.122.1 192.168.255.255 192.175.48.6
        198.18.0.0 198.18.0.1 198.19.255.255 198.51.100.0 198.51.100.255 203.0.113.0 203.0.113.255
        224.0.0.0 224.0.0.1 224.0.0.251 232.0.0.1 239.255.255.250 239.255.255.255
        240.0.0.0 240.0.0.1 250.1.2.3 255.255.255.254 255.255.255.255
        :: ::1 ::2 ::7f00:1 ::a9fe:a9fe ::10.0.0.1 ::8.8.8.8 ::ffff:ffff
        ::ffff:0:0 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:192.168.0.1 ::ffff:8.8.8.8
        ::ffff:0:127.0.0.1 ::ffff:0:a9fe:a9fe ::1:0:0:0 ::2:7f00:1
        64:ff9b:: 64:ff9b::7f00:1 64:ff9b::127.0.0.1 64:ff9b::169.254.169.254 64:ff9b::10.0.0.1 64:ff9b::8.8.8.8
        64:ff9b::ffff:ffff 64:ff9b:1:: 64:ff9b:1::10.0.0.1 64:ff9b:1:ffff:ffff:ffff:ffff:ffff 64:ff9b:2::1
        100:: 100::1 100::ffff:ffff:ffff:ffff 100:0:0:1::1 200::1 400::1 1000::1 1fff:ffff::1
        2001:: 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:0:ffff::1
        2001:1::1 2001:1::2 2001:2::1 2001:2:0:ffff::1 2001:3::1 2001:4:112::1 2001:10::1 2001:1f:ffff::1
        2001:20::1 2001:2f:ffff::1 2001:30::1 2001:100::1 2001:1ff:ffff::1
        2001:db8:: 2001:db8::1 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff
        2002:: 2002:7f00:1:: 2002:7f00:1::1 2002:a9fe:a9fe::1 2002:a00:1::1 2002:808:808::1 2002:ffff:ffff::1
        2620:4f:8000::1 3ffe::1 3ffe:ffff::1 3fff:: 3fff::1 3fff:fff:ffff::1
        4000::1 5f00:: 5f00::1 5fff::1 6000::1 8000::1 a000::1 c000::1 e000::1 f000::1 f800::1 fb00::1
        fc00:: fc00::1 fcff::1 fd00::1 fd00:ec2::23 fd00:ec2::254 fd20:ce::254 fdff:ffff::1
        fe00::1 fe7f::1 fe80:: fe80::1 fe80::a9fe:a9fe febf::1 fec0::1 feff::1
        ff00:: ff01::1 ff02::1 ff02::fb ff05::2 ff0e::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

    /// Just outside the ranges, and some well-known neighbours on the internet.
    const PUBLIC: &str = "
        1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.215.14 100.63.255.255 100.128.0.0 126.255.255.255
        128.0.0.0 140.82.112.3 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0
        191.255.255.255 192.0.1.0 192.0.1.255 192.0.3.0 192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0
        198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
        2000::1 2001:200::1 2001:4860:4860::8888 2001:db7:ffff::1 2001:db9::1 2003::1 2400:cb00::1 2606:4700::1111
        2620:4f:7fff::1 2620:4f:8001::1 2620:fe::fe 2a00:1450:4001:80e::200e 2a02:26f0::1 3000::1 3ffd:ffff::1";

    fn parsed(list: &str) -> impl Iterator<Item = IpAddr> {
        list.split_whitespace().map(|text| text.parse().unwrap_or_else(|_| panic!("{text} is an address")))
    }

    #[test]
    fn t78_every_special_purpose_address_is_recognised() {
        let mut seen = 0;
        for address in parsed(SPECIAL) {
            assert!(special_purpose(address).is_some(), "{address} would be dialled");
            seen += 1;
        }
        assert!(seen >= 150, "the table has shrunk to {seen}");
    }

    #[test]
    fn t78_control_public_addresses_beside_the_ranges_pass() {
        for address in parsed(PUBLIC) {
            assert_eq!(special_purpose(address), None, "{address}");
        }
    }

    #[test]
    fn t78_the_standard_library_calls_nothing_private_that_we_pass() {
        // The first two addresses, a middle one and the last one of every /16 of IPv4.
        for high in 0..=u16::MAX {
            for low in [0, 1, 0x1234, u16::MAX] {
                let v4 = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
                let reserved = v4.is_private()
                    || v4.is_loopback()
                    || v4.is_link_local()
                    || v4.is_multicast()
                    || v4.is_broadcast()
                    || v4.is_documentation()
                    || v4.is_unspecified();
                assert!(!reserved || special_purpose(v4.into()).is_some(), "{v4}");
                let mapped: IpAddr = v4.to_ipv6_mapped().into();
                assert!(special_purpose(mapped).is_some(), "{mapped}");
            }
        }
    }

    #[test]
    fn ranges_have_no_bits_set_beyond_their_prefix() {
        assert!(V4.iter().all(|(net, _)| net.trunc() == *net));
        assert!(V6.iter().all(|(net, _)| net.trunc() == *net));
    }
}
