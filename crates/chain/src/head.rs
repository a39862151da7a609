//! The final head in a node's own view: the highest block that a quorum of operators calls final.

use std::{collections::BTreeMap, time::Duration};

use countersign_types::Pin;
use futures::{StreamExt, stream::FuturesUnordered};

use crate::{
    Fault, Faults,
    endpoint::Endpoint,
    quorum::{Operator, Question, Tally, agree},
};

/// Once a quorum has said which block is final, how long the others are waited for.
const GRACE: Duration = Duration::from_millis(200);

/// The block at a number, to be asked of any endpoint. One that does not call it final has no say: it may be
/// on a fork there, and a liar could agree with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockAt(pub(crate) u64);

impl Question for BlockAt {
    type Answer = Pin;

    async fn ask(&self, endpoint: &Endpoint) -> Result<Pin, Fault> {
        if endpoint.finalized_number() < Some(self.0) {
            let own = endpoint.survey().await?.number;
            if own < self.0 {
                return Err(Fault::NotYetFinal { number: self.0, own });
            }
        }
        endpoint.block(self.0).await?.ok_or(Fault::UnknownBlock)
    }
}

/// What the operators call final.
#[derive(Debug, Default, Clone)]
pub(crate) struct Finals {
    /// By operator, the newest of its endpoints' final blocks.
    blocks: BTreeMap<String, Pin>,
    /// By operator, the last fault of its endpoints.
    faults: BTreeMap<String, Fault>,
}

/// A survey of all endpoints, answers coming in.
pub(crate) struct Survey<'a> {
    quorum: usize,
    pending: FuturesUnordered<futures::future::BoxFuture<'a, (&'a str, Result<Pin, Fault>)>>,
    finals: Finals,
}

impl<'a> Survey<'a> {
    /// Asks every endpoint of every operator.
    pub(crate) fn begin(operators: &'a [Operator], quorum: usize) -> Self {
        let endpoints = operators.iter().flat_map(|operator| &operator.endpoints);
        let pending = endpoints
            .map(|endpoint| Box::pin(async move { (endpoint.operator(), endpoint.survey().await) }) as _)
            .collect();
        Self { quorum, pending, finals: Finals::default() }
    }

    /// Waits for a quorum, and a little longer for the others.
    pub(crate) async fn enough(&mut self) -> &Finals {
        while self.finals.blocks.len() < self.quorum && self.next().await {}
        let others = async { while self.next().await {} };
        // Whoever is not there in time counts as silent for now.
        let _ = tokio::time::timeout(GRACE, others).await;
        &self.finals
    }

    /// Waits for the rest; says whether there was any.
    pub(crate) async fn rest(&mut self) -> Option<&Finals> {
        let before = self.finals.blocks.len();
        while self.next().await {}
        (self.finals.blocks.len() > before).then_some(&self.finals)
    }

    async fn next(&mut self) -> bool {
        match self.pending.next().await {
            Some((operator, answer)) => {
                self.finals.add(operator, answer);
                true
            }
            None => false,
        }
    }
}

impl Finals {
    fn add(&mut self, operator: &str, answer: Result<Pin, Fault>) {
        match answer {
            Ok(block) => {
                self.faults.remove(operator);
                let newest = self.blocks.entry(operator.into()).or_insert(block);
                if block.number > newest.number {
                    *newest = block;
                }
            }
            Err(fault) if !self.blocks.contains_key(operator) => {
                self.faults.insert(operator.into(), fault);
            }
            Err(_) => {}
        }
    }

    /// The numbers that at least a quorum of operators has reached, highest first.
    fn candidates(&self, quorum: usize) -> Vec<u64> {
        let mut numbers: Vec<_> = self.blocks.values().map(|block| block.number).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        let mut candidates = numbers.split_off(quorum.saturating_sub(1).min(numbers.len()));
        candidates.dedup();
        candidates
    }

    /// The highest block that a quorum calls final and of which the same quorum has the same header. Where an
    /// operator contradicts, a lower block that more of them have reached may still have a quorum.
    ///
    /// # Errors
    ///
    /// What happened at each operator.
    pub(crate) async fn settle(&self, operators: &[Operator], quorum: usize) -> Result<Pin, Faults> {
        let mut faults = self.faults();
        for number in self.candidates(quorum) {
            let mut tally = Tally::new(quorum);
            for (operator, block) in self.blocks.iter().filter(|(_, block)| block.number == number) {
                tally.add(operator, Ok(*block));
            }
            let reached = |operator: &&Operator| {
                self.blocks.get(&operator.name).is_some_and(|block| block.number > number)
            };
            match agree(operators.iter().filter(reached), tally, &BlockAt(number)).await {
                Ok(block) => return Ok(block),
                Err(tally) => faults.0.extend(contradictions(tally)),
            }
        }
        Err(faults)
    }

    fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        for (operator, fault) in &self.faults {
            faults.push(operator, fault.clone());
        }
        faults
    }
}

pub(crate) fn contradictions(tally: Tally<Pin>) -> impl Iterator<Item = crate::OperatorFault> {
    let said = |(operator, block): (String, Pin)| crate::OperatorFault {
        operator,
        fault: Fault::OtherHeader { number: block.number, hash: block.hash },
    };
    tally.answers.into_iter().map(said).chain(tally.faults.0)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::*;

    fn finals(numbers: &[u64]) -> Finals {
        let mut finals = Finals::default();
        for (index, number) in numbers.iter().enumerate() {
            let pin = Pin { chain_id: 1, number: *number, hash: B256::ZERO, timestamp: 0 };
            finals.add(&format!("operator {index}"), Ok(pin));
        }
        finals
    }

    #[test]
    fn a_block_is_a_candidate_once_a_quorum_has_reached_it() {
        assert_eq!(finals(&[7]).candidates(1), [7]);
        assert_eq!(finals(&[7, 1_000, 5]).candidates(2), [7, 5]);
        assert_eq!(finals(&[7, 7, 1_000]).candidates(2), [7]);
        assert_eq!(finals(&[7]).candidates(2), [0; 0]);
        assert_eq!(finals(&[]).candidates(1), [0; 0]);
    }

    #[test]
    fn an_operator_has_one_voice_and_its_newest_block_counts() {
        let mut finals = finals(&[7]);
        let pin = |number| Pin { chain_id: 1, number, hash: B256::ZERO, timestamp: 0 };
        finals.add("operator 0", Err(Fault::NotFinal));
        finals.add("operator 0", Ok(pin(9)));
        finals.add("operator 0", Ok(pin(8)));
        assert_eq!(finals.candidates(1), [9]);
        assert_eq!(finals.candidates(2), [0; 0]);
        assert!(finals.faults().0.is_empty());
    }
}
