//! The client against nodes on loopback: honest ones, dead ones and liars.

mod failover;
mod lies;
mod members;
mod nodes;
mod offline;
mod receipts;
mod table;
mod world;
