//! What an action is and may do: the manifest, whose hash is the action's id, and the component and the script that it names.

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolStruct;
use serde::{Deserialize, Serialize};

use super::Limits;
use crate::{ActionId, ComponentDigest, canonical::sol_types};

/// The most bytes of a component: 16 MiB.
pub const MAX_COMPONENT_BYTES: usize = 16 << 20;
/// The most bytes of a script: 256 KiB.
pub const MAX_SCRIPT_BYTES: usize = 256 << 10;
/// The most bytes of an action's name.
pub const MAX_NAME_BYTES: usize = 64;
/// The most hosts that a manifest may list.
pub const MAX_HOSTS: usize = 16;
/// The most chains that a manifest may list.
pub const MAX_CHAINS: usize = 8;

/// What an action is and may do. Its hash is the [`ActionId`], so a grant cannot be widened without a new id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// A name for people: lower-case letters, digits and hyphens, 1 to [`MAX_NAME_BYTES`].
    #[cfg_attr(feature = "openapi", schema(pattern = "^[a-z0-9-]{1,64}$"))]
    pub name: String,
    /// The keccak-256 of the component.
    pub component: ComponentDigest,
    /// The keccak-256 of the script that the component runs; zero where there is none.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Hex32))]
    pub script: B256,
    /// The hosts that it may fetch from: sorted, distinct, at most [`MAX_HOSTS`].
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 16))]
    pub hosts: Vec<String>,
    /// The chains that it reads, by EIP-155 id: sorted, distinct, at most [`MAX_CHAINS`].
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 8))]
    pub chains: Vec<u64>,
    /// What one run may use.
    #[serde(default)]
    pub limits: Limits,
}

/// A manifest as authors write it: all but the digests, which follow from what is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestSource {
    /// [`Manifest::name`].
    pub name: String,
    /// [`Manifest::hosts`].
    #[serde(default)]
    pub hosts: Vec<String>,
    /// [`Manifest::chains`].
    #[serde(default)]
    pub chains: Vec<u64>,
    /// [`Manifest::limits`].
    #[serde(default)]
    pub limits: Limits,
}

impl ManifestSource {
    /// The manifest of a component that runs no script.
    pub fn with_component(self, component: &[u8]) -> Manifest {
        self.with(ComponentDigest::of(component), B256::ZERO)
    }

    /// The manifest of a script and the runner that runs it.
    pub fn with_script(self, runner: ComponentDigest, script: &str) -> Manifest {
        self.with(runner, script_digest(script))
    }

    fn with(self, component: ComponentDigest, script: B256) -> Manifest {
        Manifest {
            name: self.name,
            component,
            script,
            hosts: self.hosts,
            chains: self.chains,
            limits: self.limits,
        }
    }
}

/// Why a manifest is not one, or its publication not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not a name.
    #[error("an action's name has 1 to {MAX_NAME_BYTES} lower-case letters, digits and hyphens, got {got:?}")]
    Name {
        /// The name, cut after 80 characters.
        got: String,
    },
    /// Not sorted, not distinct, or too many.
    #[error("{list} must be sorted and distinct, at most {most}, got {got}")]
    List {
        /// Which list.
        list: &'static str,
        /// The most that it may hold.
        most: usize,
        /// The first entry that is out of order or there twice, each host cut after 80 characters; how many it
        /// holds, where those are too many.
        got: String,
    },
    /// A host that is none.
    #[error("{got:?} is no host name: lower case, without scheme, port and path")]
    Host {
        /// The text, cut after 80 characters.
        got: String,
    },
    /// A limit beyond the largest.
    #[error("the limit {limit} is at most {most}, got {got}")]
    Limit {
        /// Which limit.
        limit: &'static str,
        /// The largest.
        most: u64,
        /// The manifest's.
        got: u64,
    },
    /// The component is another.
    #[error("the component's keccak-256 is {got}, the manifest names {expected}")]
    Component {
        /// What the manifest names.
        expected: ComponentDigest,
        /// What the bytes hash to.
        got: ComponentDigest,
    },
    /// The script is another, missing, or there without being named.
    #[error("the script's keccak-256 is {got}, the manifest names {expected} (zero: none)")]
    Script {
        /// What the manifest names; zero where it names none.
        expected: B256,
        /// What the text hashes to; zero where there is none.
        got: B256,
    },
    /// The script is too large.
    #[error("a script has at most {MAX_SCRIPT_BYTES} bytes, got {got}")]
    ScriptSize {
        /// How many bytes it has.
        got: usize,
    },
    /// The component is too large.
    #[error("a component has at most {MAX_COMPONENT_BYTES} bytes, got {got}")]
    Size {
        /// How many bytes it has.
        got: usize,
    },
    /// The signature is not by the publisher.
    #[error(
        "the publication is not signed by {publisher}: sign the EIP-712 digest {digest} of PublishAction in the network's domain"
    )]
    Signature {
        /// Whose signature it should be.
        publisher: Address,
        /// What it should be over.
        digest: B256,
    },
}

impl Manifest {
    /// Checks names, order and limits.
    pub fn validate(&self) -> Result<(), ManifestError> {
        let name_ok = (1..=MAX_NAME_BYTES).contains(&self.name.len())
            && self.name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !name_ok {
            return Err(ManifestError::Name { got: cut(&self.name) });
        }
        strictly_ascending("hosts", &self.hosts, MAX_HOSTS, |host| format!("{:?}", cut(host)))?;
        strictly_ascending("chains", &self.chains, MAX_CHAINS, u64::to_string)?;
        if let Some(host) = self.hosts.iter().find(|host| !is_host(host)) {
            return Err(ManifestError::Host { got: cut(host) });
        }
        match self.limits.excess() {
            Some((limit, got, most)) => Err(ManifestError::Limit { limit, most, got }),
            None => Ok(()),
        }
    }

    /// Checks that `component` is the one that this manifest names.
    pub fn check_component(&self, component: &[u8]) -> Result<(), ManifestError> {
        if component.len() > MAX_COMPONENT_BYTES {
            return Err(ManifestError::Size { got: component.len() });
        }
        let got = ComponentDigest::of(component);
        if got == self.component {
            Ok(())
        } else {
            Err(ManifestError::Component { expected: self.component, got })
        }
    }

    /// Whether the component is a runner that runs a script.
    pub fn is_script(&self) -> bool {
        !self.script.is_zero()
    }

    /// Checks that `script` is the one that this manifest names; none where it names none.
    pub fn check_script(&self, script: Option<&str>) -> Result<(), ManifestError> {
        if let Some(script) = script.filter(|script| script.len() > MAX_SCRIPT_BYTES) {
            return Err(ManifestError::ScriptSize { got: script.len() });
        }
        let got = script.map_or(B256::ZERO, script_digest);
        if got == self.script { Ok(()) } else { Err(ManifestError::Script { expected: self.script, got }) }
    }

    /// The action's id: the hash of this manifest, the same on every network.
    pub fn action_id(&self) -> ActionId {
        ActionId(self.to_sol().eip712_hash_struct())
    }

    pub(super) fn to_sol(&self) -> sol_types::Manifest {
        let limits = &self.limits;
        sol_types::Manifest {
            name: self.name.clone(),
            component: self.component.0,
            script: self.script,
            hosts: self.hosts.clone(),
            chains: self.chains.clone(),
            limits: sol_types::Limits {
                wallMs: limits.wall_ms,
                fuel: limits.fuel,
                memoryBytes: limits.memory_bytes,
                httpReads: limits.http_reads,
                chainReads: limits.chain_reads,
                payloads: limits.payloads,
                responseBytes: limits.response_bytes,
                logBytes: limits.log_bytes,
            },
        }
    }
}

fn strictly_ascending<T: Ord>(
    list: &'static str,
    items: &[T],
    most: usize,
    shown: impl Fn(&T) -> String,
) -> Result<(), ManifestError> {
    if items.len() > most {
        return Err(ManifestError::List { list, most, got: items.len().to_string() });
    }
    let got = match items.windows(2).find(|pair| pair[0] >= pair[1]) {
        None => return Ok(()),
        Some(pair) if pair[0] == pair[1] => format!("{} twice", shown(&pair[1])),
        Some(pair) => format!("{} behind {}", shown(&pair[1]), shown(&pair[0])),
    };
    Err(ManifestError::List { list, most, got })
}

/// What an error shows of a text.
fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

fn is_host(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        })
}

/// The digest of a script, as manifests name it: the keccak-256 of its text.
pub fn script_digest(script: &str) -> B256 {
    alloy_primitives::keccak256(script)
}

impl ComponentDigest {
    /// The digest of a component's bytes.
    pub fn of(component: &[u8]) -> Self {
        Self(alloy_primitives::keccak256(component))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            name: "balance-gate".into(),
            component: ComponentDigest::of(b"component"),
            script: B256::ZERO,
            hosts: vec!["a.example".into(), "b.example".into()],
            chains: vec![1, 10],
            limits: Limits::default(),
        }
    }

    #[test]
    fn every_field_is_in_the_id() {
        let changes: [fn(&mut Manifest); 8] = [
            |m| m.name = "other".into(),
            |m| m.component = ComponentDigest::of(b"other"),
            |m| m.script = B256::repeat_byte(1),
            |m| m.hosts.truncate(1),
            |m| m.chains.truncate(1),
            |m| m.limits.fuel -= 1,
            |m| m.limits.chain_reads -= 1,
            |m| m.limits.wall_ms -= 1,
        ];
        for change in changes {
            let mut changed = manifest();
            change(&mut changed);
            assert_ne!(changed.action_id(), manifest().action_id());
        }
    }

    #[test]
    fn malformed_manifests_are_refused() {
        assert_eq!(manifest().validate(), Ok(()));
        let changes: [fn(&mut Manifest); 9] = [
            |m| m.name = String::new(),
            |m| m.name = "Balance".into(),
            |m| m.name = "a".repeat(65),
            |m| m.hosts.reverse(),
            |m| m.hosts = vec!["https://a.example".into()],
            |m| m.hosts = vec!["a..example".into()],
            |m| m.chains = vec![1, 1],
            |m| m.chains = (1..=9).collect(),
            |m| m.limits.memory_bytes += 1,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = manifest();
            change(&mut changed);
            assert!(changed.validate().is_err(), "change {index}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_list_is_named() {
        let said = |change: fn(&mut Manifest)| {
            let mut changed = manifest();
            change(&mut changed);
            changed.validate().expect_err("a wrong list").to_string()
        };
        assert_eq!(
            said(|m| m.hosts.reverse()),
            r#"hosts must be sorted and distinct, at most 16, got "a.example" behind "b.example""#
        );
        assert_eq!(
            said(|m| m.hosts[1] = "a.example".into()),
            r#"hosts must be sorted and distinct, at most 16, got "a.example" twice"#
        );
        assert_eq!(
            said(|m| m.chains = vec![1, 10, 5, 2]),
            "chains must be sorted and distinct, at most 8, got 5 behind 10"
        );
        assert_eq!(
            said(|m| m.chains = (1..=9).collect()),
            "chains must be sorted and distinct, at most 8, got 9"
        );
        let long = said(|m| m.hosts = vec!["\u{1b}".repeat(1000), String::new()]);
        assert!(long.len() < 1000 && !long.contains('\u{1b}'), "{long}");
    }

    #[test]
    fn another_component_is_refused() {
        assert_eq!(manifest().check_component(b"component"), Ok(()));
        assert!(matches!(manifest().check_component(b"other"), Err(ManifestError::Component { .. })));
    }

    #[test]
    fn a_script_is_the_one_that_is_named() {
        let none = Manifest { script: B256::ZERO, ..manifest() };
        let some = Manifest { script: script_digest("run"), ..manifest() };
        assert_eq!((none.is_script(), some.is_script()), (false, true));
        assert_eq!(none.check_script(None), Ok(()));
        assert_eq!(some.check_script(Some("run")), Ok(()));
        for (manifest, script) in [(&none, Some("run")), (&some, None), (&some, Some("ran"))] {
            assert!(matches!(manifest.check_script(script), Err(ManifestError::Script { .. })));
        }
        let long = "x".repeat(MAX_SCRIPT_BYTES + 1);
        assert!(matches!(some.check_script(Some(&long)), Err(ManifestError::ScriptSize { .. })));
    }
}
