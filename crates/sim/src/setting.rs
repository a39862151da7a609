//! A world's ingredients by name, as text: so that any run can be named in one command.

use std::collections::BTreeSet;

use countersign_types::{Scheme, mutant::Mutant as CoreMutant};

use crate::{Broken, Fault, Mutant, Scenario, World, keygen};

/// Whether keys and signatures are toys, by which many more worlds are played: only where the compiler is told
/// `--cfg countersign_toy_curves`.
pub const TOY_CURVES: bool = cfg!(countersign_toy_curves);

/// What a world is made of, whichever protocol it plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Signing.
    Signing(Box<Scenario>),
    /// Key generation.
    KeyGen(Box<keygen::Scenario>),
}

/// A run without a violation.
#[derive(Debug, Clone)]
pub enum Ended {
    /// Of signing.
    Signing(Box<crate::Report>),
    /// Of key generation.
    KeyGen(Box<keygen::Report>),
}

/// Text that is no setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// A scenario that is not known.
    #[error("there is no scenario {got:?}: choose one of {known}")]
    Scenario {
        /// The name.
        got: String,
        /// All names.
        known: String,
    },
    /// A key that the scenario has not.
    #[error("a scenario of this kind has no {key:?}: choose one of {known}")]
    Key {
        /// The key.
        key: String,
        /// All keys.
        known: String,
    },
    /// A defect of the core, which ordinary builds do not have.
    #[error(
        "{got} is a defect of the core, in builds of `cargo xtask mutants` only: in `RUSTFLAGS='--cfg countersign_mutants'`"
    )]
    CoreMutant {
        /// Its name.
        got: String,
    },
    /// A value that does not fit its key.
    #[error("{key} cannot be {value:?}")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
}

impl Setting {
    /// All named scenarios.
    pub fn all() -> Vec<(&'static str, Self)> {
        let signing = |scenario: Scenario| Self::Signing(Box::new(scenario));
        let keygen = |scenario: keygen::Scenario| Self::KeyGen(Box::new(scenario));
        vec![
            ("default", signing(Scenario::default())),
            ("calm", signing(Scenario::calm())),
            ("sluggish", signing(Scenario::sluggish())),
            ("busy", signing(Scenario::busy())),
            ("in-order", signing(Scenario::in_order())),
            ("larger", signing(Scenario::larger())),
            ("crashing", signing(Scenario::crashing())),
            ("besieged", signing(Scenario::besieged())),
            ("besieged-larger", signing(Scenario::besieged_larger())),
            ("besieged-six-of-eight", signing(Scenario::besieged_six_of_eight())),
            ("skewed", signing(Scenario::skewed())),
            ("flooded", signing(Scenario::flooded())),
            ("clean", signing(Scenario::clean())),
            ("one-slow", signing(Scenario::one_slow())),
            ("barely", signing(Scenario::barely())),
            ("keygen", keygen(keygen::Scenario::default())),
            ("keygen-calm", keygen(keygen::Scenario::calm())),
            ("keygen-in-order", keygen(keygen::Scenario::in_order())),
            ("keygen-harsh", keygen(keygen::Scenario::harsh())),
            ("keygen-upgrading", keygen(keygen::Scenario::upgrading())),
            ("keygen-lying", keygen(keygen::Scenario::default().lying(&keygen::Lie::ALL))),
            ("keygen-exposed", keygen(keygen::Scenario::exposed())),
        ]
    }

    /// The scenario of this name.
    pub fn named(name: &str) -> Result<Self, SettingError> {
        let all = Self::all();
        let found = all.iter().find(|(known, _)| *known == name).map(|(_, setting)| setting.clone());
        found.ok_or_else(|| {
            let known = all.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ");
            SettingError::Scenario { got: name.into(), known }
        })
    }

    /// Keys with their values.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Signing(scenario) => scenario.fields(),
            Self::KeyGen(scenario) => scenario.fields(),
        }
    }

    /// Changes the value of a key.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        match self {
            Self::Signing(scenario) => scenario.set(key, value),
            Self::KeyGen(scenario) => scenario.set(key, value),
        }
    }

    /// What is broken on purpose: around the core, or in it where the program is built with that.
    pub fn break_by(&mut self, mutant: &str) -> Result<(), SettingError> {
        let tried = self.set("mutant", mutant);
        #[cfg(countersign_mutants)]
        let tried = tried.or_else(|_| self.set("core", mutant));
        let is_of_core = || CoreMutant::ALL.iter().any(|core| format!("{core:?}") == mutant);
        tried.map_err(|error| match is_of_core() {
            true => SettingError::CoreMutant { got: mutant.into() },
            false => error,
        })
    }

    /// The shortest command line arguments that name it: the scenario that differs least, and the differences.
    pub fn arguments(&self) -> String {
        let own = self.fields();
        let differences = |base: &Self| -> Vec<String> {
            let base = base.fields();
            let differs = |(own, base): &((&str, String), (&str, String))| own != base;
            let pairs = own.iter().cloned().zip(base);
            pairs.filter(differs).map(|((key, value), _)| format!(" --set {key}={value}")).collect()
        };
        let all = Self::all().into_iter().filter(|(_, base)| self.is_like(base));
        let nearest = all.map(|(name, base)| (name, differences(&base))).min_by_key(|(_, d)| d.len());
        nearest
            .map_or(String::new(), |(name, differences)| format!("--scenario {name}{}", differences.concat()))
    }

    fn is_like(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Signing(_), Self::Signing(_)) | (Self::KeyGen(_), Self::KeyGen(_)))
    }

    /// Plays a seed.
    pub fn run(&self, seed: u64) -> Result<Ended, Box<Broken>> {
        match self {
            Self::Signing(scenario) => {
                let report = World::new(scenario.as_ref().clone(), seed).run()?;
                Ok(Ended::Signing(Box::new(report)))
            }
            Self::KeyGen(scenario) => {
                let report = keygen::World::new(scenario.as_ref().clone(), seed).run()?;
                Ok(Ended::KeyGen(Box::new(report)))
            }
        }
    }

    /// The command that plays a seed again, step by step.
    pub fn replay_command(&self, seed: u64) -> String {
        let flags = if cfg!(countersign_mutants) {
            "RUSTFLAGS='--cfg countersign_mutants' "
        } else if TOY_CURVES {
            "RUSTFLAGS='--cfg countersign_toy_curves' "
        } else {
            ""
        };
        format!("{flags}cargo run -p countersign-sim -- replay {seed} {}", self.arguments())
    }
}

impl Ended {
    /// What happened.
    pub fn trace(&self) -> &crate::Trace {
        match self {
            Self::Signing(report) => &report.trace,
            Self::KeyGen(report) => &report.trace,
        }
    }
}

/// A value of a scenario as text.
pub(crate) trait Value: Sized {
    fn show(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

macro_rules! plain_values {
    ($($type:ty),+) => {$(
        impl Value for $type {
            fn show(&self) -> String {
                self.to_string()
            }

            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )+};
}

plain_values! { u16, u64, bool }

/// Several, separated by commas.
fn listed<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').filter(|part| !part.is_empty()).map(read).collect()
}

impl Value for BTreeSet<Fault> {
    fn show(&self) -> String {
        self.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    fn read(text: &str) -> Option<Self> {
        listed(text, |part| part.parse().ok()).map(|all| all.into_iter().collect())
    }
}

impl Value for Vec<Scheme> {
    fn show(&self) -> String {
        self.iter().map(|scheme| scheme.name()).collect::<Vec<_>>().join(",")
    }

    fn read(text: &str) -> Option<Self> {
        listed(text, |part| Scheme::ALL.into_iter().find(|scheme| scheme.name() == part))
    }
}

impl Value for Vec<keygen::Lie> {
    fn show(&self) -> String {
        self.iter().map(|lie| format!("{lie:?}")).collect::<Vec<_>>().join(",")
    }

    fn read(text: &str) -> Option<Self> {
        listed(text, |part| keygen::Lie::ALL.into_iter().find(|lie| format!("{lie:?}") == part))
    }
}

macro_rules! mutant_values {
    ($($(#[$cfg:meta])* $type:ty,)+) => {$(
        $(#[$cfg])*
        impl Value for Option<$type> {
            fn show(&self) -> String {
                self.map_or("none".into(), |mutant| format!("{mutant:?}"))
            }

            fn read(text: &str) -> Option<Self> {
                let found = <$type>::ALL.iter().copied().find(|mutant| format!("{mutant:?}") == text);
                if text == "none" { Some(None) } else { found.map(Some) }
            }
        }
    )+};
}

mutant_values! {
    Mutant,
    keygen::Mutant,
    #[cfg(countersign_mutants)]
    countersign_types::mutant::Mutant,
}

/// Names a scenario's fields, so that they can be read and changed as text.
macro_rules! fields {
    ($scenario:ident: $($(#[$cfg:meta])* $key:literal = $($part:ident).+,)+) => {
        impl $scenario {
            /// Keys with their values.
            pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
                use $crate::setting::Value;
                Vec::from([$($(#[$cfg])* ($key, self.$($part).+.show()),)+])
            }

            /// Changes the value of a key.
            pub(crate) fn set(
                &mut self,
                key: &str,
                value: &str,
            ) -> Result<(), $crate::setting::SettingError> {
                use $crate::setting::{SettingError, Value};
                let unfit = || SettingError::Value { key: key.into(), value: value.into() };
                match key {
                    $($(#[$cfg])* $key => {
                        self.$($part).+ = Value::read(value).ok_or_else(unfit)?;
                        Ok(())
                    })+
                    _ => {
                        let known = self.fields().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
                        Err(SettingError::Key { key: key.into(), known: known.join(", ") })
                    }
                }
            }
        }
    };
}
pub(crate) use fields;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_read_as_it_is_written() {
        for (name, setting) in Setting::all() {
            assert_eq!(Setting::named(name), Ok(setting.clone()));
            let mut read = setting.clone();
            for (key, value) in setting.fields() {
                read.set(key, &value).expect("what was written is read");
            }
            assert_eq!(read, setting);
        }
    }

    #[test]
    fn a_setting_is_named_by_the_nearest_scenario_and_what_differs() {
        let mut setting = Setting::named("sluggish").expect("a scenario");
        assert_eq!(setting.arguments(), "--scenario sluggish");
        setting.set("requests", "1").expect("a number");
        setting.set("without", "loss:3,cut:0").expect("faults");
        assert_eq!(setting.arguments(), "--scenario sluggish --set requests=1 --set without=loss:3,cut:0");
    }

    #[test]
    fn what_is_no_setting_is_told() {
        let mut setting = Setting::named("keygen").expect("a scenario");
        assert!(matches!(Setting::named("none"), Err(SettingError::Scenario { .. })));
        assert!(matches!(setting.set("requests", "1"), Err(SettingError::Key { .. })));
        assert!(matches!(setting.set("loss", "much"), Err(SettingError::Value { .. })));
        assert!(matches!(setting.set("lies", "White"), Err(SettingError::Value { .. })));
    }
}
