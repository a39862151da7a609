//! The smallest world that still fails in the same way: for whoever looks for the cause.
//!
//! First whole kinds of trouble go, then requests and time, then single faults by their numbers, as long as the same
//! invariant breaks. Every step plays the seed again, so what is left is a run that anybody can replay.

use std::collections::BTreeSet;

use crate::{Broken, Class, Fault, Setting};

/// What is turned off as a whole, the most confusing first.
const SWITCHES: [(&str, &str); 18] = [
    ("liars", "0"),
    ("declining", "0"),
    ("floods", "0"),
    ("largest", "0"),
    ("obstacles", "0"),
    ("crashes", "0"),
    ("random-crashes", "0"),
    ("partitions", "0"),
    ("loss", "0"),
    ("duplication", "0"),
    ("stragglers", "0"),
    ("skew-ms", "0"),
    ("short-lived", "0"),
    ("down", "0"),
    ("slow-ms", "0"),
    ("lies", ""),
    ("upgrades", "false"),
    ("schemes", "ed25519"),
];

/// What becomes smaller by halves, and the least that it can be.
const SIZES: [(&str, u64); 5] =
    [("requests", 0), ("faults-ms", 1_000), ("delay-ms", 1), ("liars", 1), ("flood", 1)];

/// A world that was made smaller.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The first failure.
    pub first: Box<Broken>,
    /// The smallest.
    pub last: Box<Broken>,
    /// How many worlds were played.
    pub played: u64,
}

/// Makes a failing world smaller, by playing at most so many others; none if it does not fail.
pub fn shrink(setting: &Setting, seed: u64, most: u64) -> Option<Shrunk> {
    let first = setting.run(seed).err()?;
    let mut shrinker = Shrinker { seed, most, played: 1, best: first.clone() };
    loop {
        let before = shrinker.best.setting.clone();
        shrinker.switch_off();
        shrinker.make_smaller();
        shrinker.leave_faults_out();
        if shrinker.best.setting == before || shrinker.played >= most {
            break;
        }
    }
    Some(Shrunk { first, last: shrinker.best, played: shrinker.played })
}

struct Shrinker {
    seed: u64,
    most: u64,
    played: u64,
    best: Box<Broken>,
}

impl Shrinker {
    /// Keeps a world if it breaks the same invariant.
    fn try_out(&mut self, setting: &Setting) -> bool {
        if self.played >= self.most || *setting == self.best.setting {
            return false;
        }
        self.played += 1;
        match setting.run(self.seed) {
            Err(broken) if broken.violation.name() == self.best.violation.name() => {
                self.best = broken;
                true
            }
            Err(_) | Ok(_) => false,
        }
    }

    fn with(&self, key: &str, value: &str) -> Option<Setting> {
        let mut setting = self.best.setting.clone();
        setting.set(key, value).ok()?;
        Some(setting)
    }

    fn switch_off(&mut self) {
        for (key, value) in SWITCHES {
            if let Some(setting) = self.with(key, value) {
                self.try_out(&setting);
            }
        }
    }

    fn make_smaller(&mut self) {
        for (key, least) in SIZES {
            // halves while that goes, then smaller steps
            let mut step = self.number(key).unwrap_or(0).saturating_sub(least);
            while step > 0 {
                let Some(now) = self.number(key) else { break };
                let smaller = now.saturating_sub(step).max(least);
                let goes = smaller < now
                    && self.with(key, &smaller.to_string()).is_some_and(|setting| self.try_out(&setting));
                if !goes {
                    step /= 2;
                }
            }
        }
    }

    fn number(&self, key: &str) -> Option<u64> {
        let fields = self.best.setting.fields();
        fields.iter().find(|(own, _)| *own == key)?.1.parse().ok()
    }

    /// Leaves single faults out: many at once where that goes, then fewer.
    fn leave_faults_out(&mut self) {
        for class in Class::ALL {
            let mut chunk = self.faults(*class).len();
            while chunk > 0 {
                let mut place = 0;
                // the course of the world may bring other faults up: they are counted anew each time
                while place < self.faults(*class).len() {
                    let all = self.faults(*class);
                    let end = all.len().min(place + chunk);
                    if !self.leave_out(&all[place..end]) {
                        place = end;
                    }
                    if self.played >= self.most {
                        return;
                    }
                }
                chunk /= 2;
            }
        }
    }

    /// The faults of a class that happen.
    fn faults(&self, class: Class) -> Vec<Fault> {
        let drawn = self.best.drawn.get(&class).copied().unwrap_or(0);
        let left_out = left_out(&self.best.setting);
        (0..drawn).map(|number| Fault { class, number }).filter(|fault| !left_out.contains(fault)).collect()
    }

    fn leave_out(&mut self, faults: &[Fault]) -> bool {
        let all = left_out(&self.best.setting).into_iter().chain(faults.iter().copied());
        let all: Vec<String> = all.map(|fault| fault.to_string()).collect();
        self.with("without", &all.join(",")).is_some_and(|setting| self.try_out(&setting))
    }
}

/// The faults that a world goes without.
fn left_out(setting: &Setting) -> BTreeSet<Fault> {
    match setting {
        Setting::Signing(scenario) => scenario.left_out.clone(),
        Setting::KeyGen(scenario) => scenario.left_out.clone(),
    }
}

impl Shrunk {
    /// How many faults of each class happen in the smallest world.
    pub fn faults(&self) -> Vec<(Class, u64)> {
        let left_out = left_out(&self.last.setting);
        let happen = |class: Class, drawn: u64| {
            (0..drawn).filter(|number| !left_out.contains(&Fault { class, number: *number })).count() as u64
        };
        let all = self.last.drawn.iter().map(|(class, drawn)| (*class, happen(*class, *drawn)));
        all.filter(|(_, count)| *count > 0).collect()
    }
}
