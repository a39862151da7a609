//! Other programs: shown before they run, bounded where they might hang.

use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How often a bounded program is looked after.
const POLL: Duration = Duration::from_millis(50);

/// The command as one would type it, without its environment.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

/// Shows and runs a command; an error unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", shown(command));
    let status = command.status().with_context(|| cannot_start(command))?;
    succeeded(command, status)
}

/// Shows and runs a command for at most `bound`, then ends it.
pub(crate) fn run_within(bound: Duration, command: &mut Command) -> Result<()> {
    eprintln!("$ {}   (at most {} s)", shown(command), bound.as_secs());
    let mut child = command.stdin(Stdio::null()).spawn().with_context(|| cannot_start(command))?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return succeeded(command, status);
        }
        if started.elapsed() > bound {
            child.kill()?;
            child.wait()?;
            bail!("{} was still running after {} s", shown(command), bound.as_secs());
        }
        thread::sleep(POLL);
    }
}

/// Shows and runs a command; its standard error is passed on, and its lines from the first that `wanted`
/// accepts are returned, whether it succeeds or not.
pub(crate) fn run_keeping(
    command: &mut Command,
    wanted: impl Fn(&str) -> bool,
) -> Result<(ExitStatus, Vec<String>)> {
    eprintln!("$ {}", shown(command));
    let mut child = command.stderr(Stdio::piped()).spawn().with_context(|| cannot_start(command))?;
    let mut kept: Vec<String> = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            eprintln!("{line}");
            if !kept.is_empty() || wanted(&line) {
                kept.push(line);
            }
        }
    }
    Ok((child.wait()?, kept))
}

/// Runs a command silently and returns what it prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| cannot_start(command))?;
    succeeded(command, output.status)?;
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no UTF-8", shown(command)))
}

/// Where a program is, if it is on the PATH.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The PATH with `folder` in front.
pub(crate) fn path_with(folder: &Path) -> Result<impl AsRef<OsStr> + use<>> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(env::split_paths(&path));
    env::join_paths(folders).with_context(|| format!("{} cannot be on the PATH", folder.display()))
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { bail!("{} failed: {status}", shown(command)) }
}

fn cannot_start(command: &Command) -> String {
    format!("{} cannot be started", command.get_program().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_typed() {
        assert_eq!(shown(Command::new("echo").args(["a b", "", "x=1"])), "echo 'a b' '' x=1");
    }

    #[test]
    fn a_failure_names_the_command_and_the_status() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).expect_err("it fails");
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert!(run(&mut Command::new("no-such-program-at-all")).is_err());
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let started = Instant::now();
        assert!(run_within(Duration::from_millis(100), Command::new("sleep").arg("60")).is_err());
        assert!(started.elapsed() < Duration::from_secs(30));
        assert!(run_within(Duration::from_secs(30), &mut Command::new("true")).is_ok());
    }

    #[test]
    fn lines_are_kept_from_the_first_that_is_wanted() {
        let script = "echo a >&2; echo b >&2; echo c >&2; exit 1";
        let (status, kept) =
            run_keeping(Command::new("sh").args(["-c", script]), |line| line == "b").expect("it starts");
        assert!(!status.success());
        assert_eq!(kept, ["b", "c"]);
    }
}
