//! Receipts: an honest one, and what is made of it.

use std::collections::BTreeMap;

use countersign_agreement::{Package, SignerPart, agree, shares_hash};
use countersign_receipt::{RECEIPT_VERSION, Reading, Receipt, Trust};
use countersign_threshold::{DerivedShare, SignatureShare, SigningNonces};
use countersign_types::{
    Activation, Address, AttemptId, B256, Bytes, Caller, CallerKind, CallerSignature, ComponentDigest,
    EngineId, Genesis, Identifier, KeyOptions, KeySpec, Limits, Manifest, NetworkId, NodeKey, Outcome,
    Payload, PayloadKind, Pin, Policy, Record, Request, RootKeys, Rule, Scheme, SessionTerms, SignedRequest,
    Tolerance, U256, Verdict, Vote, activate,
    evm::{EvmRead, EvmValue, Log},
    http::{Agree, Field, Header, HttpRead, HttpResponse},
    read::RecordedRead,
};

use crate::world::{NOW, engine, seeded, world};

/// The chain of a receipt's read.
const CHAIN: u64 = 1;

/// What a request asks, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Story {
    /// The action.
    pub manifest: Manifest,
    /// Its config for the key.
    pub config: Bytes,
    /// What the callers say.
    pub params: Bytes,
    /// The engine that the members run.
    pub engine: EngineId,
    /// The session's time, in milliseconds since 1970.
    pub time_ms: u64,
    /// What each signer reads.
    pub reads: [Vec<RecordedRead>; 3],
    /// What each signer says that the action returns.
    pub verdict: Verdict,
    /// How many callers there are.
    pub callers: u8,
    /// In which attempt it was signed.
    pub attempt: u32,
}

impl Story {
    /// A balance, and a price of which each member saw another.
    pub fn priced() -> Self {
        let manifest = Manifest {
            name: "price-and-balance".into(),
            component: ComponentDigest::from([1; 32]),
            script: B256::ZERO,
            hosts: vec!["a.example".into()],
            chains: vec![CHAIN],
            limits: Limits::default(),
        };
        let payload = Payload::Bytes(Bytes::from_static(b"released"));
        Self {
            manifest,
            config: Bytes::from_static(b"config"),
            params: Bytes::from_static(b"params"),
            engine: engine(),
            time_ms: NOW,
            reads: [0, 1, 2].map(reads),
            verdict: Verdict::Allow { payloads: vec![payload], response: Bytes::from_static(b"done") },
            callers: 1,
            attempt: 1,
        }
    }

    /// Reads that are the same everywhere, of each sort but those of [`Story::priced`], for two callers who get two payloads, in the
    /// third attempt.
    pub fn identical() -> Self {
        let payload = |content: &'static [u8]| Payload::Bytes(Bytes::from_static(content));
        let payloads = vec![payload(b"first"), payload(b"second")];
        Self {
            reads: [0, 1, 2].map(|_| identical_reads()),
            verdict: Verdict::Allow { payloads, response: Bytes::from_static(b"both") },
            callers: 2,
            attempt: 3,
            ..Self::priced()
        }
    }
}

/// A genesis and root keys of the world's members, and the receipt of a request to them.
#[derive(Debug, Clone)]
pub struct Case {
    /// The genesis.
    pub genesis: Genesis,
    /// The root keys, activated by all members.
    pub root_keys: RootKeys,
    /// What three of the four members signed.
    pub receipt: Receipt,
}

impl Case {
    /// What its reader trusts.
    pub fn trust(&self) -> Trust {
        Trust::new(&self.genesis, self.root_keys.clone()).expect("all members activated it")
    }

    /// The receipt of a request with a key of this scheme.
    pub fn honest(scheme: Scheme) -> Self {
        Self::of(scheme, Story::priced())
    }

    /// Has a member sign a vote for another verdict over the same reads.
    pub fn votes_for(&mut self, member: Identifier, verdict: Verdict) {
        let outcome = Outcome::of(verdict, &self.receipt.request.request.key).expect("the key signs it");
        self.votes(member, |vote| vote.outcome = outcome.hash());
    }

    /// Has a member sign another vote.
    pub fn votes(&mut self, member: Identifier, change: impl FnOnce(&mut Vote)) {
        let network = self.genesis.network_id();
        if let Some(part) = self.receipt.signers.get_mut(&member) {
            let mut vote = part.vote.vote;
            change(&mut vote);
            part.vote = vote.sign(network, world().identity(member));
        }
    }

    /// Has the signers vote over the package as it is now.
    pub fn votes_again(&mut self) {
        let network = self.genesis.network_id();
        let package = self.receipt.package.hash(network);
        for (member, part) in &mut self.receipt.signers {
            let vote = Vote { package, ..part.vote.vote };
            part.vote = vote.sign(network, world().identity(*member));
        }
    }

    /// The receipt of what three of the members say that has happened.
    pub fn of(scheme: Scheme, story: Story) -> Self {
        let Story { manifest, config, params, engine, time_ms, reads, verdict, callers, attempt } = story;
        let members = world().members();
        let committee = world().committee();
        let genesis = Genesis {
            nonce: B256::repeat_byte(3),
            members: committee.members().to_vec(),
            threshold: committee.threshold(),
            chains: vec![CHAIN],
        };
        let network = genesis.network_id();
        let roots = vec![world().root(scheme).root_key()];
        let ceremony = AttemptId::from([4; 32]);
        let activation = |id: &Identifier| activate(&roots, network, 1, ceremony, world().identity(*id));
        let signatures = members.iter().map(activation).collect();
        let root_keys = RootKeys {
            network,
            epoch: 1,
            ceremonies: vec![Activation { roots: roots.clone(), attempt: ceremony, signatures }],
        };

        let request = request(network, scheme, &manifest, config, params, time_ms, callers);
        let pin = |chain: &u64| Pin { chain_id: *chain, number: 7, hash: B256::repeat_byte(7), timestamp: 8 };
        let terms = SessionTerms {
            request: request.request.digest(),
            epoch: 1,
            engine,
            time_ms,
            pins: manifest.chains.iter().map(pin).collect(),
        };
        let session = terms.id(network);

        let signers = &members[..usize::from(committee.threshold())];
        let reads: BTreeMap<Identifier, Vec<RecordedRead>> = signers.iter().copied().zip(reads).collect();
        let record = |reads: &Vec<RecordedRead>| Record {
            entries: reads.iter().map(|read| read.entry().clone()).collect(),
        };
        let records: BTreeMap<Identifier, Record> =
            reads.iter().map(|(id, reads)| (*id, record(reads))).collect();
        let sign = |(id, record): (&Identifier, &Record)| {
            (*id, record.sign(network, session, world().identity(*id)))
        };
        let differing = records.iter().filter(|(_, record)| !record.is_identical());
        let signatures = differing.map(sign).collect();
        let key = request.request.key.key_id();
        let outcome = Outcome::of(verdict.clone(), &request.request.key).expect("the key signs it");
        let messages = outcome.messages();
        let mut nonces = BTreeMap::new();
        let mut commitments = BTreeMap::new();
        for id in signers {
            let share = world().share(scheme, *id).derive(&key).expect("it can be derived");
            let mut rng = seeded(u64::from(id.get()));
            let (own, public): (Vec<_>, Vec<_>) = messages.iter().map(|_| share.commit(&mut rng)).unzip();
            nonces.insert(*id, (own, share));
            commitments.insert(*id, public);
        }
        let base = signers.iter().copied().collect();
        let package = Package { session, attempt, base, records, signatures, signers: commitments };

        let signing: Vec<_> = messages
            .into_iter()
            .enumerate()
            .map(|(index, message)| package.signing(index, message))
            .collect();
        let sign = |(id, (nonces, share)): (Identifier, (Vec<SigningNonces>, DerivedShare))| {
            let shares =
                nonces.into_iter().zip(&signing).map(|(nonces, signing)| nonces.sign(signing, &share));
            (id, shares.collect::<Result<Vec<SignatureShare>, _>>().expect("all are honest"))
        };
        let shares: BTreeMap<Identifier, Vec<SignatureShare>> = nonces.into_iter().map(sign).collect();
        let public = world().root(scheme).derive(&key).expect("it can be derived");
        let signatures = signing.iter().enumerate().map(|(index, signing)| {
            let shares = shares.iter().map(|(id, shares)| (*id, shares[index].clone())).collect();
            public.aggregate(signing, &shares).expect("all are honest")
        });
        let signatures = signatures.collect();
        let part = |(id, shares): (Identifier, Vec<SignatureShare>)| {
            let vote = Vote {
                session,
                record: package.records[&id].hash(),
                package: package.hash(network),
                outcome: outcome.hash(),
                shares: shares_hash(&shares),
            };
            (id, SignerPart { vote: vote.sign(network, world().identity(id)), shares })
        };
        let agreed = agree(&package.base_records()).entries.len();
        let own = &reads[&signers[0]];
        let receipt = Receipt {
            version: RECEIPT_VERSION,
            request,
            manifest,
            terms,
            reads: own.iter().take(agreed).map(Reading::of).collect(),
            verdict,
            signers: shares.into_iter().map(part).collect(),
            signatures,
            package,
        };
        Self { genesis, root_keys, receipt }
    }
}

fn request(
    network: NetworkId,
    scheme: Scheme,
    manifest: &Manifest,
    config: Bytes,
    params: Bytes,
    time_ms: u64,
    callers: u8,
) -> SignedRequest {
    let mut callers: Vec<NodeKey> =
        (0..callers).map(|number| NodeKey::from_bytes([9 + number; 32]).expect("a scalar")).collect();
    callers.sort_by_key(|caller| caller.public_key().address());
    let caller = |key: &NodeKey| Caller { kind: CallerKind::Eip191, id: key.public_key().address() };
    let request = Request {
        network,
        key: KeySpec {
            scheme,
            policy: Policy { action: manifest.action_id(), config },
            payloads: vec![PayloadKind::Bytes],
            options: KeyOptions::default(),
            owner: Address::ZERO,
            salt: B256::ZERO,
        },
        params,
        callers: callers.iter().map(caller).collect(),
        coordinators: Vec::new(),
        nonce: B256::repeat_byte(1),
        issued_at: time_ms - 1_000,
        expires_at: time_ms + 60_000,
    };
    let digest = request.digest().0;
    let sign = |caller: &NodeKey| CallerSignature(Bytes::copy_from_slice(caller.sign(digest).as_bytes()));
    let signatures = callers.iter().map(sign).collect();
    SignedRequest { request, signatures }
}

/// A balance, and a price in dollars with some cents.
fn reads(cents: u8) -> Vec<RecordedRead> {
    let balance = EvmRead::Balance { chain_id: CHAIN, address: Address::repeat_byte(2) };
    let balance = RecordedRead::evm(balance, EvmValue::Balance(U256::from(12))).expect("a balance");
    let rule = Rule::Median(Tolerance { bps: 100, abs: 0.into() });
    let agree = Agree::Fields(vec![Field { pointer: "/price".into(), rule }]);
    let read = HttpRead::new("https://a.example/price", vec![], 0, 0, agree).expect("a read");
    let body = format!(r#"{{"price":100.0{cents}}}"#).into_bytes().into();
    let price = RecordedRead::http(read, HttpResponse { status: 200, content_type: None, body });
    vec![balance, price.expect("it has a price")]
}

/// A call, a storage slot, logs, and a document.
fn identical_reads() -> Vec<RecordedRead> {
    let address = Address::repeat_byte(3);
    let data = Bytes::from_static(b"\x01\x02");
    let call = EvmRead::Call { chain_id: CHAIN, to: address, data: data.clone(), from: Address::ZERO };
    let called = EvmValue::Call { reverted: false, data: data.clone() };
    let storage = EvmRead::Storage { chain_id: CHAIN, address, slot: B256::repeat_byte(4) };
    let topics = vec![B256::repeat_byte(5), B256::repeat_byte(6)];
    let logs = EvmRead::Logs {
        chain_id: CHAIN,
        addresses: vec![address],
        topics: vec![vec![topics[0]]],
        from_block: 1,
        to_block: 7,
    };
    let log = Log { address, topics, data, block_number: 2, tx_hash: B256::repeat_byte(8), index: 1 };
    let chain = [
        (call, called),
        (storage, EvmValue::Storage(B256::repeat_byte(9))),
        (logs, EvmValue::Logs(vec![log])),
    ];
    let chain = chain.into_iter().map(|(read, value)| RecordedRead::evm(read, value).expect("they fit"));
    let header = Header { name: "accept".into(), value: "text/plain".into() };
    let read = HttpRead::new("https://a.example/text", vec![header], 0, 0, Agree::Identical).expect("a read");
    let response = HttpResponse {
        status: 200,
        content_type: Some("text/plain".into()),
        body: Bytes::from_static(b"the same for all"),
    };
    chain.chain([RecordedRead::http(read, response).expect("they fit")]).collect()
}

/// A receipt from somebody: what is read is written and read again as the same, and one that holds is the honest one.
pub(crate) fn receipts(input: &[u8]) -> bool {
    let Ok(receipt) = Receipt::from_json(input) else { return false };
    let json = serde_json::to_vec(&receipt).expect("what was read can be written");
    assert_eq!(Receipt::from_json(&json).ok().as_ref(), Some(&receipt));
    let binary = postcard::to_stdvec(&receipt).expect("it can be stored");
    assert_eq!(postcard::from_bytes::<Receipt>(&binary).as_ref(), Ok(&receipt));
    for scheme in Scheme::ALL {
        let case = Case::honest(scheme);
        let trust = case.trust();
        match trust.check(&receipt) {
            Ok(checked) => {
                assert_eq!(receipt, case.receipt, "nobody else has these members' keys");
                trust.explain(&receipt, &checked);
            }
            Err(error) => drop(error.to_string()),
        }
    }
    true
}
