//! The HTTP interface over a backend that answers as it is told.

mod access;
mod bounds;
mod connections;
mod document;
mod fake;
mod malformed;
mod problems;
mod shares;
