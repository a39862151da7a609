//! What the server asks to be signed: each text once, and for a while. Time and randomness are passed in.

use std::collections::{BTreeMap, VecDeque};

use countersign_types::B256;

/// How long a challenge can be answered, in seconds.
const LIFE_SECONDS: u64 = 300;
/// The most challenges that are open at once. Anybody may ask for one, so a further one takes the oldest's place, and the door stays
/// open; whoever wants to crowd a holder out must ask for as many in the seconds that it takes the holder to answer.
const MOST_OPEN: usize = 16_384;

/// Challenges that are open.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    /// When each of them ends.
    open: BTreeMap<String, u64>,
    /// All that are open, and answered ones that no longer are: the oldest first.
    issued: VecDeque<(String, u64)>,
}

/// How every challenge of a server begins. Whoever answers checks it: a server in the middle could else have another server's
/// challenge answered.
pub(crate) fn beginning(server: &str) -> String {
    format!("{server} asks for a sign that you hold the token.")
}

impl Challenges {
    /// A fresh challenge, if need be in place of the oldest.
    pub(crate) fn issue(&mut self, server: &str, nonce: B256, now: u64) -> String {
        while let Some((oldest, until)) = self.issued.front()
            && (*until <= now || self.issued.len() >= MOST_OPEN)
        {
            self.open.remove(oldest);
            self.issued.pop_front();
        }
        let until = now + LIFE_SECONDS;
        let text = format!("{}\nNonce: {nonce}\nUntil: {until}", beginning(server));
        self.open.insert(text.clone(), until);
        self.issued.push_back((text.clone(), until));
        text
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
        let first = challenges.issue(SERVER, B256::repeat_byte(1), 100);
        let second = challenges.issue(SERVER, B256::repeat_byte(2), 100);
        assert_ne!(first, second);
        assert!(first.starts_with(&beginning(SERVER)));
        assert!(challenges.is_open(&first, 101) && challenges.close(&first, 101));
        assert!(!challenges.is_open(&first, 101) && !challenges.close(&first, 101), "it was answered");
        let over = 100 + LIFE_SECONDS;
        assert!(challenges.is_open(&second, over - 1));
        assert!(!challenges.is_open(&second, over) && !challenges.close(&second, over), "it is over");
        assert!(!challenges.close("another", 101));
    }

    fn nonce(number: usize) -> B256 {
        B256::left_padding_from(&number.to_be_bytes())
    }

    #[test]
    fn a_crowd_pushes_out_the_oldest_and_never_closes_the_door() {
        let mut challenges = Challenges::default();
        let issued: Vec<String> =
            (0..3 * MOST_OPEN).map(|number| challenges.issue(SERVER, nonce(number), 0)).collect();
        let (gone, open) = issued.split_at(2 * MOST_OPEN);
        assert!(gone.iter().all(|text| !challenges.is_open(text, 1)));
        assert!(open.iter().all(|text| challenges.is_open(text, 1)));
        // whoever comes now is let in
        let holder = challenges.issue(SERVER, nonce(issued.len()), 1);
        assert!(challenges.close(&holder, 2));
        assert_eq!((challenges.open.len(), challenges.issued.len()), (MOST_OPEN - 1, MOST_OPEN));
    }

    #[test]
    fn those_that_are_over_make_room_first() {
        let mut challenges = Challenges::default();
        for number in 0..10 {
            challenges.issue(SERVER, nonce(number), 0);
        }
        challenges.issue(SERVER, nonce(10), LIFE_SECONDS);
        assert_eq!((challenges.open.len(), challenges.issued.len()), (1, 1));
    }
}
