//! The child process that compiles: component on standard input, artefact on standard output.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use countersign_types::action::MAX_COMPONENT_BYTES;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{CompileError, compile};

/// The address space that a compilation may have: 4 GiB.
pub const ADDRESS_SPACE_BYTES: u64 = 4 << 30;
/// The processor time that a compilation may take, in seconds.
pub const CPU_SECONDS: u64 = 60;

/// Limits this process, compiles what is on standard input and ends.
///
/// Standard output is the artefact and the exit code 0; or standard error is a [`CompileError`] as a line
/// of JSON and the exit code 1. Call it first thing in a process of its own: the limits stay.
pub fn child_main() -> ExitCode {
    match run() {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let line = serde_json::to_string(&error).unwrap_or_else(|_| error.to_string());
            let _ = writeln!(io::stderr(), "{line}");
            ExitCode::FAILURE
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "the compiling process failed: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> io::Result<Result<(), CompileError>> {
    limit(Resource::As, ADDRESS_SPACE_BYTES)?;
    limit(Resource::Cpu, CPU_SECONDS)?;
    limit(Resource::Core, 0)?;
    let mut component = Vec::new();
    let most = u64::try_from(MAX_COMPONENT_BYTES).unwrap_or(u64::MAX);
    io::stdin().lock().take(most.saturating_add(1)).read_to_end(&mut component)?;
    match compile(&component) {
        Ok(artefact) => {
            let mut out = io::stdout().lock();
            out.write_all(&artefact)?;
            out.flush()?;
            Ok(Ok(()))
        }
        Err(error) => Ok(Err(error)),
    }
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}
