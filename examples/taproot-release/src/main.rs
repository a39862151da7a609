//! A Bitcoin output whose spending is signed only while a price is above a limit, and only to one address.

mod spend;
mod vault;

use anyhow::Result;
use bitcoin::{Amount, OutPoint, consensus::encode::serialize_hex};
use clap::{Args, Parser, Subcommand};
use example_testnet_folder::{Folder, NetworkArgument};

use crate::{
    spend::Spend,
    vault::{MAX_FEE, Vault, script},
};

/// The receiver of the demonstration, whose key everybody knows: it is one.
const RECEIVER: &str = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6";
/// An output that the demonstration pretends to have received.
const OUTPOINT: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08:0";

/// A Bitcoin output whose spending is signed only while a price is above a limit, and only to one address.
///
/// A signature never ends: what was signed while the price was above may be broadcast later, at any price.
///
/// The output's key is a key of the network (Taproot, BIP-341 key path). Its policy reads the price of Bitcoin at every node, and
/// puts together what is signed from the transaction's parts. Everything here is offline but for the network itself: no Bitcoin node
/// is needed to spend or to check.
#[derive(Parser)]
#[command(name = "example-taproot-release", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    network: NetworkArgument,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show it all: refused while the price is too low, signed while it is not, and never to anybody else.
    Show,
    /// Print the address that such a policy has.
    Address(PolicyArguments),
    /// Spend an output of that address, and print the transaction in hexadecimal.
    Release {
        #[command(flatten)]
        policy: PolicyArguments,
        /// The output: transaction id and index, as 9f86..0a08:0.
        #[arg(long)]
        outpoint: OutPoint,
        /// What it holds, in satoshis.
        #[arg(long)]
        amount: u64,
        /// What is left as a fee, in satoshis; the policy allows 5,000.
        #[arg(long, default_value_t = 500)]
        fee: u64,
    },
}

/// The policy, and with it the key.
#[derive(Args)]
struct PolicyArguments {
    /// The price of Bitcoin in dollars that must be exceeded.
    #[arg(long, default_value_t = 60_000)]
    above: u64,
    /// The only address that is ever paid, on a network of one's own (bcrt1..).
    #[arg(long, default_value = RECEIVER)]
    pay_to: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = arguments.network.open()?;
    match arguments.command {
        Command::Show => show(&folder).await,
        Command::Address(policy) => {
            let vault = Vault::open(&folder, policy.above, &script(&policy.pay_to)?).await?;
            println!("{}", vault.address()?);
            Ok(())
        }
        Command::Release { policy, outpoint, amount, fee } => {
            let receiver = script(&policy.pay_to)?;
            let vault = Vault::open(&folder, policy.above, &receiver).await?;
            let (amount, fee) = (Amount::from_sat(amount), Amount::from_sat(fee));
            let spend = Spend::new(vault.key().public_key(), outpoint, amount, receiver, fee)?;
            let (transaction, _) = vault.release(&spend).await?;
            println!("{}", serialize_hex(&transaction));
            Ok(())
        }
    }
}

async fn show(folder: &Folder) -> Result<()> {
    let (receiver, outpoint) = (script(RECEIVER)?, OUTPOINT.parse()?);
    let (amount, fee) = (Amount::from_sat(1_000_000), Amount::from_sat(500));
    println!("money that goes to {RECEIVER} only, signed for only while Bitcoin costs enough");

    let high = Vault::open(folder, 70_000, &receiver).await?;
    println!("\nabove 70,000 dollars, its address is {}", high.address()?);
    let spend = Spend::new(high.key().public_key(), outpoint, amount, receiver.clone(), fee)?;
    println!("  asked to spend it: refused, {}", high.ask(&spend).await?.refused()?);

    let vault = Vault::open(folder, 60_000, &receiver).await?;
    println!("\nabove 60,000 dollars, its address is {}", vault.address()?);
    let key = vault.key().public_key();
    let thief = Spend::new(key, outpoint, amount, script(&high.address()?)?, fee)?;
    println!("  asked to pay somebody else: refused, {}", vault.ask(&thief).await?.refused()?);
    let wasteful = Spend::new(key, outpoint, amount, receiver.clone(), MAX_FEE + Amount::ONE_SAT)?;
    println!("  asked to waste it on fees: refused, {}", vault.ask(&wasteful).await?.refused()?);

    let spend = Spend::new(key, outpoint, amount, receiver, fee)?;
    let (transaction, response) = vault.release(&spend).await?;
    println!("  asked to pay the receiver: signed, as {}", String::from_utf8_lossy(&response));
    println!(
        "  transaction {}, checked as a Bitcoin node checks it (BIP-341, libsecp256k1):",
        transaction.compute_txid()
    );
    println!("    {}", serialize_hex(&transaction));
    Ok(())
}
