//! Whole networks of real processes: real connections, databases, and a real chain where actions read one.
//!
//! With `COUNTERSIGN_TEST_KEEP` set, the folder of each network stays behind, with its logs.

mod actions;
mod backups;
mod bursts;
mod client;
mod copies;
mod deadlines;
mod demonstrations;
mod disks;
mod documents;
mod fetched;
mod javascript;
mod keygen;
mod kills;
mod load;
mod operations;
mod outages;
mod outside;
mod payloads;
mod providers;
mod receipts;
mod requests;
mod scripts;
mod shown;
mod starts;
mod stops;
mod substitution;
mod support;
mod terminal;
mod upgrades;
