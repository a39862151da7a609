//! Writes the seeds of all corpora; what fuzzing has found stays as it is.

use std::{fs, io};

use countersign_fuzzing::{
    TARGETS,
    seeds::{self, PREFIX},
};

fn main() -> io::Result<()> {
    let corpora = seeds::corpora();
    for target in TARGETS {
        let folder = corpora.join(target.name);
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                fs::remove_file(entry.path())?;
            }
        }
    }
    let seeds = seeds::all();
    for seed in &seeds {
        fs::write(seed.path(&corpora), &seed.input)?;
    }
    println!("{} seeds of {} targets are in {}", seeds.len(), TARGETS.len(), corpora.display());
    Ok(())
}
