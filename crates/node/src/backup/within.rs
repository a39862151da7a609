//! Where a configuration has a node write: in its own folder, or elsewhere.

use std::path::{Component, Path, PathBuf};

use crate::NodeConfig;

/// What a configuration has the node write outside of the folder that it lies in: the setting, and its path. Where a backup
/// brings the configuration, nothing may be there, since a backup says nothing of what else is on the machine.
pub fn outside(config_file: &Path, config: &NodeConfig) -> Vec<(&'static str, PathBuf)> {
    let folder = config_file.parent().unwrap_or(Path::new("."));
    let written = [
        ("data", Some(&config.data)),
        ("genesis", Some(&config.genesis)),
        ("identity", Some(&config.identity)),
        ("debug.wire_log", config.debug.wire_log.as_ref()),
    ];
    let paths = written.into_iter().filter_map(|(setting, path)| Some((setting, path?)));
    paths.filter(|(_, path)| leaves(folder, path)).map(|(setting, path)| (setting, path.clone())).collect()
}

/// Whether a path leads out of a folder, or may: it is elsewhere, or goes up on the way.
fn leaves(folder: &Path, path: &Path) -> bool {
    let goes_down = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    path.strip_prefix(folder).map_or(true, |rest| !rest.components().all(goes_down))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside_of(file: &str, text: &str) -> Vec<(&'static str, PathBuf)> {
        let config = NodeConfig::parse(Path::new(file), text).expect("a configuration");
        outside(Path::new(file), &config)
    }

    #[test]
    fn what_lies_in_the_folder_is_not_outside() {
        let inside = "data = 'data'\ngenesis = './network/genesis.json'\n[debug]\nwire_log = 'wire.jsonl'\n";
        for file in ["node.toml", "restored/node.toml", "../restored/node.toml", "/srv/node/node.toml"] {
            assert!(outside_of(file, inside).is_empty(), "{file}");
        }
        let absolute = "data = '/srv/node/data'\ngenesis = '/srv/node/genesis.json'\n";
        assert!(outside_of("/srv/node/node.toml", absolute).is_empty());
    }

    #[test]
    fn what_is_written_elsewhere_is_named() {
        let whole = "data = 'data'\ngenesis = 'genesis.json'\nidentity = 'identity.sealed'\n[debug]\nwire_log = 'wire'\n";
        for (setting, path) in [
            ("data", "data"),
            ("genesis", "genesis.json"),
            ("identity", "identity.sealed"),
            ("debug.wire_log", "wire"),
        ] {
            for elsewhere in ["/elsewhere", "../elsewhere", "down/../../elsewhere"] {
                let text = whole.replace(&format!("'{path}'"), &format!("'{elsewhere}'"));
                for file in ["node.toml", "restored/node.toml", "/srv/node/node.toml"] {
                    let found = outside_of(file, &text);
                    let expected = Path::new(file).parent().expect("a folder").join(elsewhere);
                    assert_eq!(found, [(setting, expected)], "{file}");
                }
            }
        }
    }
}
