//! Key generation: what must be durable is stored here, in the driver's own turn, before anything follows.

use std::fs;

use countersign_network::Lane;
use countersign_session::{
    Millis,
    keygen::{Contradiction, Effect, Message},
};
use countersign_store::{ActivateError, JoinedRecord, PendingShares};
use countersign_threshold::RootShare;
use countersign_types::{Activation, Identifier, RootKey, RootKeys};
use countersign_wire::BackgroundFrame;
use rand_core::OsRng;

use super::{Driver, DriverError};
use crate::causes::with_causes;

impl Driver {
    pub(super) fn key_generation(&mut self, from: Identifier, message: Message, now: Millis) {
        self.parts.wire_log.received(from, &message, now);
        let effects = self.parts.keygen.receive(from, message, now, &mut OsRng);
        self.keygen_effects(effects);
    }

    pub(super) fn keygen_connected(&mut self, member: Identifier, now: Millis) {
        let effects = self.parts.keygen.connected(member, now);
        self.keygen_effects(effects);
    }

    pub(super) fn keygen_disconnected(&mut self, member: Identifier, now: Millis) {
        let effects = self.parts.keygen.disconnected(member, now);
        self.keygen_effects(effects);
    }

    pub(super) fn tick_keygen(&mut self, now: Millis) {
        if self.parts.keygen.next_timeout() <= now {
            let effects = self.parts.keygen.tick(now, &mut OsRng);
            self.keygen_effects(effects);
        }
    }

    fn keygen_effects(&mut self, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        for effect in effects {
            if self.failed.is_some() {
                return;
            }
            if let Err(error) = self.keygen_effect(effect) {
                self.failed = Some(error);
            }
        }
        self.publish_status();
    }

    fn keygen_effect(&mut self, effect: Effect) -> Result<(), DriverError> {
        let epoch = self.parts.membership.epoch;
        match effect {
            Effect::Send { to, message } => {
                let now = self.parts.clock.now();
                self.parts.wire_log.sent(to, &message, now);
                self.send(to, Lane::Background, &BackgroundFrame::KeyGeneration(message));
            }
            Effect::StoreJoined(joined) => {
                let note = postcard::to_allocvec(&joined).map_err(fatal)?.into();
                let record = JoinedRecord { number: joined.number, note };
                self.parts.store.record_joined(epoch, &record).map_err(fatal)?;
                let now = self.parts.clock.now();
                let effects = self.parts.keygen.stored_joined(joined.attempt, now);
                self.keygen_effects(effects);
            }
            Effect::StorePending { pending, shares } => {
                let attempt = pending.terms.id(self.parts.membership.network);
                let record = PendingShares {
                    epoch,
                    attempt,
                    terms: pending.terms,
                    roots: pending.roots,
                    shares: shares.iter().map(RootShare::to_bytes).collect(),
                };
                self.parts.store.put_pending_shares(&record).map_err(fatal)?;
                tracing::info!(%attempt, schemes = names(&record.roots), "key shares stored, pending");
                let effects = self.parts.keygen.stored_pending(attempt);
                self.keygen_effects(effects);
            }
            Effect::StoreActivation { attempt, confirmations } => {
                let encoded = postcard::to_allocvec(&confirmations).map_err(fatal)?;
                match self.parts.store.record_activation(epoch, attempt, encoded.into()) {
                    Ok(_) => {
                        let effects = self.parts.keygen.stored_activation(attempt);
                        self.keygen_effects(effects);
                    }
                    Err(error @ ActivateError::AlreadyActivated { .. }) => {
                        tracing::error!(%error, "another attempt is activated: this one is not");
                    }
                    Err(error) => return Err(fatal(error)),
                }
            }
            Effect::Completed(activation) => self.completed(*activation)?,
            Effect::Contradiction(Contradiction { roots, confirmation, refusal }) => {
                let (member, attempt) = (refusal.by.get(), refusal.attempt);
                tracing::error!(
                    member, %attempt, %roots, ?confirmation, refusal = ?refusal.signature,
                    "a member signed that it confirms an attempt and that it never does: it broke the protocol, or \
                     lost its disk"
                );
            }
            Effect::Blamed { attempt, reason, culprits } => {
                let culprits: Vec<u16> = culprits.iter().map(|id| id.get()).collect();
                tracing::warn!(%attempt, reason, ?culprits, "members broke the protocol of key generation");
            }
            Effect::GivenUp { attempt, reason, culprits } if culprits.is_empty() => {
                tracing::info!(
                    %attempt, reason,
                    "an attempt at key generation was given up: the next one starts by itself"
                );
            }
            Effect::GivenUp { attempt, reason, culprits } => {
                let culprits: Vec<u16> = culprits.iter().map(|id| id.get()).collect();
                tracing::warn!(%attempt, reason, ?culprits, "an attempt at key generation was given up");
            }
        }
        Ok(())
    }

    /// Root keys are active: from now on this node signs with them.
    fn completed(&mut self, activation: Activation) -> Result<(), DriverError> {
        let membership = &self.parts.membership;
        let epoch = membership.epoch;
        let mut root_keys = self.parts.status.root_keys().unwrap_or(RootKeys {
            network: membership.network,
            epoch,
            ceremonies: Vec::new(),
        });
        let roots = activation.roots.clone();
        root_keys.ceremonies.push(activation);
        self.parts.store.put_root_keys(&root_keys).map_err(fatal)?;
        for RootKey { scheme, .. } in &roots {
            let stored = self.parts.store.active_share(epoch, *scheme)?;
            let Some(stored) = stored else {
                return Err(DriverError::KeyGeneration(format!(
                    "the root key for {scheme} is active, and this node has no share of it"
                )));
            };
            let share = RootShare::from_bytes(*scheme, &stored.share).map_err(fatal)?;
            self.parts.participant.add_root(share).map_err(fatal)?;
        }
        write_root_keys(&self.parts.root_keys_file, &root_keys);
        self.parts.status.set_root_keys(root_keys);
        tracing::info!(schemes = names(&roots), "root keys active");
        Ok(())
    }
}

/// The schemes of roots, for the log.
fn names(roots: &[RootKey]) -> String {
    roots.iter().map(|root| root.scheme.name()).collect::<Vec<_>>().join(", ")
}

/// Writes the file that operators hand to clients. It is public, and can be had from the interface too.
pub(crate) fn write_root_keys(path: &std::path::Path, root_keys: &RootKeys) {
    let written = serde_json::to_string_pretty(root_keys)
        .map_err(std::io::Error::other)
        .and_then(|text| fs::write(path, text + "\n"));
    if let Err(error) = written {
        tracing::warn!(path = %path.display(), %error, "the root keys were not written to their file");
    }
}

fn fatal(error: impl std::error::Error) -> DriverError {
    DriverError::KeyGeneration(with_causes(&error))
}
