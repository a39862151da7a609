//! What must hold over all wire logs of a network, whatever happened to its nodes.
//!
//! Nonces are used once. What is seen of that on the wire: a member commits to a commitment in one place only (a session's
//! attempt, or what it handed out to a coordinator), gives shares for it in one package only, with one outcome, and
//! only in the life of the process that made it. And each share is for a package that came before, of the coordinator
//! that asked, in which these commitments stand.

use std::collections::{BTreeMap, BTreeSet};

use countersign_types::{B256, Bytes};

use super::log::{Event, Line, Log, Package, Way};

/// What is wrong. Members are named by their identifiers.
#[expect(missing_docs, reason = "the messages say what the fields are")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A commitment that a member made twice.
    #[error("member {member} committed to {commitment} as {first} and as {second}")]
    CommittedTwice { member: u16, commitment: Bytes, first: String, second: String },
    /// A commitment for which its owner gave two different shares, or shares in two packages: the key is lost.
    #[error("member {member} gave shares for {commitment} as {first} and as {second}")]
    Reused { member: u16, commitment: Bytes, first: String, second: String },
    /// A share without a package before it.
    #[error("member {member} gave shares to {to} for package {package}, which had not come from there")]
    NoPackage { member: u16, to: u16, package: B256 },
    /// A share whose session or attempt is not the package's.
    #[error("member {member} gave shares for package {package} as of another session or attempt")]
    OtherSession { member: u16, package: B256 },
    /// A package that asks for other shares than were given.
    #[error(
        "member {member} gave {shares} shares for package {package}, which has {commitments} of its commitments"
    )]
    Count { member: u16, package: B256, shares: usize, commitments: usize },
    /// A share for a commitment that this life of it did not make for this coordinator, session and attempt.
    #[error("member {member} gave a share for {commitment}, which it had made {made}, as {used}")]
    NotCommitted { member: u16, commitment: Bytes, made: String, used: String },
    /// One hash, two packages.
    #[error("two packages have the hash {package}")]
    Hash { package: B256 },
    /// A message that its sender did not send.
    #[error("member {at} received from {from} what {from} did not send: {line}")]
    NeverSent { at: u16, from: u16, line: String },
}

/// How much was checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Processes.
    pub boots: usize,
    /// How often nonces were wiped.
    pub purges: usize,
    /// Messages, those that were sent.
    pub messages: usize,
    /// Commitments that were made.
    pub commitments: usize,
    /// Packages.
    pub packages: usize,
    /// Shares that were given.
    pub shares: usize,
}

/// For what a commitment was made: in which life of a process, for whom, and for which attempt of which session, unless in advance.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    log: usize,
    life: usize,
    coordinator: u16,
    attempt: Option<(B256, u32)>,
}

/// What a share is for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    package: B256,
    outcome: B256,
    share: B256,
}

/// A commitment, and whose it is.
type Owned = (u16, Bytes);

#[derive(Default)]
struct Checker {
    made: BTreeMap<Owned, Place>,
    used: BTreeMap<Owned, Use>,
    packages: BTreeMap<B256, Package>,
    summary: Summary,
}

/// Checks the logs of all memories that ever spoke for a member: a copy's too.
pub fn check(logs: &[Log]) -> Result<Summary, Violation> {
    let summary = nonces(logs)?;
    sent(logs)?;
    Ok(summary)
}

/// Checks all but that messages arrived as they were sent.
pub fn nonces(logs: &[Log]) -> Result<Summary, Violation> {
    let mut checker = Checker::default();
    for (index, log) in logs.iter().enumerate() {
        // a life ends with its process, and where all nonces are wiped
        let mut life = Life { member: log.member, log: index, life: 0 };
        for lines in &log.boots {
            checker.summary.boots += 1;
            life.life += 1;
            checker.boot(&mut life, lines)?;
        }
    }
    checker.summary.commitments = checker.made.len();
    checker.summary.packages = checker.packages.len();
    Ok(checker.summary)
}

#[derive(Clone, Copy)]
struct Life {
    member: u16,
    log: usize,
    life: usize,
}

impl Checker {
    fn boot(&mut self, life: &mut Life, lines: &[Line]) -> Result<(), Violation> {
        // the packages that came, with whom they came from
        let mut came = BTreeSet::new();
        for line in lines {
            let Some(peer) = line.peer else {
                if line.event == Event::Purged {
                    life.life += 1;
                    self.summary.purges += 1;
                }
                continue;
            };
            let life = *life;
            if line.way == Way::Sent {
                self.summary.messages += 1;
            }
            match (&line.event, line.way) {
                (Event::Observed { session, commitments, .. }, Way::Sent) => {
                    self.commit(life, peer, Some((*session, 1)), commitments)?;
                }
                (Event::Committed { session, attempt, commitments }, Way::Sent) => {
                    self.commit(life, peer, Some((*session, *attempt)), commitments)?;
                }
                (Event::HandOut { commitments, .. }, Way::Sent) => {
                    self.commit(life, peer, None, commitments)?;
                }
                (Event::Sign(package) | Event::Propose { eager: Some(package), .. }, way) => {
                    let known = self.packages.entry(package.package).or_insert_with(|| package.clone());
                    if known != package {
                        return Err(Violation::Hash { package: package.package });
                    }
                    if way == Way::Received {
                        came.insert((peer, package.package));
                    }
                }
                (Event::Signed { session, attempt, package, outcome, shares }, Way::Sent) => {
                    if !came.contains(&(peer, *package)) {
                        return Err(Violation::NoPackage {
                            member: life.member,
                            to: peer,
                            package: *package,
                        });
                    }
                    self.share(life, peer, (*session, *attempt), *package, *outcome, shares)?;
                }
                (
                    Event::Observed { .. }
                    | Event::Committed { .. }
                    | Event::HandOut { .. }
                    | Event::Signed { .. },
                    Way::Received | Way::Here,
                )
                | (
                    Event::Started { .. }
                    | Event::Purged
                    | Event::Propose { eager: None, .. }
                    | Event::Commit { .. }
                    | Event::Close { .. }
                    | Event::Declined { .. }
                    | Event::Ask { .. }
                    | Event::KeyGeneration { .. },
                    _,
                ) => {}
            }
        }
        Ok(())
    }

    fn commit(
        &mut self,
        life: Life,
        coordinator: u16,
        attempt: Option<(B256, u32)>,
        commitments: &[Bytes],
    ) -> Result<(), Violation> {
        let place = Place { log: life.log, life: life.life, coordinator, attempt };
        let twice = |commitment: &Bytes, first: &Place| Violation::CommittedTwice {
            member: life.member,
            commitment: commitment.clone(),
            first: format!("{first:?}"),
            second: format!("{place:?}"),
        };
        for (index, commitment) in commitments.iter().enumerate() {
            if commitments[..index].contains(commitment) {
                return Err(twice(commitment, &place));
            }
            match self.made.get(&(life.member, commitment.clone())) {
                // an answer that was lost is sent again; what is handed out is not
                Some(first) if *first != place || place.attempt.is_none() => {
                    return Err(twice(commitment, first));
                }
                Some(_) => {}
                None => {
                    self.made.insert((life.member, commitment.clone()), place.clone());
                }
            }
        }
        Ok(())
    }

    fn share(
        &mut self,
        life: Life,
        coordinator: u16,
        attempt: (B256, u32),
        hash: B256,
        outcome: B256,
        shares: &[B256],
    ) -> Result<(), Violation> {
        let Life { member, log, life } = life;
        let Some(package) = self.packages.get(&hash) else {
            return Err(Violation::NoPackage { member, to: coordinator, package: hash });
        };
        if (package.session, package.attempt) != attempt {
            return Err(Violation::OtherSession { member, package: hash });
        }
        let own = package.signers.iter().find(|(signer, _)| *signer == member);
        let own = own.map(|(_, commitments)| commitments.clone()).unwrap_or_default();
        if own.len() != shares.len() || own.is_empty() {
            let (shares, commitments) = (shares.len(), own.len());
            return Err(Violation::Count { member, package: hash, shares, commitments });
        }
        let wanted = |attempt| Place { log, life, coordinator, attempt };
        for (commitment, share) in own.into_iter().zip(shares) {
            let owned = (member, commitment.clone());
            let made = self.made.get(&owned);
            if made.is_none_or(|made| *made != wanted(Some(attempt)) && *made != wanted(None)) {
                let (made, used) = (format!("{made:?}"), format!("{:?}", wanted(Some(attempt))));
                return Err(Violation::NotCommitted { member, commitment, made, used });
            }
            let this = Use { package: hash, outcome, share: *share };
            let first = self.used.entry(owned).or_insert_with(|| this.clone());
            if *first != this {
                let (first, second) = (format!("{first:?}"), format!("{this:?}"));
                return Err(Violation::Reused { member, commitment, first, second });
            }
            self.summary.shares += 1;
        }
        Ok(())
    }
}

/// Whatever came was sent: lines are written before messages leave.
fn sent(logs: &[Log]) -> Result<(), Violation> {
    let lines = || logs.iter().flat_map(|log| log.boots.iter().flatten().map(move |line| (log.member, line)));
    let of = |way| {
        lines().filter_map(move |(member, line)| Some((member, line.peer?, line)).filter(|_| line.way == way))
    };
    let all: BTreeSet<(u16, u16, &Event)> =
        of(Way::Sent).map(|(from, to, line)| (from, to, &line.event)).collect();
    let members: BTreeSet<u16> = logs.iter().map(|log| log.member).collect();
    for (at, from, line) in of(Way::Received) {
        if members.contains(&from) && !all.contains(&(from, at, &line.event)) {
            return Err(Violation::NeverSent { at, from, line: format!("{line:?}") });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
