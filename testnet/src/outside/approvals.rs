//! A service in which somebody approves requests, each by its digest.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use serde_json::json;

use super::{Page, not_found};

/// The most requests that can be approved at once.
const MAX_APPROVED: usize = 10_000;

/// What has been approved: `GET /requests/{digest}` asks, `POST` to the same approves.
#[derive(Debug, Default)]
pub struct Approvals {
    approved: Mutex<BTreeSet<String>>,
}

impl Approvals {
    /// The answer to a request.
    pub fn answer(&self, method: &str, path: &str) -> Page {
        let Some(digest) = path.strip_prefix("/requests/") else { return not_found() };
        let mut approved = self.approved.lock().unwrap_or_else(PoisonError::into_inner);
        if method == "POST" && approved.len() < MAX_APPROVED {
            approved.insert(digest.to_owned());
        }
        let yes = approved.contains(digest);
        let reason = if yes { "approved" } else { "nobody has approved it: POST to this URL does" };
        Page::json(&json!({ "approved": yes, "reason": reason }))
    }
}
