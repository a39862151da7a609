//! The transaction: put together, told to the action, completed with signatures, and checked as Bitcoin's nodes check it.

use anyhow::{Context, Result, ensure};
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, XOnlyPublicKey,
    absolute::LockTime,
    key::TweakedPublicKey,
    secp256k1::{Message, Secp256k1, schnorr},
    sighash::{Prevouts, SighashCache, TapSighashType},
    taproot,
    transaction::Version,
};
use countersign_types::{Bytes, PublicKey};
use serde_json::json;

/// An output of the key, and the transaction that spends it.
#[derive(Debug, Clone)]
pub(crate) struct Spend {
    key: XOnlyPublicKey,
    spent: TxOut,
    transaction: Transaction,
}

impl Spend {
    /// Spends one output of `key` to `pay_to`, but for the fee.
    pub(crate) fn new(
        key: &PublicKey,
        outpoint: OutPoint,
        amount: Amount,
        pay_to: ScriptBuf,
        fee: Amount,
    ) -> Result<Self> {
        let key = XOnlyPublicKey::from_slice(&key.0).context("the key is none of Taproot")?;
        let paid = amount
            .checked_sub(fee)
            .with_context(|| format!("the output holds {amount}, less than the fee of {fee}"))?;
        // the network's key is the output key: nothing was tweaked into it, as there is no other way to spend it
        let own = ScriptBuf::new_p2tr_tweaked(TweakedPublicKey::dangerous_assume_tweaked(key));
        let input = TxIn {
            previous_output: outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        };
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![input],
            output: vec![TxOut { value: paid, script_pubkey: pay_to }],
        };
        Ok(Self { key, spent: TxOut { value: amount, script_pubkey: own }, transaction })
    }

    /// What the action is told: every part of the transaction that is signed.
    pub(crate) fn params(&self) -> Bytes {
        let inputs = self.transaction.input.iter().map(|input| {
            json!({
                "txid": input.previous_output.txid.to_string(),
                "vout": input.previous_output.vout,
                "sequence": input.sequence.0,
                "amount": self.spent.value.to_sat().to_string(),
            })
        });
        let outputs = self.transaction.output.iter().map(|output| {
            json!({
                "amount": output.value.to_sat().to_string(),
                "script": Bytes::copy_from_slice(output.script_pubkey.as_bytes()),
            })
        });
        let params = json!({
            "version": self.transaction.version.0,
            "lock_time": self.transaction.lock_time.to_consensus_u32(),
            "inputs": inputs.collect::<Vec<_>>(),
            "outputs": outputs.collect::<Vec<_>>(),
        });
        params.to_string().into_bytes().into()
    }

    /// The transaction with its signature.
    pub(crate) fn signed(&self, signature: &[u8]) -> Result<Transaction> {
        let signature =
            schnorr::Signature::from_slice(signature).context("this is no signature of BIP-340")?;
        let signature = taproot::Signature { signature, sighash_type: TapSighashType::Default };
        let mut transaction = self.transaction.clone();
        transaction.input[0].witness = Witness::p2tr_key_spend(&signature);
        Ok(transaction)
    }

    /// Checks a transaction against the output that it spends, as BIP-341 says, with the library that Bitcoin's nodes use.
    pub(crate) fn check(&self, transaction: &Transaction) -> Result<()> {
        let input = transaction.input.first().context("the transaction spends nothing")?;
        ensure!(transaction.input.len() == 1, "the transaction spends other outputs too");
        ensure!(
            input.previous_output == self.transaction.input[0].previous_output,
            "the transaction spends another output"
        );
        let elements: Vec<&[u8]> = input.witness.iter().collect();
        let [signature] = elements[..] else { anyhow::bail!("the witness is not one signature") };
        let signature = taproot::Signature::from_slice(signature).context("the witness is no signature")?;
        let mut cache = SighashCache::new(transaction);
        let spent = [&self.spent];
        let hash =
            cache.taproot_key_spend_signature_hash(0, &Prevouts::All(&spent), signature.sighash_type)?;
        Secp256k1::verification_only()
            .verify_schnorr(&signature.signature, &Message::from(hash), &self.key)
            .context("no Bitcoin node takes this transaction: its signature does not verify")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend() -> Spend {
        let key: Bytes =
            "0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".parse().expect("hex");
        let outpoint = OutPoint::null();
        let (amount, fee) = (Amount::from_sat(10_000), Amount::from_sat(500));
        Spend::new(&PublicKey(key), outpoint, amount, ScriptBuf::from_bytes(vec![0x51]), fee)
            .expect("a spend")
    }

    #[test]
    fn a_transaction_without_the_keys_signature_is_not_taken() {
        let spend = spend();
        assert!(spend.check(&spend.transaction).is_err(), "unsigned");
        let forged = spend.signed(&[1; 64]).expect("64 bytes");
        assert!(spend.check(&forged).is_err());
        assert!(spend.signed(&[1; 63]).is_err());
    }

    #[test]
    fn nobody_pays_a_fee_that_is_not_there() {
        let key = PublicKey(Bytes::copy_from_slice(&spend().key.serialize()));
        let poor = Spend::new(&key, OutPoint::null(), Amount::ONE_SAT, ScriptBuf::new(), Amount::from_sat(2));
        assert!(poor.expect_err("too little").to_string().contains("less than the fee"));
    }
}
