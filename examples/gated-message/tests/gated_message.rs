//! The example against real nodes and a real chain.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use countersign_testnet::{demonstrations, temporary};

const EXAMPLE: &str = env!("CARGO_BIN_EXE_example-gated-message");

fn command(network: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(EXAMPLE);
    command.arg("--network").arg(network).args(arguments);
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A server of its own process, that ends with this.
struct Serving {
    process: Child,
    url: String,
    /// Kept open: it goes on writing.
    _output: BufReader<ChildStdout>,
}

impl Serving {
    fn start(network: &Path) -> Result<Self> {
        let mut serve = command(network, &["serve", "--listen", "127.0.0.1:0", "--message", "open sesame"]);
        let mut process = serve.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().context("its output")?);
        output.read_line(&mut line)?;
        let url = line.split_whitespace().next().context("it says where it is")?.to_owned();
        Ok(Self { process, url, _output: output })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_the_token_gets_the_text_and_nobody_else() -> Result<()> {
    let (mut network, _kept) = temporary::network(3, 2, Path::new(EXAMPLE))?;
    network.start().await?;
    demonstrations::holder(&network).await?;
    let folder = network.plan.folder.clone();

    let shown = command(&folder, &["show"]).output()?;
    let said = text(&shown);
    ensure!(shown.status.success(), "{said}");
    for words in [
        "said: \"the treasure",
        "this challenge is not open",
        "not the network's signature of the challenge",
        "the network does not sign",
        "more are needed",
    ] {
        ensure!(said.contains(words), "{words:?} is missing in: {said}");
    }

    let serving = Serving::start(&folder)?;
    let alice = command(&folder, &["fetch", "--server", &serving.url, "--as", "alice"]).output()?;
    ensure!(alice.status.success() && text(&alice).trim() == "open sesame", "{}", text(&alice));
    let bob = command(&folder, &["fetch", "--server", &serving.url, "--as", "bob"]).output()?;
    ensure!(!bob.status.success() && !text(&bob).contains("sesame"), "{}", text(&bob));
    ensure!(text(&bob).contains("not signed"), "{}", text(&bob));
    // known under another name, its challenges are not answered: they could be another server's
    let elsewhere = serving.url.replace("127.0.0.1", "localhost");
    let misled = command(&folder, &["fetch", "--server", &elsewhere]).output()?;
    ensure!(!misled.status.success() && text(&misled).contains("another server's"), "{}", text(&misled));
    network.stop()
}

#[test]
fn help_says_what_it_does() -> Result<()> {
    let help = Command::new(EXAMPLE).arg("--help").output()?;
    ensure!(help.status.success() && text(&help).contains("holds a token"), "{}", text(&help));
    Ok(())
}
