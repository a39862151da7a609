//! A network of three in one place: real keys, real key generation, real signatures and votes.

use std::collections::BTreeMap;

use countersign_client::{LocalSigner, RequestSigner, sign_request};
use countersign_receipt::{Package, RECEIPT_VERSION, Receipt, SignerPart};
use countersign_threshold::{Commitments, RootShare, SignatureShare, SigningPackage, dkg};
use countersign_types::{
    Activation, Address, AttemptId, B256, Bytes, Caller, CallerKind, Committee, ComponentDigest, Decision,
    EngineId, Genesis, Identifier, KeyOptions, KeySpec, Limits, Manifest, NetworkId, NodeDecision, NodeKey,
    Outcome, PackageHash, Payload, PayloadKind, Pin, Policy, Record, RecordHash, Request, RootKeys, Scheme,
    SessionTerms, Signature, SignedRequest, Verdict, Vote, activation_digest,
    api::{NetworkInfo, SignResponse, SignedPayload, SignerVote},
};
use rand_core::{OsRng, RngCore};

const SCHEME: Scheme = Scheme::SchnorrSecp256k1;
const EPOCH: u64 = 1;

pub(crate) struct World {
    pub(crate) genesis: Genesis,
    pub(crate) root_keys: RootKeys,
    pub(crate) caller: LocalSigner,
    /// In the order of the identifiers.
    pub(crate) keys: Vec<NodeKey>,
    shares: Vec<RootShare>,
}

/// How two members signed one message.
struct Round {
    commitments: BTreeMap<Identifier, Commitments>,
    shares: BTreeMap<Identifier, SignatureShare>,
    signature: Signature,
}

impl World {
    /// Three members, of whom two sign.
    pub(crate) fn new() -> Self {
        let mut keys: Vec<NodeKey> =
            (1..=3u8).map(|byte| NodeKey::from_bytes([byte; 32]).expect("a scalar")).collect();
        keys.sort_by_key(NodeKey::public_key);
        let members = keys.iter().map(NodeKey::public_key).collect();
        let mut nonce = B256::ZERO;
        OsRng.fill_bytes(nonce.as_mut_slice());
        let genesis = Genesis { nonce, members, threshold: 2, chains: vec![1] };
        let shares = generate(&genesis.committee().expect("legal"));
        let root_keys = activate(&genesis, &keys, &shares);
        Self { genesis, root_keys, caller: LocalSigner::random(), keys, shares }
    }

    pub(crate) fn network(&self) -> NetworkId {
        self.genesis.network_id()
    }

    pub(crate) fn info(&self) -> NetworkInfo {
        NetworkInfo {
            network: self.network(),
            genesis: self.genesis.clone(),
            epoch: EPOCH,
            root_keys: Some(self.root_keys.clone()),
            members: vec![],
            node: self.keys[0].public_key(),
            version: "0.0.0".into(),
            engine: engine(),
            ready: true,
            not_ready: None,
        }
    }

    pub(crate) fn spec(&self) -> KeySpec {
        KeySpec {
            scheme: SCHEME,
            policy: Policy { action: manifest().action_id(), config: vec![1, 2].into() },
            payloads: vec![PayloadKind::Bytes, PayloadKind::PersonalMessage],
            options: KeyOptions::default(),
            owner: Address::ZERO,
            salt: B256::ZERO,
        }
    }

    pub(crate) fn callers(&self) -> Vec<Caller> {
        vec![Caller { kind: CallerKind::Eip191, id: self.caller.address() }]
    }

    /// A request that differs from others by its params.
    pub(crate) fn request(&self, params: u8) -> SignedRequest {
        let request = Request {
            network: self.network(),
            key: self.spec(),
            params: vec![params].into(),
            callers: self.callers(),
            coordinators: Vec::new(),
            nonce: B256::repeat_byte(params),
            issued_at: 1_000,
            expires_at: 2_000,
        };
        sign_request(request, &[&self.caller]).expect("its only caller signs")
    }

    /// What an honest coordinator answers.
    pub(crate) fn answer(&self, request: &Request) -> SignResponse {
        self.answer_with(request, payloads(), b"done".to_vec().into())
    }

    /// An honest answer, and the receipt of its signatures.
    pub(crate) fn answer_with_receipt(&self, request: &SignedRequest) -> (SignResponse, Receipt) {
        let mut answer = self.answer(&request.request);
        let round = |payload: &SignedPayload| self.round(&request.request.key, &payload.message);
        let rounds: Vec<Round> = answer.signatures.iter().map(round).collect();
        for (payload, round) in answer.signatures.iter_mut().zip(&rounds) {
            payload.signature = round.signature.clone();
        }
        let signers = [self.shares[0].identifier(), self.shares[1].identifier()];
        let committed = |id: Identifier| -> (Identifier, Vec<Commitments>) {
            (id, rounds.iter().map(|round| round.commitments[&id].clone()).collect())
        };
        let package = Package {
            session: answer.session,
            attempt: 1,
            base: signers.into(),
            records: signers.map(|id| (id, Record::default())).into(),
            signatures: BTreeMap::new(),
            signers: signers.map(committed).into(),
        };
        let part = |id: Identifier| {
            let shares: Vec<SignatureShare> = rounds.iter().map(|round| round.shares[&id].clone()).collect();
            let bytes: Vec<u8> = shares.iter().flat_map(|share| share.as_bytes().to_vec()).collect();
            let vote = Vote {
                record: Record::default().hash(),
                package: package.hash(self.network()),
                // their keccak-256
                shares: ComponentDigest::of(&bytes).0,
                ..answer.votes[0].vote.vote
            };
            let vote = vote.sign(self.network(), &self.keys[usize::from(id.get()) - 1]);
            (id, SignerPart { vote, shares })
        };
        let parts = signers.map(part).into();
        let receipt = Receipt {
            version: RECEIPT_VERSION,
            request: request.clone(),
            manifest: manifest(),
            terms: answer.terms(),
            package,
            reads: Vec::new(),
            verdict: Verdict::Allow { payloads: payloads(), response: answer.response.clone() },
            signers: parts,
            signatures: rounds.into_iter().map(|round| round.signature).collect(),
        };
        (answer, receipt)
    }

    pub(crate) fn answer_with(
        &self,
        request: &Request,
        payloads: Vec<Payload>,
        response: Bytes,
    ) -> SignResponse {
        let outcome = Outcome::of(
            Verdict::Allow { payloads: payloads.clone(), response: response.clone() },
            &request.key,
        )
        .expect("the key signs them");
        let signatures = payloads.iter().zip(outcome.messages()).map(|(payload, message)| SignedPayload {
            payload: payload.kind().name().into(),
            content: Bytes::copy_from_slice(payload.content()),
            signature: self.sign(&request.key, &message),
            message,
        });
        let pin = Pin { chain_id: 1, number: 5, hash: B256::repeat_byte(5), timestamp: 6 };
        let mut answer = SignResponse {
            request: request.digest(),
            session: countersign_types::SessionId::from([0; 32]),
            epoch: EPOCH,
            engine: engine(),
            time_ms: 1_500,
            pins: vec![pin],
            action_id: request.key.policy.action,
            key_id: request.key.key_id(),
            scheme: request.key.scheme,
            public_key: self.shares[0].derive(&request.key.key_id()).expect("a child").public_key(),
            signatures: signatures.collect(),
            response,
            nodes: vec![],
            votes: vec![],
        };
        answer.session = SessionTerms::id(&answer.terms(), self.network());
        answer.votes = (1..=2).map(|signer| self.vote(signer, &answer, &outcome)).collect();
        answer
    }

    /// A member's vote for an outcome in an answer's session.
    pub(crate) fn vote(&self, signer: u16, answer: &SignResponse, outcome: &Outcome) -> SignerVote {
        let vote = Vote {
            session: answer.session,
            record: RecordHash::from([1; 32]),
            package: PackageHash::from([2; 32]),
            outcome: outcome.hash(),
            shares: B256::repeat_byte(3),
        };
        SignerVote { signer, vote: vote.sign(self.network(), &self.keys[usize::from(signer) - 1]) }
    }

    /// What members are said to have said.
    pub(crate) fn said(&self, members: &[usize], decision: Decision) -> Vec<NodeDecision> {
        let peer_id = |member: &usize| self.keys[member - 1].public_key().peer_id();
        let said =
            |member| NodeDecision { peer_id: peer_id(member), decision, reason: Some("as told".into()) };
        members.iter().map(said).collect()
    }

    /// Members 1 and 2 sign with a key.
    pub(crate) fn sign(&self, key: &KeySpec, message: &Bytes) -> Signature {
        self.round(key, message).signature
    }

    fn round(&self, key: &KeySpec, message: &Bytes) -> Round {
        let signers: BTreeMap<_, _> = self.shares[..2]
            .iter()
            .map(|share| (share.identifier(), share.derive(&key.key_id()).expect("a child")))
            .collect();
        let (mut nonces, mut commitments) = (BTreeMap::new(), BTreeMap::new());
        for (id, share) in &signers {
            let (nonce, commitment) = share.commit(&mut OsRng);
            nonces.insert(*id, nonce);
            commitments.insert(*id, commitment);
        }
        let package = SigningPackage::new(commitments.clone(), message.clone());
        let shares = nonces
            .into_iter()
            .map(|(id, nonces)| (id, nonces.sign(&package, &signers[&id]).expect("an honest package")))
            .collect();
        let public = self.shares[0].public().derive(&key.key_id()).expect("a child");
        let signature = public.aggregate(&package, &shares).expect("honest shares");
        Round { commitments, shares, signature }
    }
}

/// An action that reads nothing.
fn manifest() -> Manifest {
    Manifest {
        name: "agreeable".into(),
        component: ComponentDigest::from([1; 32]),
        script: B256::ZERO,
        hosts: Vec::new(),
        chains: vec![1],
        limits: Limits::default(),
    }
}

fn payloads() -> Vec<Payload> {
    vec![Payload::Bytes(vec![42].into()), Payload::PersonalMessage(b"hello".to_vec().into())]
}

fn engine() -> EngineId {
    EngineId::from([7; 32])
}

/// Key generation among all members, without a dealer.
fn generate(committee: &Committee) -> Vec<RootShare> {
    let members: Vec<Identifier> = committee.identifiers().collect();
    let (mut first, mut broadcasts) = (BTreeMap::new(), BTreeMap::new());
    for me in &members {
        let (state, package) = dkg::start(SCHEME, *me, committee.size(), committee.threshold(), &mut OsRng)
            .expect("legal numbers");
        first.insert(*me, state);
        broadcasts.insert(*me, package);
    }
    let (mut second, mut dealt) = (BTreeMap::new(), BTreeMap::new());
    for (me, state) in first {
        let others =
            broadcasts.iter().filter(|(id, _)| **id != me).map(|(id, package)| (*id, package.clone()));
        let (state, packages) = state.receive(others.collect()).expect("honest broadcasts");
        second.insert(me, state);
        dealt.insert(me, packages);
    }
    let finish = |(me, state): (Identifier, dkg::Round2)| {
        let mine =
            dealt.iter().filter(|(id, _)| **id != me).map(|(id, packages)| (*id, packages[&me].clone()));
        state.finish(mine.collect()).expect("honest packages")
    };
    second.into_iter().map(finish).collect()
}

fn activate(genesis: &Genesis, keys: &[NodeKey], shares: &[RootShare]) -> RootKeys {
    let (network, attempt) = (genesis.network_id(), AttemptId::from([4; 32]));
    let roots = vec![shares[0].root_key()];
    let digest = activation_digest(&roots, network, EPOCH, attempt);
    let signatures = keys.iter().map(|key| key.sign(digest)).collect();
    RootKeys { network, epoch: EPOCH, ceremonies: vec![Activation { roots, attempt, signatures }] }
}
