//! Frames between nodes: what travels on their lanes, as bytes.
//!
//! A frame is a version and a [`SigningFrame`] or a [`BackgroundFrame`] in postcard, by its lane. The lanes bound its length
//! before it is [decoded](decode); what a message may hold is checked by whoever it is for. This crate reads bytes only: no
//! socket, no clock, no file.

mod frame;
mod question;

pub use frame::{BackgroundFrame, FrameError, SigningFrame, decode, encode};
pub use question::{Announcement, Answer, Ask, Piece, Question, Wanted};
