//! Links that fail: messages from one member to another, and back, are lost together or each by itself.

use std::fmt;

use countersign_types::Identifier;

use crate::chance::Chance;

/// Which of the links between two members are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ways {
    /// Neither hears the other.
    Both,
    /// The second does not hear the first.
    Out,
    /// The first does not hear the second.
    In,
}

impl Ways {
    /// Half of all cuts are one way.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        match chance.between(0, 3) {
            0 => Self::Out,
            1 => Self::In,
            _ => Self::Both,
        }
    }
}

/// A cut between two members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) a: Identifier,
    pub(crate) b: Identifier,
    pub(crate) ways: Ways,
}

impl Cut {
    /// The links that fail, each from its sender to its receiver.
    pub(crate) fn links(self) -> impl Iterator<Item = (Identifier, Identifier)> {
        let Self { a, b, ways } = self;
        let out = (ways != Ways::In).then_some((a, b));
        let back = (ways != Ways::Out).then_some((b, a));
        out.into_iter().chain(back)
    }

    /// Who is told that a connection is lost: whoever hears nothing more, so often in a thousand; and where the cut is one way,
    /// every other time the one that is still heard. Each with the member that it takes for gone.
    pub(crate) fn noticed(self, often: u64, chance: &mut Chance) -> Vec<(Identifier, Identifier)> {
        let mut noticed = Vec::new();
        for (from, to) in self.links() {
            if !chance.permille(often) {
                continue;
            }
            noticed.push((to, from));
            if self.ways != Ways::Both && chance.permille(500) {
                noticed.push((from, to));
            }
        }
        noticed
    }

    /// How it reads in a trace that the links are whole again.
    pub(crate) fn healed(self) -> String {
        let Self { a, b, ways } = self;
        match ways {
            Ways::Both => format!("{a} and {b} are joined"),
            Ways::Out => format!("{b} hears {a} again"),
            Ways::In => format!("{a} hears {b} again"),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { a, b, ways } = self;
        match ways {
            Ways::Both => write!(f, "{a} and {b} are cut off"),
            Ways::Out => write!(f, "{b} no longer hears {a}"),
            Ways::In => write!(f, "{a} no longer hears {b}"),
        }
    }
}
