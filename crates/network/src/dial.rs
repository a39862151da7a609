//! Dialling a member: one of its addresses after the other, and what is said when none answers.

use std::error::Error;

use libp2p::{
    Multiaddr,
    swarm::{ConnectionId, DialError},
};

/// The addresses of a member, and how far dialling them has come.
///
/// Each is a dial of its own. libp2p would try all of them in one, whose end has no bound then: a connection would be taken
/// for long dead by a dial that merely began before it (see [`crate::peer::surplus`]).
#[derive(Debug)]
pub(crate) struct Addresses {
    addresses: Vec<Multiaddr>,
    next: usize,
    /// The dial of the next one, once it is under way.
    dial: Option<ConnectionId>,
    failures: Vec<String>,
}

/// What the failure of a dial means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Another address is next.
    One,
    /// All have failed, for these reasons; the first is next again.
    All(String),
    /// It began before a restart, and says nothing of the address that is next.
    Earlier,
}

impl Addresses {
    /// To be tried in this order.
    pub(crate) fn new(addresses: Vec<Multiaddr>) -> Self {
        Self { addresses, next: 0, dial: None, failures: Vec::new() }
    }

    /// The one to dial now; none where none is known.
    pub(crate) fn next(&self) -> Option<&Multiaddr> {
        self.addresses.get(self.next)
    }

    /// Notes that the one to dial now is dialled.
    pub(crate) fn dialled(&mut self, dial: ConnectionId) {
        self.dial = Some(dial);
    }

    /// Notes that a dial failed.
    pub(crate) fn failed(&mut self, dial: ConnectionId, reason: String) -> Failed {
        if self.dial != Some(dial) {
            return Failed::Earlier;
        }
        self.dial = None;
        self.failures.push(reason);
        self.next += 1;
        if self.next < self.addresses.len() {
            return Failed::One;
        }
        let reasons = self.failures.join("; ");
        self.restart();
        Failed::All(format!("dialling failed: {reasons}"))
    }

    /// The first is next. A dial that is under way counts for none of them.
    pub(crate) fn restart(&mut self) {
        self.next = 0;
        self.dial = None;
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

    /// Two addresses, of which the first is next.
    fn two() -> ([Multiaddr; 2], Addresses) {
        let known =
            ["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/2"].map(|text| text.parse().expect("an address"));
        let addresses = Addresses::new(known.to_vec());
        (known, addresses)
    }

    /// The next address is dialled, in vain.
    fn fails(addresses: &mut Addresses, reason: &str) -> Failed {
        let dial = ConnectionId::new_unchecked(0);
        addresses.dialled(dial);
        addresses.failed(dial, reason.into())
    }

    #[test]
    fn each_address_is_tried_before_any_is_tried_again() {
        let (known, mut addresses) = two();
        for _ in 0..2 {
            assert_eq!(addresses.next(), Some(&known[0]));
            assert_eq!(fails(&mut addresses, "one: refused"), Failed::One);
            assert_eq!(addresses.next(), Some(&known[1]));
            let said = "dialling failed: one: refused; two: no answer".to_owned();
            assert_eq!(fails(&mut addresses, "two: no answer"), Failed::All(said));
        }
        assert_eq!(fails(&mut addresses, "one: refused"), Failed::One);
        addresses.restart();
        assert_eq!(addresses.next(), Some(&known[0]));
        assert_eq!(fails(&mut addresses, "one: gone"), Failed::One);
        let said = "dialling failed: one: gone; two: gone".to_owned();
        assert_eq!(fails(&mut addresses, "two: gone"), Failed::All(said));
    }

    #[test]
    fn a_dial_from_before_a_restart_skips_no_address() {
        let (known, mut addresses) = two();
        assert_eq!(fails(&mut addresses, "one: refused"), Failed::One);
        let [earlier, later] = [1, 2].map(ConnectionId::new_unchecked);
        addresses.dialled(earlier);
        addresses.restart();
        assert_eq!(addresses.failed(earlier, "two: no answer".into()), Failed::Earlier);
        assert_eq!(addresses.next(), Some(&known[0]));
        addresses.dialled(later);
        assert_eq!(addresses.failed(earlier, "two: no answer".into()), Failed::Earlier);
        assert_eq!(addresses.failed(later, "one: refused".into()), Failed::One);
        assert_eq!(addresses.next(), Some(&known[1]));
    }

    #[test]
    fn a_member_without_addresses_is_not_dialled() {
        assert_eq!(Addresses::new(Vec::new()).next(), None);
    }
}
