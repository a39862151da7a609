//! Single faults, each with a number of its own, so that one can be left out and all others kept.
//!
//! A fault's number is its place among the faults of its class that the seed draws. What is left out is drawn all
//! the same, and does not happen: so a world without it is played from the same seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident $name:literal)+) => {
        /// What kind of thing befalls a world.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Class {
            $($(#[$doc])* $class,)+
        }

        impl Class {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$class),+];

            /// As it is written in a command.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$class => $name,)+
                }
            }
        }
    };
}

classes! {
    /// A message is lost.
    Loss "loss"
    /// A message comes twice.
    Duplicate "duplicate"
    /// A message takes long.
    Late "late"
    /// A node dies.
    Crash "crash"
    /// Two nodes, or one and all others, no longer hear each other, or one of them the other.
    Cut "cut"
    /// A member is dishonest.
    Liar "liar"
    /// A dishonest member lies in a session.
    Lie "lie"
    /// A node refuses, differs, or cannot run a request.
    Obstacle "obstacle"
    /// A client asks a node.
    Request "request"
}

/// One fault: the how-manieth of its class, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Its class.
    pub class: Class,
    /// Its place in the class.
    pub number: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.class.name(), self.number)
    }
}

/// Text that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fault is written as loss:3, got {0:?}")]
pub struct FaultError(String);

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let parse = || {
            let (name, number) = text.split_once(':')?;
            let class = Class::ALL.iter().copied().find(|class| class.name() == name)?;
            Some(Self { class, number: number.parse().ok()? })
        };
        parse().ok_or_else(|| FaultError(text.into()))
    }
}

/// The faults of a part of a world, counted as they are drawn.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    left_out: Arc<BTreeSet<Fault>>,
    drawn: BTreeMap<Class, u64>,
}

impl Faults {
    pub(crate) fn without(left_out: &Arc<BTreeSet<Fault>>) -> Self {
        Self { left_out: Arc::clone(left_out), drawn: BTreeMap::new() }
    }

    /// Whether a fault that was drawn, or not, happens.
    pub(crate) fn happens(&mut self, class: Class, drawn: bool) -> bool {
        if !drawn {
            return false;
        }
        let count = self.drawn.entry(class).or_default();
        let number = *count;
        *count += 1;
        !self.left_out.contains(&Fault { class, number })
    }

    /// How many of each class were drawn, left out or not.
    pub(crate) fn drawn(&self) -> impl Iterator<Item = (Class, u64)> + '_ {
        self.drawn.iter().map(|(class, count)| (*class, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_and_does_not_happen() {
        let left_out = Arc::new(BTreeSet::from(["loss:1".parse().expect("a fault")]));
        let mut faults = Faults::without(&left_out);
        let happens: Vec<bool> =
            [true, false, true, true].map(|drawn| faults.happens(Class::Loss, drawn)).into();
        assert_eq!(happens, [true, false, false, true]);
        assert!(faults.happens(Class::Crash, true));
        assert_eq!(faults.drawn().collect::<Vec<_>>(), [(Class::Loss, 3), (Class::Crash, 1)]);
    }

    #[test]
    fn faults_are_read_as_they_are_written() {
        for class in Class::ALL {
            let fault = Fault { class: *class, number: 7 };
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        for text in ["loss", "loss:", "loss:-1", "gain:1", ""] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
