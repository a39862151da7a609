//! Asking independent operators until enough of them say the same.

use std::{collections::VecDeque, future::Future, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};

use crate::{Fault, Faults, endpoint::Endpoint};

/// A quorum is asked first. Who has not answered after this is joined by all the others.
const HEDGE_AFTER: Duration = Duration::from_millis(300);

/// An independent operator: its endpoints, in the order of the configuration, are one voice.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) name: String,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// Something that can be asked of any endpoint, and whose answers can be compared.
pub(crate) trait Question: Sync {
    type Answer: PartialEq + Send;

    fn ask(&self, endpoint: &Endpoint) -> impl Future<Output = Result<Self::Answer, Fault>> + Send;
}

/// Answers so far, one for each operator.
#[derive(Debug)]
pub(crate) struct Tally<A> {
    quorum: usize,
    pub(crate) answers: Vec<(String, A)>,
    pub(crate) faults: Faults,
}

impl Operator {
    /// The first endpoint's answer, or the next one's where it has none.
    async fn ask<Q: Question>(&self, question: &Q) -> Result<Q::Answer, Fault> {
        let mut last = Fault::Unreachable("no endpoint".into());
        for endpoint in &self.endpoints {
            let answer = match endpoint.ready().await {
                Ok(()) => question.ask(endpoint).await,
                Err(fault) => Err(fault),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    fn is_ready(&self) -> bool {
        self.endpoints.iter().any(Endpoint::is_ready)
    }
}

impl<A: PartialEq> Tally<A> {
    pub(crate) fn new(quorum: usize) -> Self {
        Self { quorum, answers: Vec::new(), faults: Faults::default() }
    }

    pub(crate) fn add(&mut self, operator: &str, answer: Result<A, Fault>) {
        match answer {
            Ok(answer) => self.answers.push((operator.into(), answer)),
            Err(fault) => self.faults.push(operator, fault),
        }
    }

    /// The most frequent answer and how many gave it.
    fn leading(&self) -> (usize, usize) {
        let count = |answer: &A| self.answers.iter().filter(|(_, other)| other == answer).count();
        let counts = self.answers.iter().map(|(_, answer)| count(answer)).enumerate();
        counts.max_by_key(|(_, count)| *count).unwrap_or((0, 0))
    }

    /// How many more must join the most frequent answer.
    fn missing(&self) -> usize {
        self.quorum.saturating_sub(self.leading().1)
    }

    fn take_leading(mut self) -> A {
        let (index, _) = self.leading();
        self.answers.swap_remove(index).1
    }
}

/// Asks these operators, whose answers are added to the tally, until a quorum of them agrees. A slow or
/// silent operator delays this only where there is no quorum without it.
///
/// # Errors
///
/// The tally, where there can be no quorum any more.
pub(crate) async fn agree<Q: Question>(
    operators: impl Iterator<Item = &Operator>,
    mut tally: Tally<Q::Answer>,
    question: &Q,
) -> Result<Q::Answer, Tally<Q::Answer>> {
    let (ready, others): (Vec<_>, Vec<_>) = operators.partition(|operator| operator.is_ready());
    let mut waiting: VecDeque<_> = ready.into_iter().chain(others).collect();
    let mut asked = FuturesUnordered::new();
    let hedge = tokio::time::sleep(HEDGE_AFTER);
    tokio::pin!(hedge);
    loop {
        let missing = tally.missing();
        if missing == 0 {
            return Ok(tally.take_leading());
        }
        if asked.len() + waiting.len() < missing {
            return Err(tally);
        }
        let more = missing.saturating_sub(asked.len());
        asked.extend(waiting.drain(..more).map(|operator| named(operator, question)));
        tokio::select! {
            biased;
            Some((name, answer)) = asked.next() => tally.add(name, answer),
            () = &mut hedge, if !waiting.is_empty() => {
                asked.extend(waiting.drain(..).map(|operator| named(operator, question)));
            }
        }
    }
}

async fn named<'a, Q: Question>(operator: &'a Operator, question: &Q) -> (&'a str, Result<Q::Answer, Fault>) {
    (&operator.name, operator.ask(question).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(quorum: usize, answers: &[u8]) -> Tally<u8> {
        let mut tally = Tally::new(quorum);
        for (index, answer) in answers.iter().enumerate() {
            tally.add(&index.to_string(), Ok(*answer));
        }
        tally
    }

    #[test]
    fn only_equal_answers_count_together() {
        assert_eq!(tally(2, &[]).missing(), 2);
        assert_eq!(tally(2, &[1]).missing(), 1);
        assert_eq!(tally(2, &[1, 2]).missing(), 1);
        assert_eq!(tally(2, &[1, 2, 2]).missing(), 0);
        assert_eq!(tally(2, &[1, 2, 2]).take_leading(), 2);
        assert_eq!(tally(3, &[1, 2, 2, 1]).missing(), 1);
    }

    #[test]
    fn a_fault_is_no_answer() {
        let mut tally = tally(2, &[1]);
        tally.add("x", Err(Fault::NotFinal));
        assert_eq!(tally.missing(), 1);
        assert_eq!(tally.faults.to_string(), "provider x: has no final block");
    }
}
