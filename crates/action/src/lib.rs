//! The host that runs actions: engine, limits, record and replay.
//!
//! A [`Host`] runs an [`Action`] in two ways. *Live*, what the action reads comes from a [`Reader`] and is
//! recorded; the record is what the nodes of a session bring together. *Replayed*, what it reads comes
//! from the agreed reads, in their order: a pure computation, the same on every node with an equal
//! [`EngineId`](countersign_types::EngineId). Both use the same code, cost the same fuel and end the same
//! way; only where a value comes from differs.
//!
//! An action is a component by itself, or a [`Script`] and the component that runs it.
//!
//! What a guest does ends in a verdict or in an [`Abort`], never in a panic and never in anything shared
//! with another run: one store per run, and every resource that it takes has a bound.

mod abort;
mod action;
mod advice;
mod artefacts;
mod bindings;
pub mod compile;
mod config;
mod engine;
mod execute;
mod fuel;
mod host;
mod imports;
mod limiter;
mod logs;
mod reader;
mod run;
mod script;
mod slots;
mod verdict;

pub use abort::Abort;
pub use action::Action;
pub use artefacts::{ArtefactError, ArtefactKey, Artefacts};
pub use compile::{CompileError, Compiler, CompilerError};
pub use config::{Config, MAX_SLOTS};
pub use engine::{Engine, EngineError, INTERFACE};
pub use host::{Compilation, Host, LoadError};
pub use logs::{Level, LogLine};
pub use reader::{ReadFailure, Reader};
pub use run::{LiveRun, Replay};
pub use script::{CompiledScript, MAX_PROGRAM_BYTES, Script, ScriptError};
