//! Sends frames to members.

use countersign_network::{Lane, Transport};
use countersign_types::NodePublicKey;
use countersign_wire::encode;
use serde::Serialize;

/// Sends a frame to a member, where its lane has room; what is not sent is not missed: whoever needs it asks again.
pub(crate) fn send<T: Serialize>(transport: &dyn Transport, to: &NodePublicKey, lane: Lane, frame: &T) {
    let sent = encode(frame)
        .map_err(|error| error.to_string())
        .and_then(|frame| transport.send(to, lane, frame).map_err(|error| error.to_string()));
    if let Err(error) = sent {
        tracing::debug!(peer = %to.peer_id(), lane = lane.name(), error, "a frame was not sent");
    }
}
