//! Which addresses are part of the public internet.
//!
//! The standard library's own test for this is not stable, and its stable ones leave ranges out. So this is a table: the
//! special-purpose registries of IANA (RFC 6890), and stricter where those call a range global that no web server is in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Blocks of IPv4 that are not the public internet.
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 19] = [
    // this network, and 0.0.0.0, which reaches this host: RFC 791, section 3.2
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // private: RFC 1918
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // shared, behind a carrier's translator: RFC 6598
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // loopback: RFC 1122, section 3.2.1.3
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // link-local, where clouds keep their metadata: RFC 3927
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // protocol assignments: RFC 6890, section 2.1
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // documentation: RFC 5737
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // relays of 6to4, given up: RFC 7526
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // anycast that a network may answer itself: AS112 (RFC 7534, RFC 7535), multicast tunnels (RFC 7450)
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    // benchmarking: RFC 2544
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // multicast: RFC 5771
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // reserved: RFC 1112, section 4
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    // broadcast, within the last: RFC 919
    (Ipv4Addr::new(255, 255, 255, 255), 32),
];

/// The block of IPv6 in which global unicast addresses are assigned: RFC 4291, section 2.4. Outside of it, and so refused
/// without a line of their own: `::` and `::1` (RFC 4291), IPv4 in IPv6 as `::/96` and `::ffff:0:0/96` (RFC 4291),
/// translated as `64:ff9b::/96` (RFC 6052) and `64:ff9b:1::/48` (RFC 8215), discard `100::/64` (RFC 6666), segment
/// routing `5f00::/16` (RFC 9602), unique local `fc00::/7` (RFC 4193), link-local `fe80::/10` (RFC 4291), site-local
/// `fec0::/10` (RFC 3879), multicast `ff00::/8` (RFC 4291).
const GLOBAL_UNICAST_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Blocks within [`GLOBAL_UNICAST_V6`] that are not the public internet.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 6] = [
    // protocol assignments, RFC 2928: Teredo (RFC 4380), benchmarking (RFC 5180), ORCHID (RFC 4843, 7343) and others
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // documentation: RFC 3849, RFC 9637
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4, which holds an IPv4 address: RFC 3056
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // AS112: RFC 7534
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    // the former 6bone: RFC 3701
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16),
];

/// Whether an address is globally routable: what a read may connect to.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|block| contains_v4(*block, address)),
        IpAddr::V6(address) => {
            contains_v6(GLOBAL_UNICAST_V6, address)
                && !NOT_PUBLIC_V6.iter().any(|block| contains_v6(*block, address))
        }
    }
}

fn contains_v4((network, bits): (Ipv4Addr, u32), address: Ipv4Addr) -> bool {
    let rest = Ipv4Addr::BITS - bits;
    network.to_bits() >> rest == address.to_bits() >> rest
}

fn contains_v6((network, bits): (Ipv6Addr, u32), address: Ipv6Addr) -> bool {
    let rest = Ipv6Addr::BITS - bits;
    network.to_bits() >> rest == address.to_bits() >> rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by other means: the standard library's predicates, and comparisons of octets and segments.
    fn is_public_otherwise(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => v4_otherwise(address),
            IpAddr::V6(address) => v6_otherwise(address),
        }
    }

    fn v4_otherwise(address: Ipv4Addr) -> bool {
        let [a, b, c, _] = address.octets();
        let special = address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_documentation()
            || address.is_multicast()
            || address.is_broadcast()
            || address.is_unspecified();
        let ranges = a == 0
            || a >= 240
            || (a == 100 && (64..=127).contains(&b))
            || (a == 192 && b == 0 && c == 0)
            || (a == 192 && [(88, 99), (175, 48), (31, 196), (52, 193)].contains(&(b, c)))
            || (a == 198 && (b == 18 || b == 19));
        !special && !ranges
    }

    fn v6_otherwise(address: Ipv6Addr) -> bool {
        let special = address.is_loopback()
            || address.is_unspecified()
            || address.is_multicast()
            || address.is_unique_local()
            || address.is_unicast_link_local()
            || address.to_ipv4().is_some();
        let [a, b, c, ..] = address.segments();
        let ranges = !(0x2000..=0x3fff).contains(&a)
            || a == 0x2002
            || a == 0x3ffe
            || (a, b, c) == (0x2620, 0x4f, 0x8000)
            || (a == 0x3fff && b < 0x1000)
            || (a == 0x2001 && (b < 0x200 || b == 0xdb8));
        !special && !ranges
    }

    /// Addresses at the edges of blocks are rare among random ones: so blocks' first and last, and their neighbours.
    fn edges() -> impl Iterator<Item = IpAddr> {
        let v4 = NOT_PUBLIC_V4.into_iter().flat_map(|(network, bits)| {
            let first = network.to_bits();
            let last = first | u32::MAX.checked_shr(bits).unwrap_or(0);
            [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
                .map(|bits| Ipv4Addr::from_bits(bits).into())
        });
        let blocks = NOT_PUBLIC_V6.into_iter().chain([GLOBAL_UNICAST_V6]);
        let v6 = blocks.flat_map(|(network, bits)| {
            let first = network.to_bits();
            let last = first | u128::MAX.checked_shr(bits).unwrap_or(0);
            [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
                .map(|bits| Ipv6Addr::from_bits(bits).into())
        });
        v4.chain(v6)
    }

    #[test]
    fn every_special_range_is_refused() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.0.170",
            "192.0.2.1",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.175.48.6",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "2620:4f:8000::6",
            "3ffe::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "8000::1",
        ] {
            assert!(!is_public(text.parse().expect(text)), "{text}");
        }
    }

    #[test]
    fn public_servers_are_reached() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.9.9.9",
            "93.184.215.14",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2001:200::1",
            "2a00:1450:4001::1",
            "2400:cb00::1",
            "2003::1",
            "3fff:1000::1",
        ] {
            assert!(is_public(text.parse().expect(text)), "{text}");
        }
    }

    #[test]
    fn both_formulations_agree_at_the_edges_of_every_block() {
        for address in edges() {
            assert_eq!(is_public(address), is_public_otherwise(address), "{address}");
        }
    }

    #[test]
    fn a_forgotten_block_would_be_seen_at_its_edges() {
        let forgetful = |address: IpAddr| match address {
            IpAddr::V4(v4) => v4_otherwise(v4) || v4.octets()[0] == 100,
            IpAddr::V6(v6) => v6_otherwise(v6),
        };
        assert!(edges().any(|address| is_public(address) != forgetful(address)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn both_formulations_agree_on_ipv4(bits: u32) {
            let address = IpAddr::from(Ipv4Addr::from_bits(bits));
            prop_assert_eq!(is_public(address), is_public_otherwise(address));
        }

        #[test]
        fn both_formulations_agree_on_ipv6(bits: u128, head in prop_oneof![Just(None), (0x1fff_u16..=0x4000).prop_map(Some)]) {
            let rest = bits & (u128::MAX >> 16);
            let bits = head.map_or(bits, |head| u128::from(head) << 112 | rest);
            let address = IpAddr::from(Ipv6Addr::from_bits(bits));
            prop_assert_eq!(is_public(address), is_public_otherwise(address));
        }

        #[test]
        fn no_ipv4_address_passes_in_a_dress_of_ipv6(bits: u32) {
            let v4 = u128::from(bits);
            for prefix in [0, 0xffff << 32, 0x64_ff9b << 96, 0x64_ff9b_0001 << 80] {
                prop_assert!(!is_public(Ipv6Addr::from_bits(prefix | v4).into()));
            }
            prop_assert!(!is_public(Ipv6Addr::from_bits(0x2002 << 112 | v4 << 80).into()));
        }
    }
}
