//! Key generation step by step. Faults, crashes and liars are played in `countersign-sim`.

mod ceremonies;
mod confirmations;
mod refusals;
mod ring;
mod starts;
