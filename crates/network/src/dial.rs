//! Dialling a member: one of its addresses after the other, and what is said when none answers.

use std::error::Error;

use libp2p::{Multiaddr, swarm::DialError};

/// The addresses of a member, and how far dialling them has come.
///
/// Each is a dial of its own. libp2p would try all of them in one, whose end has no bound then: a connection would be taken
/// for long dead by a dial that merely began before it (see [`crate::peer::surplus`]).
#[derive(Debug)]
pub(crate) struct Addresses {
    addresses: Vec<Multiaddr>,
    next: usize,
    failures: Vec<String>,
}

impl Addresses {
    /// To be tried in this order.
    pub(crate) fn new(addresses: Vec<Multiaddr>) -> Self {
        Self { addresses, next: 0, failures: Vec::new() }
    }

    /// The one to dial now; none where none is known.
    pub(crate) fn next(&self) -> Option<&Multiaddr> {
        self.addresses.get(self.next)
    }

    /// Notes that the dial of this one failed. Once all have, says why, and the first is next again.
    pub(crate) fn failed(&mut self, reason: String) -> Option<String> {
        self.failures.push(reason);
        self.next += 1;
        if self.next < self.addresses.len() {
            return None;
        }
        let reasons = self.failures.join("; ");
        self.restart();
        Some(format!("dialling failed: {reasons}"))
    }

    /// The first is next.
    pub(crate) fn restart(&mut self) {
        self.next = 0;
        self.failures.clear();
    }
}

/// The last cause that says something: the layers above it have no words of their own.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !text.is_empty() {
            said = text;
        }
        source = cause.source();
    }
    said.replace('\n', " ")
}

/// One line for people, with the address that was tried.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest says enough of itself")]
pub(crate) fn describe(error: &DialError) -> String {
    match error {
        DialError::Transport(tried) => {
            let tried: Vec<_> =
                tried.iter().map(|(address, error)| format!("{address}: {}", innermost(error))).collect();
            tried.join("; ")
        }
        DialError::WrongPeerId { obtained, address } => {
            format!("at {address} is another peer, {obtained}")
        }
        other => other.to_string().replace('\n', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_tried_before_any_is_tried_again() {
        let known =
            ["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/2"].map(|text| text.parse().expect("an address"));
        let mut addresses = Addresses::new(known.to_vec());
        for _ in 0..2 {
            assert_eq!(addresses.next(), Some(&known[0]));
            assert_eq!(addresses.failed("one: refused".into()), None);
            assert_eq!(addresses.next(), Some(&known[1]));
            let said = addresses.failed("two: no answer".into());
            assert_eq!(said.as_deref(), Some("dialling failed: one: refused; two: no answer"));
        }
        assert_eq!(addresses.failed("one: refused".into()), None);
        addresses.restart();
        assert_eq!(addresses.next(), Some(&known[0]));
        assert_eq!(addresses.failed("one: gone".into()), None);
        assert_eq!(
            addresses.failed("two: gone".into()).as_deref(),
            Some("dialling failed: one: gone; two: gone")
        );
    }

    #[test]
    fn a_member_without_addresses_is_not_dialled() {
        assert_eq!(Addresses::new(Vec::new()).next(), None);
    }
}
