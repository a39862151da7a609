//! Nobody signs without having been asked.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Result, ensure};

/// Asks whoever sits at the terminal whether to sign as somebody; an error, unless they say yes.
pub(crate) fn ask_at_terminal(name: &str) -> Result<()> {
    ensure!(
        io::stdin().is_terminal(),
        "nothing is signed: there is no terminal to ask at. Whoever has read the above signs it as {name} with --yes"
    );
    ask(name, &mut io::stdin().lock(), &mut io::stdout())
}

fn ask(name: &str, from: &mut impl BufRead, to: &mut impl Write) -> Result<()> {
    write!(to, "sign this as {name}? [y/N] ")?;
    to.flush()?;
    let mut said = String::new();
    from.read_line(&mut said)?;
    ensure!(matches!(said.trim(), "y" | "Y" | "yes"), "nothing is signed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        for (said, is_yes) in
            [("y\n", true), ("yes\n", true), ("", false), ("\n", false), ("n\n", false), ("yellow\n", false)]
        {
            let mut question = Vec::new();
            let answer = ask("anna", &mut said.as_bytes(), &mut question);
            assert_eq!(answer.is_ok(), is_yes, "{said:?}");
            assert!(String::from_utf8_lossy(&question).contains("as anna?"));
        }
    }
}
