//! What the documents tell people to type, typed.
//!
//! In a block with a first word `sh`, everything runs as it stands, in one shell for each document. A block of another language with a
//! second word is the file of that name. The rest is for reading.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use countersign_testnet::demonstrations;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use crate::support::{made_in, program};

/// The longest that a document's commands take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The documents for whoever has a checkout, and how many blocks each has that are run or written: so that none vanishes unseen.
const IN_A_CHECKOUT: [(&str, usize); 7] = [
    ("README.md", 7),
    ("docs/api.md", 1),
    ("actions/README.md", 2),
    ("examples/README.md", 1),
    ("examples/approvals/README.md", 2),
    ("examples/gated-message/README.md", 1),
    ("examples/taproot-release/README.md", 2),
];
/// Those for operators, with theirs.
const CHECK: (&str, usize) = ("docs/operators/check.md", 2);
const BACKUP: (&str, usize) = ("docs/operators/backup.md", 2);
/// The action of the README, in Rust.
const HELLO: &str = "actions/hello/src/lib.rs";

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// Where its content begins in the document, counted from 1.
    line: usize,
    language: String,
    file: Option<String>,
    content: String,
}

impl Block {
    /// Whether it is run, or written to a file.
    fn counts(&self) -> bool {
        self.language == "sh" || self.file.is_some()
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of a document nothing else is of use here")]
fn blocks(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (event, range) in Parser::new(document).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let mut words = info.split_whitespace().map(str::to_owned);
                let line = document[..range.start].lines().count() + 2;
                let language = words.next().unwrap_or_default();
                blocks.push(Block { line, language, file: words.next(), content: String::new() });
                open = true;
            }
            Event::Text(text) if open => {
                if let Some(block) = blocks.last_mut() {
                    block.content.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => open = false,
            _ => {}
        }
    }
    blocks
}

/// One script of a document's blocks, which says where it is before each.
fn script(name: &str, blocks: &[Block]) -> Result<String> {
    let mut script = "set -euo pipefail\n".to_owned();
    for block in blocks.iter().filter(|block| block.counts()) {
        writeln!(script, "echo '-- {name}:{}' >&2", block.line)?;
        match &block.file {
            Some(file) => {
                ensure!(!block.content.contains("\nEND OF FILE\n"), "{name}:{}", block.line);
                writeln!(script, "cat > '{file}' <<'END OF FILE'\n{}END OF FILE", block.content)?;
            }
            None => writeln!(script, "{}", block.content)?,
        }
    }
    Ok(script)
}

/// Runs a document's blocks in a folder, so many, and returns what they said.
async fn runs(folder: &Path, (name, count): (&str, usize), prelude: &str) -> Result<String> {
    let document = fs::read_to_string(root().join(name)).with_context(|| name.to_owned())?;
    let target = program()?.ancestors().nth(2).context("a target folder")?.to_owned();
    let shell = Command::new("bash")
        .args(["-c", &format!("{prelude}{}", script(name, &blocks(&document))?)])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output =
        timeout(PATIENCE, shell.wait_with_output()).await.with_context(|| format!("{name} hangs"))??;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    ensure!(output.status.success(), "{name}: {}\n{said}", output.status);
    let ran = said.matches(&format!("-- {name}:")).count();
    ensure!(ran == count, "of {name} {ran} blocks were run, not {count}: {said}");
    Ok(said)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// In a folder in which they find what a checkout holds and a test network, as after `testnet/up`; then, for operators, in one in which
/// a node lies and `countersign` is installed.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_documents_tell_people_to_type_works() -> Result<()> {
    let folder = TempDir::new()?;
    for part in ["testnet", "actions"] {
        symlink(root().join(part), folder.path().join(part))?;
    }
    let mut network = made_in(folder.path().join(".testnet"), 5, 3)?;
    network.start().await?;
    demonstrations::prepare(&network).await?;
    for document in IN_A_CHECKOUT {
        runs(folder.path(), document, "").await?;
    }

    let operator = TempDir::new()?;
    symlink(&network.nodes[0].folder, operator.path().join("node1"))?;
    let programs = program()?.parent().context("a folder of programs")?.to_owned();
    let installed = format!("PATH='{}':\"$PATH\"\n", programs.display());
    let said = runs(operator.path(), CHECK, &installed).await?;
    ensure!(said.contains("\"state\": \"ok\"") && !said.contains("\"state\": \"failed\""), "{said}");
    network.nodes[0].terminate()?;
    runs(operator.path(), BACKUP, &installed).await?;
    ensure!(operator.path().join("restored/data").is_dir(), "nothing was restored");
    network.no_panic()?;
    network.stop()
}

/// Where documents lie.
const FOLDERS: [&str; 5] = ["", "docs", "docs/operators", "actions", "examples"];

#[test]
fn no_document_has_blocks_that_nobody_runs() -> Result<()> {
    let mut found = BTreeMap::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(root().join(folder))? {
            let path = entry?.path();
            // beside them, each action and each example has a README
            for path in [path.join("README.md"), path] {
                if path.extension().is_some_and(|extension| extension == "md") && path.is_file() {
                    let name = path.strip_prefix(root())?.to_string_lossy().into_owned();
                    let count =
                        blocks(&fs::read_to_string(&path)?).iter().filter(|block| block.counts()).count();
                    found.insert(name, count);
                }
            }
        }
    }
    found.retain(|_, count| *count > 0);
    let run = IN_A_CHECKOUT.into_iter().chain([CHECK, BACKUP]);
    assert_eq!(found, run.map(|(name, count)| (name.to_owned(), count)).collect());
    Ok(())
}

#[test]
fn the_action_that_the_readme_shows_is_the_one_that_is_built() -> Result<()> {
    let blocks = blocks(&fs::read_to_string(root().join("README.md"))?);
    let shown: Vec<&str> =
        blocks.iter().filter(|block| block.language == "rust").map(|block| &*block.content).collect();
    assert_eq!(shown, [fs::read_to_string(root().join(HELLO))?]);
    Ok(())
}

#[test]
fn only_what_is_marked_is_run_and_files_are_written() {
    let document =
        "# T\n\n```sh\necho one\n```\n\n    indented\n\n```text\nnot run\n```\n\n```js a.js\nlet x;\n```\n";
    let found = blocks(document);
    assert_eq!(found.len(), 3);
    assert_eq!((found[0].line, found[0].content.as_str()), (4, "echo one\n"));
    let script = script("T.md", &found).expect("short");
    assert_eq!(
        script,
        "set -euo pipefail\necho '-- T.md:4' >&2\necho one\n\necho '-- T.md:14' >&2\ncat > 'a.js' <<'END OF FILE'\nlet x;\nEND OF FILE\n"
    );
}
