//! Key generation: what must be durable is stored here, in the driver's own turn, before anything follows.

use std::fs;

use countersign_network::Lane;
use countersign_session::{
    Millis,
    keygen::{Effect, Message},
};
use countersign_store::{ActivateError, PendingShare};
use countersign_threshold::RootShare;
use countersign_types::{Activation, Identifier, RootKeys, Scheme};
use rand_core::OsRng;

use super::{Driver, DriverError};
use crate::{causes::with_causes, wire::BackgroundFrame};

impl Driver {
    pub(super) fn key_generation(&mut self, from: Identifier, scheme: Scheme, message: Message, now: Millis) {
        let Some(index) = self.parts.keygens.iter().position(|keygen| keygen.scheme() == scheme) else {
            return;
        };
        let effects = self.parts.keygens[index].receive(from, message, now, &mut OsRng);
        self.keygen_effects(index, effects, now);
    }

    pub(super) fn keygens_connected(&mut self, member: Identifier) {
        let now = self.parts.clock.now();
        for index in 0..self.parts.keygens.len() {
            let effects = self.parts.keygens[index].connected(member);
            self.keygen_effects(index, effects, now);
        }
    }

    pub(super) fn keygens_disconnected(&mut self, member: Identifier, now: Millis) {
        for index in 0..self.parts.keygens.len() {
            let effects = self.parts.keygens[index].disconnected(member, now);
            self.keygen_effects(index, effects, now);
        }
    }

    pub(super) fn tick_keygens(&mut self, now: Millis) {
        for index in 0..self.parts.keygens.len() {
            if self.parts.keygens[index].next_timeout() <= now {
                let effects = self.parts.keygens[index].tick(now, &mut OsRng);
                self.keygen_effects(index, effects, now);
            }
        }
    }

    fn keygen_effects(&mut self, index: usize, effects: Vec<Effect>, now: Millis) {
        if effects.is_empty() {
            return;
        }
        for effect in effects {
            if self.failed.is_some() {
                return;
            }
            if let Err(error) = self.keygen_effect(index, effect, now) {
                self.failed = Some(error);
            }
        }
        self.publish_status();
    }

    fn keygen_effect(&mut self, index: usize, effect: Effect, now: Millis) -> Result<(), DriverError> {
        let scheme = self.parts.keygens[index].scheme();
        let epoch = self.parts.membership.epoch;
        match effect {
            Effect::Send { to, message } => {
                self.send(to, Lane::Background, &BackgroundFrame::KeyGeneration { scheme, message });
            }
            Effect::StorePending { pending, share } => {
                let attempt = pending.terms.id(self.parts.membership.network);
                let record = PendingShare {
                    scheme,
                    epoch,
                    attempt,
                    terms: pending.terms,
                    root: pending.root,
                    share: share.to_bytes(),
                };
                self.parts.store.put_pending_share(&record).map_err(fatal)?;
                tracing::info!(%attempt, %scheme, "key share stored, pending");
                let effects = self.parts.keygens[index].stored_pending(attempt);
                self.keygen_effects(index, effects, now);
            }
            Effect::StoreActivation { attempt, confirmations } => {
                let encoded = postcard::to_allocvec(&confirmations).map_err(fatal)?;
                match self.parts.store.record_activation(epoch, scheme, attempt, encoded.into()) {
                    Ok(_) => {
                        let effects = self.parts.keygens[index].stored_activation(attempt);
                        self.keygen_effects(index, effects, now);
                    }
                    Err(error @ ActivateError::AlreadyActivated { .. }) => {
                        tracing::error!(%error, "another attempt is activated: this one is not");
                    }
                    Err(error) => return Err(fatal(error)),
                }
            }
            Effect::Completed(activation) => self.completed(*activation)?,
            Effect::GivenUp { attempt, reason, culprits } => {
                let culprits: Vec<u16> = culprits.iter().map(|id| id.get()).collect();
                tracing::warn!(%attempt, %scheme, reason, ?culprits, "an attempt at key generation was given up");
            }
        }
        Ok(())
    }

    /// A root key is active: from now on this node signs with it.
    fn completed(&mut self, activation: Activation) -> Result<(), DriverError> {
        let membership = &self.parts.membership;
        let (epoch, scheme) = (membership.epoch, activation.root.scheme);
        let mut root_keys = self.parts.status.root_keys().unwrap_or(RootKeys {
            network: membership.network,
            epoch,
            keys: Vec::new(),
        });
        root_keys.keys.retain(|key| key.root.scheme != scheme);
        root_keys.keys.push(activation);
        root_keys.keys.sort_by_key(|key| key.root.scheme);
        self.parts.store.put_root_keys(&root_keys).map_err(fatal)?;
        let stored = self.parts.store.active_share(epoch, scheme)?;
        let Some(stored) = stored else {
            return Err(DriverError::KeyGeneration(format!(
                "the root key for {scheme} is active, and this node has no share of it"
            )));
        };
        let share = RootShare::from_bytes(scheme, &stored.share).map_err(fatal)?;
        self.parts.participant.add_root(share).map_err(fatal)?;
        write_root_keys(&self.parts.root_keys_file, &root_keys);
        self.parts.status.set_root_keys(root_keys);
        tracing::info!(%scheme, "root key active");
        Ok(())
    }
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
