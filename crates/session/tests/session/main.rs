//! The state machines from outside: what goes in, what comes out.

mod admission;
mod attempts;
mod committee;
mod coordinator;
mod cost;
mod keygen;
mod numbers;
mod one_round;
mod participant;
mod table;
mod twist;
