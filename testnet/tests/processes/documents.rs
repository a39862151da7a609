//! What the documents tell people to type, typed.
//!
//! In a block with a first word `sh`, everything runs as it stands, in one shell for each document. A block of another language with a
//! second word is the file of that name. The rest is for reading.

use std::{
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

/// The documents, and how many blocks of each are run at least.
const DOCUMENTS: [(&str, usize); 2] = [("README.md", 4), ("docs/api.md", 1)];

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// Where its content begins in the document, counted from 1.
    line: usize,
    language: String,
    file: Option<String>,
    content: String,
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
    for block in blocks {
        match &block.file {
            Some(file) => {
                ensure!(!block.content.contains("\nEND OF FILE\n"), "{name}:{}", block.line);
                writeln!(script, "cat > '{file}' <<'END OF FILE'\n{}END OF FILE", block.content)?;
            }
            None if block.language == "sh" => {
                writeln!(script, "echo '-- {name}:{}' >&2\n{}", block.line, block.content)?;
            }
            None => {}
        }
    }
    Ok(script)
}

/// Runs a document's blocks in a folder in which it finds `testnet/` and a test network, as in a checkout after `testnet/up`.
async fn runs(folder: &Path, name: &str) -> Result<String> {
    let document = fs::read_to_string(root().join(name)).with_context(|| name.to_owned())?;
    let programs = program()?;
    let target = programs.ancestors().nth(2).context("a target folder")?.to_owned();
    let shell = Command::new("bash")
        .args(["-c", &script(name, &blocks(&document))?])
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
    Ok(said)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_documents_tell_people_to_type_works() -> Result<()> {
    let folder = TempDir::new()?;
    symlink(root().join("testnet"), folder.path().join("testnet"))?;
    let mut network = made_in(folder.path().join(".testnet"), 5, 3)?;
    network.start().await?;
    demonstrations::prepare(&network).await?;
    for (name, least) in DOCUMENTS {
        let said = runs(folder.path(), name).await?;
        // a document without blocks proves nothing
        ensure!(said.matches(&format!("-- {name}:")).count() >= least, "{said}");
    }
    network.no_panic()?;
    network.stop()
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
        "set -euo pipefail\necho '-- T.md:4' >&2\necho one\n\ncat > 'a.js' <<'END OF FILE'\nlet x;\nEND OF FILE\n"
    );
}
