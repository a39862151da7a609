//! What every node of the session sees as the same bytes.

use crate::{Address, Refusal, bindings::countersign::action::context as host};

/// The request, and what the session agreed on. The same bytes on every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The digest that the callers signed.
    pub request_digest: [u8; 32],
    /// The session: another one for each attempt at the same request.
    pub session_id: [u8; 32],
    /// This action: the hash of its manifest.
    pub action_id: [u8; 32],
    /// The key that is asked to sign.
    pub key_id: [u8; 32],
    /// The key's signature scheme, such as `schnorr-secp256k1`.
    pub scheme: String,
    /// The key's public key, as the scheme writes it.
    pub public_key: Vec<u8>,
    /// From the key's spec: fixed for the key's life, chosen by whoever made the key.
    pub config: Vec<u8>,
    /// From the caller: treat it as hostile.
    pub params: Vec<u8>,
    /// Who signed the request, sorted. Their signatures have been checked.
    pub callers: Vec<Caller>,
    /// The session's time, in milliseconds since 1970. The coordinator chooses it within 30 s of each node's.
    pub time_ms: u64,
    /// 32 bytes that differ from session to session. Public, and the coordinator can try many: never for secrets
    /// or lotteries.
    pub seed: [u8; 32],
    /// One block for each chain of the manifest, in ascending order of chain.
    pub pins: Vec<Pin>,
}

/// Somebody whose signature over the request has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// An Ethereum account, which signed by its secp256k1 key.
    Account(Address),
    /// A kind that this version does not know.
    Other {
        /// The kind's name.
        kind: String,
        /// Who it is, as the kind writes it.
        id: Vec<u8>,
    },
}

/// A block agreed for this session: the only one that reads of its chain see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// The chain, by EIP-155 id.
    pub chain_id: u64,
    /// The block's number.
    pub number: u64,
    /// The block's hash.
    pub hash: [u8; 32],
    /// The block's timestamp, in seconds since 1970.
    pub timestamp: u64,
}

impl Context {
    /// Asks the host for it. Costs a copy of config and params.
    pub fn get() -> Self {
        let request = host::get();
        Self {
            request_digest: array(&request.request_digest),
            session_id: array(&request.session_id),
            action_id: array(&request.action_id),
            key_id: array(&request.key_id),
            scheme: request.scheme,
            public_key: request.public_key,
            config: request.config,
            params: request.params,
            callers: request.callers.into_iter().map(Caller::from).collect(),
            time_ms: request.time_ms,
            seed: array(&request.seed),
            pins: request.pins.iter().map(Pin::from).collect(),
        }
    }

    /// The block that is agreed for a chain, or a refusal that says which chains there are.
    pub fn pin(&self, chain_id: u64) -> Result<&Pin, Refusal> {
        self.pins.iter().find(|pin| pin.chain_id == chain_id).ok_or_else(|| {
            let chains: Vec<u64> = self.pins.iter().map(|pin| pin.chain_id).collect();
            Refusal::new(format!(
                "chain {chain_id} is not among the chains {chains:?} of the action's manifest: \
                 use a key whose config names one of those"
            ))
        })
    }

    /// The first account among the callers, in ascending order of address; a refusal where there is none.
    pub fn first_caller(&self) -> Result<Address, Refusal> {
        self.callers.iter().find_map(Caller::account).ok_or_else(|| {
            Refusal::new("no account has signed the request: sign it with the account that it is about")
        })
    }
}

impl Caller {
    /// The account, where the caller is one.
    pub fn account(&self) -> Option<Address> {
        match self {
            Self::Account(address) => Some(*address),
            Self::Other { .. } => None,
        }
    }
}

impl From<host::Caller> for Caller {
    fn from(caller: host::Caller) -> Self {
        match (caller.kind.as_str(), Address::try_from(caller.id.as_slice())) {
            ("eip191", Ok(address)) => Self::Account(address),
            _ => Self::Other { kind: caller.kind, id: caller.id },
        }
    }
}

impl From<&host::Pin> for Pin {
    fn from(pin: &host::Pin) -> Self {
        Self { chain_id: pin.chain_id, number: pin.number, hash: array(&pin.hash), timestamp: pin.timestamp }
    }
}

/// Bytes of a length that the interface fixes.
///
/// # Panics
///
/// If the host gave another number of bytes, which it never does.
pub(crate) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the interface fixes this length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            request_digest: [1; 32],
            session_id: [2; 32],
            action_id: [3; 32],
            key_id: [4; 32],
            scheme: "schnorr-secp256k1".into(),
            public_key: vec![2; 33],
            config: vec![],
            params: vec![],
            callers: vec![
                Caller::Other { kind: "passkey".into(), id: vec![1] },
                Caller::Account(Address([5; 20])),
                Caller::Account(Address([6; 20])),
            ],
            time_ms: 0,
            seed: [7; 32],
            pins: vec![Pin { chain_id: 10, number: 1, hash: [8; 32], timestamp: 2 }],
        }
    }

    #[test]
    fn the_first_account_is_the_caller() {
        assert_eq!(context().first_caller(), Ok(Address([5; 20])));
        let nobody = Context { callers: vec![], ..context() };
        assert!(nobody.first_caller().is_err());
    }

    #[test]
    fn a_chain_without_a_pin_is_refused_by_name() {
        assert_eq!(context().pin(10).map(|pin| pin.number), Ok(1));
        let refusal = context().pin(11).expect_err("not pinned");
        assert!(refusal.reason.starts_with("chain 11 is not among the chains [10]"), "{}", refusal.reason);
    }

    #[test]
    fn an_account_of_another_length_is_no_account() {
        let caller = host::Caller { kind: "eip191".into(), id: vec![0; 21] };
        assert_eq!(Caller::from(caller).account(), None);
    }
}
