//! Three of five people approve of a text, and only then the network signs it.

mod consent;
mod group;
mod proposal;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use countersign_types::{Bytes, CallerSignature};
use example_testnet_folder::{Asked, NetworkArgument, now_seconds};

use crate::{
    group::{Group, PEOPLE},
    proposal::Proposal,
};

/// Three of five people approve of a text, and only then the network signs it.
///
/// The key's policy names the five and says how many must approve. Everybody approves in their own time, by a signature that any
/// wallet makes. No node and no caller can have anything signed that fewer than three approved of.
#[derive(Parser)]
#[command(name = "example-approvals", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    network: NetworkArgument,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show it all: a text with two approvals is refused, and with a third one signed.
    Show,
    /// Write a proposal for the five to approve of.
    Propose {
        /// What is to be signed.
        text: String,
        /// The file to write.
        #[arg(long, default_value = "proposal.json")]
        out: PathBuf,
        /// How many hours approvals of it count.
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=24 * 365))]
        hours: u64,
    },
    /// Approve in the name of one of the five, or add a signature that a wallet made. Text, key and end are shown before anything is
    /// signed; a proposal for another key than this group's is not.
    Approve {
        /// The proposal.
        #[arg(default_value = "proposal.json")]
        proposal: PathBuf,
        /// Who approves.
        #[arg(long = "as", value_parser = PEOPLE, required_unless_present = "signature", conflicts_with = "signature")]
        person: Option<String>,
        /// A signature over what `typed-data` prints, 65 bytes in hexadecimal.
        #[arg(long)]
        signature: Option<Bytes>,
        /// Sign without being asked: I have read what the proposal says.
        #[arg(long)]
        yes: bool,
    },
    /// Print what a wallet is asked to sign (eth_signTypedData_v4).
    TypedData {
        /// The proposal.
        #[arg(default_value = "proposal.json")]
        proposal: PathBuf,
    },
    /// Ask the network to sign what was approved of.
    Ask {
        /// The proposal.
        #[arg(default_value = "proposal.json")]
        proposal: PathBuf,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let group = Group::open(&arguments.network.open()?)?;
    match arguments.command {
        Command::Show => show(&group).await,
        Command::Propose { text, out, hours } => {
            ensure!(
                !out.exists(),
                "{} exists and is not overwritten: name another file with --out",
                out.display()
            );
            let until = now_seconds()? + hours * 3600;
            group.propose(&text, until).write(&out)?;
            println!("{} is to be approved of by three of {}", out.display(), PEOPLE.join(", "));
            Ok(())
        }
        Command::Approve { proposal: path, person, signature, yes } => {
            let mut proposal = Proposal::read(&path)?;
            group.check_key(&proposal)?;
            println!("{}", proposal.shown(now_seconds()?));
            match (person, signature) {
                (Some(name), _) => {
                    let person = group.person(&name).context("somebody of the group")?;
                    if !yes {
                        consent::ask_at_terminal(&name)?;
                    }
                    proposal.approve(person)?;
                }
                (None, Some(signature)) => {
                    let person = proposal.add(CallerSignature(signature))?;
                    let name = group.name(person);
                    ensure!(
                        name.is_some(),
                        "this is {person}'s signature of this proposal, or of something else: \
                         nobody of the group"
                    );
                }
                (None, None) => {}
            }
            proposal.write(&path)?;
            approved(&group, &proposal)
        }
        Command::TypedData { proposal } => {
            let proposal = Proposal::read(&proposal)?;
            group.check_key(&proposal)?;
            println!("{}", serde_json::to_string_pretty(&proposal.typed_data())?);
            Ok(())
        }
        Command::Ask { proposal } => {
            let proposal = Proposal::read(&proposal)?;
            approved(&group, &proposal)?;
            group.publish().await?;
            say_signed(&group, &proposal, group.ask(&proposal).await?)
        }
    }
}

/// From nobody's approval to a signature.
async fn show(group: &Group) -> Result<()> {
    group.publish().await?;
    println!("five people share a key, and three of them must approve: {}", PEOPLE.join(", "));
    say_key(group);
    let until = now_seconds()? + 3600;
    let mut proposal = group.propose("payment 17: 250.00 EUR to the printer", until);
    println!("\nproposed: {:?}", proposal.text);
    for name in &PEOPLE[..2] {
        proposal.approve(group.person(name).context("somebody of the group")?)?;
    }
    approved(group, &proposal)?;
    println!("asked with two approvals, the network refuses:\n  {}", group.ask(&proposal).await?.refused()?);

    let mut forged = proposal.clone();
    forged.text = forged.text.replace("250.00", "999.00");
    println!(
        "\nasked for another sum with the same approvals, it refuses:\n  {}",
        group.ask(&forged).await?.refused()?
    );

    proposal.approve(group.person(PEOPLE[4]).context("somebody of the group")?)?;
    println!();
    approved(group, &proposal)?;
    say_signed(group, &proposal, group.ask(&proposal).await?)
}

fn say_key(group: &Group) {
    let key = group.key();
    println!("their key, computed without asking anybody: {}", key.public_key());
    if let Some(address) = key.ethereum_address() {
        println!("its address for contracts: {address}");
    }
}

fn approved(group: &Group, proposal: &Proposal) -> Result<()> {
    let by = proposal.approved_by()?;
    let names: Vec<String> = by
        .iter()
        .map(|person| group.name(*person).map_or_else(|| person.to_string(), str::to_owned))
        .collect();
    println!("approved by {}", if names.is_empty() { "nobody yet".into() } else { names.join(", ") });
    Ok(())
}

fn say_signed(group: &Group, proposal: &Proposal, asked: Asked) -> Result<()> {
    let (signed, signature) = asked.signature()?;
    group.check(proposal, &signature)?;
    let answer = &signed.answer;
    println!("signed: {:?}", proposal.text);
    println!("  signature {}", signature.0);
    println!("  verified against the key that was computed here");
    println!("  the action says {}", String::from_utf8_lossy(&answer.response));
    println!("  {} of the nodes stand behind it", answer.votes.len());
    Ok(())
}
