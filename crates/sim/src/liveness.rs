//! How many sessions are signed in time under steady trouble, and how long they take, in the world's time.

use countersign_session::Millis;

use crate::{Broken, Scenario, Session, World};

/// What many sessions came to.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    sessions: Vec<Session>,
}

impl Figures {
    /// Plays worlds from the first seed on until so many sessions have ended.
    pub fn of(scenario: &Scenario, first: u64, sessions: usize) -> Result<Self, Box<Broken>> {
        let mut figures = Self::default();
        let mut seed = first;
        while figures.sessions.len() < sessions {
            let report = World::new(scenario.clone(), seed).run()?;
            figures.sessions.extend(report.sessions);
            seed += 1;
        }
        figures.sessions.sort_by_key(|session| session.took_ms);
        Ok(figures)
    }

    /// How many sessions there were.
    pub fn count(&self) -> usize {
        self.sessions.len()
    }

    /// How many gave no signature by their deadline.
    pub fn failed(&self) -> usize {
        self.sessions.iter().filter(|session| session.failed.is_some()).count()
    }

    /// The share that was signed in time, in hundredths of a percent.
    pub fn signed_bps(&self) -> usize {
        let count = self.count().max(1);
        (count - self.failed()) * 10_000 / count
    }

    /// What so many in a hundred sessions took at most, in milliseconds.
    pub fn percentile(&self, percent: usize) -> Millis {
        let place = (self.count() * percent).div_ceil(100).clamp(1, self.count().max(1));
        self.sessions.get(place - 1).map_or(0, |session| session.took_ms)
    }
}

#[cfg(test)]
mod tests {
    use countersign_types::FailureKind;

    use super::*;

    #[test]
    fn figures_are_of_all_sessions() {
        let sessions = (1..=100)
            .map(|took_ms| Session { took_ms, failed: (took_ms > 98).then_some(FailureKind::Deadline) });
        let figures = Figures { sessions: sessions.collect() };
        assert_eq!((figures.count(), figures.failed(), figures.signed_bps()), (100, 2, 9_800));
        assert_eq!((figures.percentile(50), figures.percentile(99), figures.percentile(100)), (50, 99, 100));
        assert_eq!(Figures::default().percentile(50), 0);
    }
}
