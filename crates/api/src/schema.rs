//! Schemas of bodies whose types know nothing of OpenAPI.

use countersign_types::{Manifest, SessionTerms, Signature, SignedRequest};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Why a signature exists. `countersign receipt verify` and the crate `countersign-receipt` check and explain it; what is only shown
/// here as an object is what they work on.
#[derive(ToSchema)]
#[schema(as = Receipt)]
#[expect(dead_code, reason = "a schema only")]
pub(crate) struct ReceiptBody {
    /// The version of the format: 1.
    pub version: u16,
    /// What was asked, and the callers' signatures. It names network, key and action.
    pub request: SignedRequest,
    /// What the action is and may do; its hash is the action's id.
    pub manifest: Manifest,
    /// On which terms it was judged. Their hash is the session's id.
    pub terms: SessionTerms,
    /// What the signers were asked to sign, with whom: everybody's records and commitments.
    pub package: Map<String, Value>,
    /// The reads that were agreed on, in order: `read` is what was asked, `value` what came back; null where the nodes agreed
    /// field by field, as the agreed fields stand in the package's records.
    pub reads: Vec<Map<String, Value>>,
    /// What the action returned: `{"allow": {"payloads": [..], "response": "0x.."}}`, each payload with its kind.
    pub verdict: Map<String, Value>,
    /// What each signer gave, by its number in the committee: its signed `vote`, and its `shares`, one for each payload.
    pub signers: Map<String, Value>,
    /// One for each payload. None in a receipt that its coordinator never completed.
    pub signatures: Vec<Signature>,
}
