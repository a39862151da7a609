//! `countersign action`: manifests, publication, and what a node stores.

use std::{fs, path::PathBuf};

use clap::{Args, Subcommand};
use countersign_client::{RequestSigner, sign_publication};
use countersign_types::{ActionId, Bytes, Manifest, PublishAction, action::ManifestSource, api::ActionInfo};
use serde_json::json;

use crate::{
    exit::Exit,
    files,
    output::{Output, facts, table},
    sign::{NodeArguments, now_ms, runtime},
};

/// Actions.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compute an action's id from its manifest and component. Asks nobody.
    Id(ManifestArguments),
    /// Publish an action to a node, which hands it to the others.
    #[command(
        after_help = "Example:\n  countersign action publish --node http://127.0.0.1:8470 --genesis genesis.json \\\n    --manifest manifest.toml --component action.wasm --publisher-key publisher.key"
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
    List(NodeArguments),
    /// Show one action.
    Show {
        #[command(flatten)]
        node: NodeArguments,
        /// The action.
        action: ActionId,
    },
}

/// A manifest and the component that it names.
#[derive(Args)]
pub(crate) struct ManifestArguments {
    /// The manifest, TOML: name, hosts, chains and limits; the digest follows from the component.
    #[arg(long)]
    manifest: PathBuf,
    /// The component, a WebAssembly component file.
    #[arg(long)]
    component: PathBuf,
}

impl ManifestArguments {
    fn read(&self) -> Result<(Manifest, Bytes), Exit> {
        let unreadable =
            |path: &PathBuf, error| Exit::invalid_input(format!("cannot read {}: {error}", path.display()));
        let text = fs::read_to_string(&self.manifest).map_err(|error| unreadable(&self.manifest, error))?;
        let source: ManifestSource = toml::from_str(&text).map_err(|error| {
            Exit::invalid_input(format!("{} is no manifest: {error}", self.manifest.display()))
        })?;
        let component = fs::read(&self.component).map_err(|error| unreadable(&self.component, error))?;
        let manifest = source.with_component(&component);
        manifest.validate().map_err(Exit::invalid)?;
        manifest.check_component(&component).map_err(Exit::invalid)?;
        Ok((manifest, component.into()))
    }
}

pub(crate) fn run(command: Command, output: &mut Output) -> Result<(), Exit> {
    match command {
        Command::Id(arguments) => {
            let (manifest, component) = arguments.read()?;
            let id = manifest.action_id();
            let value = json!({ "action_id": id, "manifest": manifest, "component_bytes": component.len() });
            output.result(&value, || id.to_string())
        }
        Command::Publish { node, manifest, publisher_key } => {
            let (manifest, component) = manifest.read()?;
            let signer = files::signer(&publisher_key)?;
            let client = node.client()?;
            let publish = PublishAction { manifest, publisher: signer.address(), issued_at: now_ms()? };
            let signed = sign_publication(publish, client.network_id(), &signer).map_err(Exit::unexpected)?;
            let info = runtime()?.block_on(client.publish(signed, component))?;
            show(&info, output)
        }
        Command::List(node) => {
            let client = node.client()?;
            let list = runtime()?.block_on(client.actions())?;
            output.result(&list, || {
                let row = |info: &ActionInfo| {
                    vec![
                        info.manifest.name.clone(),
                        info.action_id.to_string(),
                        format!("{} KiB", info.component_bytes / 1024),
                    ]
                };
                table(&["name", "action", "size"], list.actions.iter().map(row).collect())
            })
        }
        Command::Show { node, action } => {
            let client = node.client()?;
            let info = runtime()?.block_on(client.action(action))?;
            show(&info, output)
        }
    }
}

fn show(info: &ActionInfo, output: &mut Output) -> Result<(), Exit> {
    output.result(info, || {
        let chains: Vec<String> = info.manifest.chains.iter().map(u64::to_string).collect();
        facts(&[
            ("action", info.action_id.to_string()),
            ("name", info.manifest.name.clone()),
            ("component", format!("{} ({} bytes)", info.manifest.component, info.component_bytes)),
            ("chains", chains.join(", ")),
            ("hosts", info.manifest.hosts.join(", ")),
            ("publisher", info.publisher.to_string()),
        ])
    })
}
