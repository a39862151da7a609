//! The store on a real disk: what it keeps, what it refuses, and what becomes of it when the disk fails.

mod actions;
mod boots;
mod damage;
mod fixture;
mod full_disk;
mod identity;
mod keygen;
mod killed;
mod opening;
