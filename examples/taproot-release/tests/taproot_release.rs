//! The example against real nodes and the price service, and its transaction against the `bitcoin` crate.

use std::{
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use bitcoin::{
    Address, Amount, Network, Transaction, TxOut,
    address::NetworkUnchecked,
    consensus::encode::deserialize_hex,
    secp256k1::{Message, Secp256k1, XOnlyPublicKey},
    sighash::{Prevouts, SighashCache},
    taproot,
};
use countersign_testnet::{demonstrations::shares, temporary};

const EXAMPLE: &str = env!("CARGO_BIN_EXE_example-taproot-release");
const OUTPOINT: &str = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20:7";

fn run(network: &Path, arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(EXAMPLE).arg("--network").arg(network).args(arguments).output()?)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn printed(output: &Output) -> Result<String> {
    ensure!(output.status.success(), "{}", text(output));
    Ok(String::from_utf8(output.stdout.clone())?.trim().to_owned())
}

/// Checks the transaction against the output that it spends, with nothing of the example's own.
fn checked(transaction: &Transaction, address: &str, amount: Amount) -> Result<()> {
    let script =
        address.parse::<Address<NetworkUnchecked>>()?.require_network(Network::Regtest)?.script_pubkey();
    ensure!(script.is_p2tr(), "{script}");
    let key = XOnlyPublicKey::from_slice(&script.as_bytes()[2..])?;
    let spent = [TxOut { value: amount, script_pubkey: script }];
    let witness = transaction.input[0].witness.nth(0).context("a witness")?;
    let signature = taproot::Signature::from_slice(witness)?;
    let hash = SighashCache::new(transaction).taproot_key_spend_signature_hash(
        0,
        &Prevouts::All(&spent),
        signature.sighash_type,
    )?;
    let verifier = Secp256k1::verification_only();
    Ok(verifier.verify_schnorr(&signature.signature, &Message::from(hash), &key)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_is_spent_at_the_price_and_to_the_receiver_only() -> Result<()> {
    let (mut network, _kept) = temporary::network(3, 2, Path::new(EXAMPLE))?;
    network.start().await?;
    let folder = network.plan.folder.clone();

    let said = printed(&run(&folder, &["show"])?)?;
    for words in [
        "the key asks for one above 70000",
        "pays to the script",
        "leaves a fee of 5001 satoshis",
        "signed, as {\"price\":\"6",
        "checked as a Bitcoin node checks it",
    ] {
        ensure!(said.contains(words), "{words:?} is missing in: {said}");
    }

    let address = printed(&run(&folder, &["address"])?)?;
    let other = printed(&run(&folder, &["address", "--above", "60001"])?)?;
    ensure!(address != other, "another policy has the same address");
    let release = ["release", "--outpoint", OUTPOINT, "--amount", "123456"];
    let transaction: Transaction = deserialize_hex(&printed(&run(&folder, &release)?)?)?;
    ensure!(transaction.input[0].previous_output.to_string() == OUTPOINT, "{transaction:?}");
    ensure!(transaction.output[0].value == Amount::from_sat(123_456 - 500), "{transaction:?}");
    checked(&transaction, &address, Amount::from_sat(123_456))?;
    // what the signature does not hold for: another amount, another key, another output
    ensure!(checked(&transaction, &address, Amount::from_sat(123_457)).is_err(), "any amount");
    ensure!(checked(&transaction, &other, Amount::from_sat(123_456)).is_err(), "any key");
    let mut changed = transaction.clone();
    changed.output[0].value -= Amount::ONE_SAT;
    ensure!(checked(&changed, &address, Amount::from_sat(123_456)).is_err(), "any output");

    let before = shares(&network).await?;
    let low = [&release[..], &["--above", "70000"]].concat();
    let refused = run(&folder, &low)?;
    ensure!(!refused.status.success() && text(&refused).contains("the price is 64"), "{}", text(&refused));
    ensure!(shares(&network).await? == before, "a node made a share at a price that is too low");
    network.stop()
}

#[test]
fn help_says_what_it_does_and_what_is_no_address_is_refused() -> Result<()> {
    let help = Command::new(EXAMPLE).arg("--help").output()?;
    ensure!(
        help.status.success() && text(&help).contains("is signed only while a price is above"),
        "{}",
        text(&help)
    );
    Ok(())
}
