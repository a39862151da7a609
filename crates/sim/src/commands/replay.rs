//! One seed, step by step, and the smallest world that fails as it does.

use std::process::ExitCode;

use countersign_sim::{Broken, Setting, SettingError, shrink::shrink as make_smaller};

use super::Chosen;

/// Prints everything that happens in a seed's world.
pub(crate) fn replay(seed: u64, chosen: &Chosen) -> Result<ExitCode, SettingError> {
    let setting = chosen.setting()?;
    print!("{}", countersign_sim::replay(&setting, seed));
    Ok(if setting.run(seed).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the smallest world that breaks the same invariant.
pub(crate) fn shrink(seed: u64, chosen: &Chosen, most: u64) -> Result<ExitCode, SettingError> {
    let setting = chosen.setting()?;
    let Some(shrunk) = make_smaller(&setting, seed, most) else {
        println!("seed {seed} breaks no invariant: {}", setting.arguments());
        return Ok(ExitCode::SUCCESS);
    };
    println!("{}", shrunk.last.trace.text());
    println!("{}", countersign_sim::verdict(&shrunk.last));
    describe("the seed's world", &shrunk.first);
    describe("the smallest", &shrunk.last);
    let faults: Vec<String> =
        shrunk.faults().into_iter().map(|(class, count)| format!("{} {count}", class.name())).collect();
    println!("what befalls it: {}", if faults.is_empty() { "nothing".into() } else { faults.join(", ") });
    println!("after {} worlds; to see it again:\n  {}", shrunk.played, command(&shrunk.last.setting, seed));
    Ok(ExitCode::FAILURE)
}

fn describe(which: &str, broken: &Broken) {
    println!("{which}: {} events, {}", broken.trace.len(), broken.violation);
}

fn command(setting: &Setting, seed: u64) -> String {
    setting.replay_command(seed)
}
