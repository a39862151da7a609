//! `countersign action`: manifests, publication, and what a node stores.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use countersign_client::{RequestSigner, sign_publication};
use countersign_types::{
    ActionId, Manifest, PublishAction,
    action::{Content, ManifestSource},
    api::ActionInfo,
};
use serde_json::json;

use crate::{
    exit::Exit,
    files,
    output::{Output, facts, table},
    sign::{NodeArguments, now_ms},
};

/// Actions.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compute an action's id from its manifest and its component or script. Asks nobody.
    #[command(
        after_help = "Example:\n  countersign action id --manifest manifest.toml --component action.wasm"
    )]
    Id(ManifestArguments),
    /// Publish an action to a node, which hands it to the others.
    #[command(
        after_help = "Example:\n  countersign action publish --node http://127.0.0.1:8470 --genesis genesis.json \\\n    --manifest manifest.toml --component action.wasm --publisher-key publisher.key\n\n  \
                      with --script action.js in place of --component for an action in JavaScript"
    )]
    Publish {
        #[command(flatten)]
        node: NodeArguments,
        #[command(flatten)]
        manifest: ManifestArguments,
        /// The publisher's secret key; operators list whom they accept.
        #[arg(long)]
        publisher_key: PathBuf,
    },
    /// List the actions that a node stores.
    #[command(
        after_help = "Example:\n  countersign action list --node http://127.0.0.1:8470 --genesis genesis.json"
    )]
    List(NodeArguments),
    /// Show one action.
    #[command(
        after_help = "Example:\n  countersign action show 0x.. --node http://127.0.0.1:8470 --genesis genesis.json"
    )]
    Show {
        #[command(flatten)]
        node: NodeArguments,
        /// The action.
        action: ActionId,
    },
}

/// A manifest and what it names.
#[derive(Args)]
pub(crate) struct ManifestArguments {
    /// The manifest, TOML: name, hosts, chains and limits; the digests follow from component and script.
    #[arg(long)]
    manifest: PathBuf,
    #[command(flatten)]
    content: ContentArguments,
}

/// One of two sorts of actions.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct ContentArguments {
    /// The component, a WebAssembly component file.
    #[arg(long)]
    component: Option<PathBuf>,
    /// The script, a JavaScript module: nodes have its runner built in.
    #[arg(long)]
    script: Option<PathBuf>,
}

impl ManifestArguments {
    fn read(&self) -> Result<(Manifest, Content), Exit> {
        let unreadable =
            |path: &PathBuf, error| Exit::invalid_input(format!("cannot read {}: {error}", path.display()));
        let text = fs::read_to_string(&self.manifest).map_err(|error| unreadable(&self.manifest, error))?;
        let source: ManifestSource = toml::from_str(&text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
            let (file, wrong) = (self.manifest.display(), error.message());
            Exit::invalid_input(format!("{file} is no manifest: line {line}: {wrong}"))
        })?;
        let (manifest, content) = match (&self.content.component, &self.content.script) {
            (Some(path), None) => {
                let component = fs::read(path).map_err(|error| unreadable(path, error))?;
                check_component(path, &component)?;
                (source.with_component(&component), Content::component(component))
            }
            (None, Some(path)) => {
                let script = fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
                (
                    source.with_script(countersign_runners::javascript().digest(), &script),
                    Content::script(script),
                )
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(Exit::invalid_input("an action is --component or --script"));
            }
        };
        manifest.validate().map_err(Exit::invalid)?;
        content.check(&manifest).map_err(Exit::invalid)?;
        Ok((manifest, content))
    }
}

/// How a component begins: WebAssembly's magic number, version and layer.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// How a core module begins.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Tells early what is no component at all; nodes look at the rest.
fn check_component(path: &Path, bytes: &[u8]) -> Result<(), Exit> {
    let wrong = if bytes.starts_with(COMPONENT) {
        return Ok(());
    } else if bytes.starts_with(MODULE) {
        "it is a core module: link it with wasm-component-ld (README.md shows how)"
    } else {
        "it is no WebAssembly; build the action first, or give a script with --script"
    };
    Err(Exit::invalid_input(format!("{} is no component: {wrong}", path.display())))
}

pub(crate) fn run(command: Command, output: &mut Output) -> Result<(), Exit> {
    match command {
        Command::Id(arguments) => {
            let (manifest, content) = arguments.read()?;
            let id = manifest.action_id();
            let value = json!({
                "action_id": id,
                "manifest": manifest,
                "component_bytes": content.component.as_ref().map_or(0, |component| component.len()),
                "script_bytes": content.script.as_ref().map_or(0, String::len),
            });
            output.result(&value, || id.to_string())
        }
        Command::Publish { node, manifest, publisher_key } => {
            let (manifest, content) = manifest.read()?;
            let signer = files::signer(&publisher_key)?;
            let client = node.client()?;
            let publish = PublishAction { manifest, publisher: signer.address(), issued_at: now_ms()? };
            let signed = sign_publication(publish, client.network_id(), &signer).map_err(Exit::unexpected)?;
            let info = node.waiting()?.block_on(output, client.publish(signed, content))?;
            show(&info, output)
        }
        Command::List(node) => {
            let client = node.client()?;
            let list = node.waiting()?.block_on(output, client.actions())?;
            output.result(&list, || {
                let row = |info: &ActionInfo| {
                    vec![
                        info.manifest.name.clone(),
                        info.action_id.to_string(),
                        format!("{} KiB", size(info).div_ceil(1024)),
                    ]
                };
                table(&["name", "action", "size"], list.actions.iter().map(row).collect())
            })
        }
        Command::Show { node, action } => {
            let client = node.client()?;
            let info = node.waiting()?.block_on(output, client.action(action))?;
            show(&info, output)
        }
    }
}

/// What an author wrote, in bytes.
fn size(info: &ActionInfo) -> u64 {
    if info.manifest.is_script() { info.script_bytes } else { info.component_bytes }
}

fn show(info: &ActionInfo, output: &mut Output) -> Result<(), Exit> {
    output.result(info, || {
        let script = format!("{} ({} bytes)", info.manifest.script, info.script_bytes);
        let chains: Vec<String> = info.manifest.chains.iter().map(u64::to_string).collect();
        facts(&[
            ("action", info.action_id.to_string()),
            ("name", info.manifest.name.clone()),
            ("component", format!("{} ({} bytes)", info.manifest.component, info.component_bytes)),
            ("script", if info.manifest.is_script() { script } else { "none".into() }),
            ("chains", chains.join(", ")),
            ("hosts", info.manifest.hosts.join(", ")),
            ("publisher", info.publisher.to_string()),
        ])
    })
}
