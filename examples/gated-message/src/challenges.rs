//! What the server asks to be signed: each text once, and for a while. Time and randomness are passed in.

use std::collections::BTreeMap;

use countersign_types::B256;

/// How long a challenge can be answered, in seconds.
const LIFE_SECONDS: u64 = 300;
/// The most challenges that are open at once.
const MOST_OPEN: usize = 1_024;

/// Challenges that are open.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    /// When each of them ends.
    open: BTreeMap<String, u64>,
}

/// How every challenge of a server begins. Whoever answers checks it: a server in the middle could else have another server's
/// challenge answered.
pub(crate) fn beginning(server: &str) -> String {
    format!("{server} asks for a sign that you hold the token.")
}

impl Challenges {
    /// A fresh challenge; none if too many are open.
    pub(crate) fn issue(&mut self, server: &str, nonce: B256, now: u64) -> Option<String> {
        self.open.retain(|_, until| *until > now);
        if self.open.len() >= MOST_OPEN {
            return None;
        }
        let until = now + LIFE_SECONDS;
        let text = format!("{}\nNonce: {nonce}\nUntil: {until}", beginning(server));
        self.open.insert(text.clone(), until);
        Some(text)
    }

    /// Whether a challenge is open.
    pub(crate) fn is_open(&self, text: &str, now: u64) -> bool {
        self.open.get(text).is_some_and(|until| *until > now)
    }

    /// Closes a challenge that was answered: false if it was not open.
    pub(crate) fn close(&mut self, text: &str, now: u64) -> bool {
        self.open.remove(text).is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "http://a.example";

    #[test]
    fn a_challenge_counts_once_and_for_a_while() {
        let mut challenges = Challenges::default();
        let first = challenges.issue(SERVER, B256::repeat_byte(1), 100).expect("room");
        let second = challenges.issue(SERVER, B256::repeat_byte(2), 100).expect("room");
        assert_ne!(first, second);
        assert!(first.starts_with(&beginning(SERVER)));
        assert!(challenges.is_open(&first, 101) && challenges.close(&first, 101));
        assert!(!challenges.is_open(&first, 101) && !challenges.close(&first, 101), "it was answered");
        let over = 100 + LIFE_SECONDS;
        assert!(challenges.is_open(&second, over - 1));
        assert!(!challenges.is_open(&second, over) && !challenges.close(&second, over), "it is over");
        assert!(!challenges.close("another", 101));
    }

    #[test]
    fn only_so_many_are_open_and_those_that_are_over_make_room() {
        let mut challenges = Challenges::default();
        let nonce = |number: usize| B256::left_padding_from(&number.to_be_bytes());
        for number in 0..MOST_OPEN {
            assert!(challenges.issue(SERVER, nonce(number), 0).is_some());
        }
        assert_eq!(challenges.issue(SERVER, nonce(MOST_OPEN), LIFE_SECONDS - 1), None);
        assert!(challenges.issue(SERVER, nonce(MOST_OPEN), LIFE_SECONDS).is_some());
    }
}
