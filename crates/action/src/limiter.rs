//! Memory and tables: a request beyond the bound ends the run at once.

use wasmtime::ResourceLimiter;

use crate::{
    abort::Abort,
    engine::{MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES},
};

/// Counts what a run has, over all its memories, and refuses more than the manifest allows.
pub(crate) struct Limiter {
    memory_bytes: usize,
    memory_limit: usize,
    /// Why it refused; whoever sees the error takes it for the run's end.
    pub(crate) refused: Option<Abort>,
}

impl Limiter {
    pub(crate) fn new(memory_limit: u32) -> Self {
        let memory_limit = usize::try_from(memory_limit).unwrap_or(usize::MAX);
        Self { memory_bytes: 0, memory_limit, refused: None }
    }

    fn refuse(&mut self, asked: usize, limit: usize, unit: &'static str) -> wasmtime::Error {
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.refused = Some(Abort::Memory { asked: wide(asked), limit: wide(limit), unit });
        wasmtime::Error::msg("beyond the run's memory")
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let asked = self.memory_bytes.saturating_sub(current).saturating_add(desired);
        if asked > self.memory_limit {
            return Err(self.refuse(asked, self.memory_limit, "bytes of memory"));
        }
        self.memory_bytes = asked;
        Ok(true)
    }

    /// A growth that was allowed and did not happen. What the guest asks for beyond its own maximum is its own affair; where the system has
    /// no memory, the run ends, for the guest would see what no other node's sees.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if Abort::is_of_system(&error) {
            self.refused = Some(Abort::host(format!("memory did not grow: {error:#}")));
            return Err(error);
        }
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > MAX_TABLE_ELEMENTS {
            return Err(self.refuse(desired, MAX_TABLE_ELEMENTS, "elements of a table"));
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        usize::MAX
    }

    fn tables(&self) -> usize {
        usize::try_from(MAX_TABLES).unwrap_or(usize::MAX)
    }

    fn memories(&self) -> usize {
        usize::try_from(MAX_MEMORIES).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_count_together() {
        let mut limiter = Limiter::new(100);
        assert!(limiter.memory_growing(0, 60, None).is_ok(), "the first");
        assert!(limiter.memory_growing(0, 40, None).is_ok(), "the second");
        assert!(limiter.memory_growing(40, 41, None).is_err(), "one byte more");
        assert_eq!(limiter.refused, Some(Abort::Memory { asked: 101, limit: 100, unit: "bytes of memory" }));
    }

    #[test]
    fn a_growth_that_the_system_refuses_ends_the_run_and_no_other_does() {
        let mut limiter = Limiter::new(1 << 20);
        let beyond = wasmtime::Error::msg("beyond the memory's own maximum");
        assert!(limiter.memory_grow_failed(beyond).is_ok() && limiter.refused.is_none(), "the guest is told");
        let system = wasmtime::Error::from(std::io::Error::other("no memory"));
        assert!(limiter.memory_grow_failed(system).is_err());
        assert!(matches!(limiter.refused, Some(Abort::Host { .. })), "{:?}", limiter.refused);
    }
}
