//! Many seeds in parallel, with progress.

use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use countersign_sim::{Broken, Setting, SettingError, TOY_CURVES};

use super::{Chosen, SeedRange, Threads};

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_secs(2);
/// After so many failures no further seed is begun.
const ENOUGH: usize = 5;

/// What has been played so far.
#[derive(Default)]
struct Progress {
    seeds: AtomicU64,
    events: AtomicU64,
    working: AtomicU64,
    failures: Mutex<Vec<Broken>>,
}

/// Plays seeds on all threads, and prints how fast it went and what failed.
pub(crate) fn run(
    SeedRange(seeds): SeedRange,
    chosen: &Chosen,
    threads: Threads,
) -> Result<ExitCode, SettingError> {
    let setting = chosen.setting()?;
    let (progress, next, began) = (Progress::default(), AtomicU64::new(seeds.start), Instant::now());
    let threads = threads.count();
    progress.working.store(threads as u64, Ordering::Relaxed);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) || !progress.play(&setting, seed) {
                        break;
                    }
                }
                progress.working.fetch_sub(1, Ordering::Relaxed);
            });
        }
        let mut shown = Instant::now();
        while progress.working.load(Ordering::Relaxed) > 0 {
            thread::sleep(Duration::from_millis(20));
            if shown.elapsed() > PROGRESS {
                eprintln!("{}", progress.describe(began));
                shown = Instant::now();
            }
        }
    });
    let curves = if TOY_CURVES { ", with toy curves" } else { "" };
    println!("{}{curves}: {}", setting.arguments(), progress.describe(began));
    let failures = progress.failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    for broken in &failures {
        println!("seed {}: {}", broken.seed, broken.violation);
        println!("  {}", setting.replay_command(broken.seed));
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Progress {
    /// Plays a seed; false where there is no point in going on.
    fn play(&self, setting: &Setting, seed: u64) -> bool {
        let (events, broken) = match setting.run(seed) {
            Ok(ended) => (ended.trace().len(), None),
            Err(broken) => (broken.trace.len(), Some(broken)),
        };
        self.seeds.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(events as u64, Ordering::Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.extend(broken.map(|broken| *broken));
        failures.len() < ENOUGH
    }

    fn describe(&self, began: Instant) -> String {
        let (seeds, events) = (self.seeds.load(Ordering::Relaxed), self.events.load(Ordering::Relaxed));
        let seconds = began.elapsed().as_secs_f64().max(0.001);
        let failed = self.failures.lock().unwrap_or_else(PoisonError::into_inner).len();
        format!(
            "{seeds} seeds, {events} events, {failed} failed, in {seconds:.1} s: {:.1} seeds/s, {:.0} events/s",
            seeds as f64 / seconds,
            events as f64 / seconds
        )
    }
}
