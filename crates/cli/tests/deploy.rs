//! What deploys a node, the unit of systemd and the image, names what there is: files, packages, commands that this program takes.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The command's code for wrong usage.
const USAGE: i32 = 2;
/// What the image needs to run that the build does not ask for.
const RUN_PACKAGES: [&str; 2] = ["ca-certificates", "libstdc++6"];
/// The most that systemd may find lacking in the unit, of 100: 14 was when it was written.
const MOST_EXPOSED: &str = "20";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn countersign(arguments: &[&str], credentials: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).env_remove("COUNTERSIGN_PASSPHRASE").env_remove("CREDENTIALS_DIRECTORY");
    if let Some(folder) = credentials {
        command.env("CREDENTIALS_DIRECTORY", folder);
    }
    command.output().expect("the program runs")
}

/// The program takes these words; that there is no such node is another matter, and is seen to here.
fn takes(words: &[&str]) {
    let elsewhere: Vec<String> = words.iter().map(|word| word.replace("/var/lib", "/nowhere")).collect();
    let output = countersign(&elsewhere.iter().map(String::as_str).collect::<Vec<_>>(), None);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code != USAGE && code != 0), "{words:?}: {said}");
}

/// The values of a setting of a unit.
fn settings<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn unit() -> String {
    file("deploy/systemd/countersign.service")
}

#[test]
fn the_unit_runs_a_command_that_exists() {
    let unit = unit();
    let [start] = settings(&unit, "ExecStart")[..] else { panic!("one command") };
    let words: Vec<&str> = start.split(' ').collect();
    assert_eq!(words[0], "/usr/local/bin/countersign");
    takes(&words[1..]);
    // and this is seen where it would not
    let output = countersign(&["node", "run", "--configuration", "x"], None);
    assert_eq!(output.status.code(), Some(USAGE));
}

#[test]
fn the_units_credential_is_the_one_that_the_program_reads() {
    let unit = unit();
    let [credential] = settings(&unit, "LoadCredential")[..] else { panic!("one credential") };
    let (name, _) = credential.split_once(':').expect("a name and a file");
    let folder = tempfile::tempdir().expect("a folder");
    let credentials = folder.path().join("credentials");
    fs::create_dir(&credentials).expect("made");
    let node = folder.path().join("node");
    let init = ["node", "init", "--weak-passphrase", node.to_str().expect("a path")];
    let without = countersign(&init, Some(&credentials));
    let said = String::from_utf8_lossy(&without.stderr);
    assert!(!without.status.success() && said.contains("no passphrase: give --passphrase-file"), "{said}");
    fs::write(credentials.join(name), "correct horse battery staple\n").expect("written");
    let output = countersign(&init, Some(&credentials));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mode = fs::metadata(&node).expect("made").permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}

#[test]
fn the_unit_and_its_user_fit() {
    let (unit, sysusers) = (unit(), file("deploy/systemd/countersign.conf"));
    let [user] = settings(&unit, "User")[..] else { panic!("one user") };
    assert!(sysusers.lines().any(|line| line.starts_with(&format!("u {user} "))), "{sysusers}");
    for (key, value) in [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("CapabilityBoundingSet", ""),
        ("LimitCORE", "0"),
        ("MemorySwapMax", "0"),
        ("StateDirectoryMode", "0700"),
    ] {
        assert_eq!(settings(&unit, key), [value], "{key}");
    }
}

/// What systemd says of a unit, and whether it is content; none where there is no systemd.
fn analyze(arguments: &[&str], unit: &str) -> Option<(bool, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("countersign.service");
    // it looks whether the program is there
    fs::write(&path, unit.replace("/usr/local/bin/countersign", env!("CARGO_BIN_EXE_countersign")))
        .expect("written");
    let output = Command::new("systemd-analyze").args(arguments).arg(&path).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn systemd_takes_the_unit_and_finds_little_exposed() {
    let unit = unit();
    let Some((content, said)) = analyze(&["verify"], &unit) else {
        return eprintln!("there is no systemd-analyze here: the unit was not looked at");
    };
    assert!(content && !said.contains("countersign.service"), "{said}");
    let (_, said) = analyze(&["verify"], &unit.replace("ProtectHome=", "ProtectHouse=")).expect("as before");
    assert!(said.contains("ProtectHouse"), "a setting that does not exist goes unnoticed: {said}");

    let threshold = format!("--threshold={MOST_EXPOSED}");
    let security = ["security", "--offline=true", &threshold];
    let (content, said) = analyze(&security, &unit).expect("as before");
    assert!(content, "{said}");
    let open = unit.replace("CapabilityBoundingSet=", "").replace("PrivateUsers=yes", "");
    let (content, said) = analyze(&security, &open).expect("as before");
    assert!(!content, "a unit with privileges goes unnoticed: {said}");
}

fn manifest() -> toml::Table {
    file("Cargo.toml").parse().expect("a manifest")
}

/// An instruction of the image: its name, and the rest with continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = file("deploy/Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| {
        line.trim().split_once(' ').map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()))
    };
    lines.map(|line| split(line).unwrap_or_else(|| panic!("{line:?}"))).collect()
}

fn all<'a>(instructions: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    instructions.iter().filter(|(is, _)| is == name).map(|(_, rest)| rest.as_str()).collect()
}

#[test]
fn the_image_copies_what_there_is() {
    let instructions = instructions();
    let copied: Vec<&str> =
        all(&instructions, "COPY").into_iter().filter(|rest| !rest.starts_with("--from")).collect();
    let sources = copied.iter().flat_map(|rest| {
        let words: Vec<&str> = rest.split_whitespace().collect();
        words[..words.len() - 1].to_vec()
    });
    let sources: Vec<&str> = sources.collect();
    for source in &sources {
        assert!(root().join(source).exists(), "{source} is copied and does not exist");
    }
    // the workspace's members, and what they include from beside them
    let manifest = manifest();
    let members = manifest["workspace"]["members"].as_array().expect("members").iter();
    let members = members.map(|member| member.as_str().expect("a path").trim_end_matches("/*"));
    for needed in members.chain(["Cargo.toml", "Cargo.lock", ".cargo", "actions"]) {
        assert!(sources.contains(&needed), "{needed} is not copied");
    }
    let ignored = file("deploy/Dockerfile.dockerignore");
    assert!(ignored.lines().all(|line| !sources.contains(&line)), "what is copied is ignored");
}

#[test]
fn the_image_builds_with_the_compiler_and_packages_that_the_project_asks_for() {
    let instructions = instructions();
    let manifest = manifest();
    let rust = manifest["workspace"]["package"]["rust-version"].as_str().expect("a version").to_owned();
    let images: Vec<&str> = all(&instructions, "ARG");
    let named =
        |key: &str| images.iter().find_map(|arg| arg.strip_prefix(key)?.strip_prefix('=')).expect("an image");
    assert!(named("BUILD_IMAGE").starts_with(&format!("rust:{rust}.")), "{images:?} and rust-version {rust}");
    for image in [named("BUILD_IMAGE"), named("RUN_IMAGE")] {
        let tag = image.split_once(':').expect("a tag").1;
        assert!(tag.starts_with(|c: char| c.is_ascii_digit()) && tag.contains('.'), "{image} is no version");
    }
    let setup = file("crates/xtask/src/setup.rs");
    let installed = all(&instructions, "RUN").join(" ");
    let mut packages = 0;
    for list in installed.split("--no-install-recommends").skip(1) {
        for package in list.split("&&").next().unwrap_or_default().split_whitespace() {
            let known = setup.contains(&format!("\"{package}\"")) || RUN_PACKAGES.contains(&package);
            assert!(known, "{package} is installed, and nothing asks for it");
            packages += 1;
        }
    }
    assert_eq!(packages, 4, "{installed}");
}

#[test]
fn the_image_runs_commands_that_exist_as_nobody_in_particular() {
    let instructions = instructions();
    let last = |name: &str| *all(&instructions, name).last().unwrap_or_else(|| panic!("no {name}"));
    let words =
        |json: &str| -> Vec<String> { serde_json::from_str(json).unwrap_or_else(|_| panic!("{json}")) };
    assert_eq!(words(last("ENTRYPOINT")), ["countersign"]);
    let command = words(last("CMD"));
    takes(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let health = last("HEALTHCHECK").split_once("CMD ").expect("a command").1;
    let health = words(health);
    assert_eq!(health[0], "countersign");
    takes(&health[1..].iter().map(String::as_str).collect::<Vec<_>>());
    let (user, group) = last("USER").split_once(':').expect("user and group");
    for id in [user, group] {
        assert!(id.parse::<u32>().is_ok_and(|id| id >= 1_000), "{id}");
    }
}

#[test]
fn the_documents_name_files_that_exist() {
    for entry in fs::read_dir(root().join("docs/operators")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("readable");
        let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in linked.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let target = path.with_file_name(link.split('#').next().unwrap_or_default());
            assert!(target.exists(), "{} leads to {link}, which does not exist", path.display());
        }
        let is_end = |c: char| c.is_whitespace() || matches!(c, '`' | ')' | ',' | ';');
        for word in text.split(is_end).filter(|word| word.starts_with("deploy/")) {
            assert!(root().join(word).exists(), "{} names {word}, which does not exist", path.display());
        }
    }
}
