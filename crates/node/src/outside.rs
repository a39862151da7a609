//! What a live run reads: chains through their providers, the rest of the world through the guarded client.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_action::{ReadFailure, Reader};
use countersign_chain::Chains;
use countersign_egress::Egress;
use countersign_types::{
    Pin,
    evm::{EvmRead, EvmValue},
    http::{HttpRead, HttpResponse},
};

use crate::causes::with_causes;

/// The outside, as the host reads it.
pub(crate) struct Outside {
    pub(crate) chains: Arc<Chains>,
    pub(crate) egress: Egress,
}

#[async_trait]
impl Reader for Outside {
    async fn evm(&self, pin: &Pin, read: &EvmRead) -> Result<EvmValue, ReadFailure> {
        let read = self.chains.read(pin, read).await;
        read.map_err(|error| {
            ReadFailure::unreached(format!("chain {}: {}", pin.chain_id, with_causes(&error)))
        })
    }

    async fn http(&self, hosts: &[String], read: &HttpRead) -> Result<HttpResponse, ReadFailure> {
        let fetched = self.egress.fetch(hosts, read).await;
        metrics::counter!("countersign_http_reads_total", "ok" => if fetched.is_ok() { "yes" } else { "no" })
            .increment(1);
        fetched.map_err(|fault| {
            let reason = format!("{}: {}", read.host(), with_causes(&fault));
            if fault.is_answer() { ReadFailure::unusable(reason) } else { ReadFailure::unreached(reason) }
        })
    }
}
