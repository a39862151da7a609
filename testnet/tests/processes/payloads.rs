//! What Ethereum's wallets sign, signed by a threshold: the bytes that other code computes.

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    sol,
    sol_types::{SolStruct, eip712_domain},
};
use anyhow::{Context, Result, ensure};
use countersign_client::LocalSigner;
use countersign_testnet::demonstrations::{key_spec, request, shares};
use countersign_types::{FailureKind, KeySpec, PayloadKind};
use serde_json::json;

use crate::support::{says, without_chain};

/// Signs its params as `personal_sign` does, and a permit.
const SCRIPT: &str = r#"
import { context, sign } from "countersign";
const permit = {
  types: {
    EIP712Domain: [
      { name: "name", type: "string" },
      { name: "version", type: "string" },
      { name: "chainId", type: "uint256" },
      { name: "verifyingContract", type: "address" },
    ],
    Permit: [
      { name: "owner", type: "address" },
      { name: "value", type: "uint256" },
      { name: "memo", type: "string" },
      { name: "salts", type: "bytes32[]" },
    ],
  },
  primaryType: "Permit",
  domain: { name: "Token", version: "2", chainId: 31337, verifyingContract: "0x" + "22".repeat(20) },
  message: {
    owner: "0x" + "11".repeat(20),
    value: 3n ** 100n,
    memo: "für alle",
    salts: [new Uint8Array(32).fill(4), "0x" + "05".repeat(32)],
  },
};
export default () => [sign.personalMessage(context.params), sign.typedData(permit)];
"#;
const MESSAGE: &str = "Grüße\nfrom all of us";

sol! {
    struct Permit {
        address owner;
        uint256 value;
        string memo;
        bytes32[] salts;
    }
}

fn permit() -> B256 {
    let domain = eip712_domain! {
        name: "Token",
        version: "2",
        chain_id: 31337,
        verifying_contract: Address::repeat_byte(0x22),
    };
    let permit = Permit {
        owner: Address::repeat_byte(0x11),
        value: U256::from(3).pow(U256::from(100)),
        memo: "für alle".into(),
        salts: vec![B256::repeat_byte(4), B256::repeat_byte(5)],
    };
    permit.eip712_signing_hash(&domain)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wallets_sign_is_signed_where_the_key_allows_it() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let action = network.publish_script("wallet", SCRIPT, &[], &[]).await?;
    let key = |payloads| KeySpec { payloads, ..key_spec(action, &json!({})) };
    let ask = |key| request(&network, key, MESSAGE.as_bytes().to_vec().into(), &LocalSigner::random());

    let both = key(vec![PayloadKind::PersonalMessage, PayloadKind::TypedData]);
    let answer = network.signed(0, &ask(both)?).await?;
    let [personal, typed] = answer.signatures.as_slice() else { anyhow::bail!("{:?}", answer.signatures) };
    let prefixed = format!("\x19Ethereum Signed Message:\n{}{MESSAGE}", MESSAGE.len());
    ensure!(personal.payload == "personal-message" && typed.payload == "typed-data", "{answer:?}");
    ensure!(personal.message.as_ref() == keccak256(prefixed).as_slice(), "{}", personal.message);
    ensure!(typed.message.as_ref() == permit().as_slice(), "{}", typed.message);

    let before = shares(&network).await?;
    for (allowed, index, kind) in [
        (PayloadKind::PersonalMessage, 1, "typed-data"),
        (PayloadKind::TypedData, 0, "personal-message"),
        (PayloadKind::Bytes, 0, "personal-message"),
    ] {
        let problem = network.refused(1, &ask(key(vec![allowed]))?, FailureKind::Invalid).await?;
        let reason = format!(
            "payload {index} of the action's decision cannot be signed: the key's spec does not list the payload kind \
             {kind}"
        );
        says(&problem.detail, &[&reason]).with_context(|| format!("{allowed} alone"))?;
    }
    ensure!(shares(&network).await? == before, "a node made a share");
    network.no_panic()?;
    network.stop()
}
