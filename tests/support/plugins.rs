//! Plugin files: built once per run, with the profile of the test, and changed byte by byte where a test needs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The plugins that are shipped, by the name of their library.
const SHIPPED: [&str; 9] = [
    "echo",
    "bridge",
    "broadcast",
    "increment",
    "permessage_deflate",
    "cgi",
    "post_form",
    "ip_filter",
    "basic_auth",
];

/// Those of `examples`.
const EXAMPLES: [&str; 1] = ["server_sent_events"];

/// The fixtures of `tests/fixtures`, by the name of their library.
const FIXTURES: [&str; 14] = [
    "caller",
    "marker",
    "lives",
    "panics",
    "probe",
    "pieces",
    "two_protocols",
    "allocation_counter",
    "lengthens",
    "ext_panics",
    "doorkeeper",
    "http_probe",
    "answers",
    "gatekeeper",
];

/// The text in `marker` behind which its version stands.
const MARKER: &[u8] = b"hotsocket-marker-version-";

/// The version of packages that were changed: cargo must not take them for ours, which it builds into the same
/// directory, and abi_stable must.
const OTHER_VERSION: &str = "0.1.99";

/// The file of a plugin that is shipped, an example or a fixture.
pub(crate) fn plugin(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(build);
    let file = binary_directory().join(format!("lib{name}.so"));
    assert!(file.exists(), "{} is not built", file.display());
    file
}

/// `plugins/echo`.
pub(crate) fn echo() -> PathBuf {
    plugin("echo")
}

/// `plugins/permessage-deflate`.
pub(crate) fn permessage_deflate() -> PathBuf {
    plugin("permessage_deflate")
}

/// The bytes of the plugin `marker` that answers with `version`.
pub(crate) fn marker(version: u32) -> Vec<u8> {
    let bytes = fs::read(stripped_marker()).expect("a built plugin");
    replaced(
        &bytes,
        marker_text(0).as_bytes(),
        marker_text(version).as_bytes(),
    )
}

/// The plugin `marker` without debug information, which would make each of its many versions several times as long.
fn stripped_marker() -> &'static Path {
    static STRIPPED: OnceLock<PathBuf> = OnceLock::new();
    STRIPPED.get_or_init(|| {
        let built = plugin("marker");
        let stripped = binary_directory().join("stripped_marker.so");
        run(Command::new("strip")
            .arg("--strip-debug")
            .arg("-o")
            .args([&stripped, &built]));
        stripped
    })
}

/// The bytes of the plugin `marker` that `fails` or `panics` when it is started.
pub(crate) fn marker_that(what: &str) -> Vec<u8> {
    let new = format!("hotsocket-start-{what:_<8}");
    replaced(&marker(0), b"hotsocket-start-succeeds", new.as_bytes())
}

/// What that plugin puts before each answer.
pub(crate) fn marker_text(version: u32) -> String {
    format!("{}{version:07}", String::from_utf8_lossy(MARKER))
}

/// `bytes` with each `old` made `new`, which is as long.
pub(crate) fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len(), "a file is patched in place");
    let mut out = bytes.to_vec();
    let places: Vec<usize> = (0..bytes.len().saturating_sub(old.len()))
        .filter(|&at| bytes[at] == old[0] && bytes[at..].starts_with(old))
        .collect();
    assert!(!places.is_empty(), "{:?} is not there", old.escape_ascii());
    for at in places {
        out[at..at + old.len()].copy_from_slice(new);
    }
    out
}

/// Where the fixed part of the stamp begins.
pub(crate) fn stamp_offset(bytes: &[u8]) -> usize {
    // In .rodata of a file that checks stamps the same text might stand; the stamp is followed by its size.
    let magic = b"HOTSOCKET-PLUGIN";
    let mut places = bytes.windows(magic.len()).enumerate();
    let found = places.find(|(_, window)| *window == magic);
    found.expect("a plugin has a stamp").0
}

/// A file that was built with one field of a block changed, and says that it was not.
pub(crate) fn changed_abi() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| changed_abi_in(&target_directory().join("changed-abi-source")))
}

fn changed_abi_in(source: &Path) -> PathBuf {
    let api = repository().join("plugin-api");
    fs::remove_dir_all(source).ok();
    copy_tree(&api, &source.join("plugin-api"));
    copy_tree(
        &repository().join("tests/fixtures/changed_abi"),
        &source.join("plugin"),
    );
    for name in ["Cargo.lock", "rust-toolchain.toml"] {
        fs::copy(repository().join(name), source.join(name)).expect("a file of ours");
    }
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).expect("a file of ours");
    let (before, rest) = manifest.split_once("members = [").expect("a workspace");
    let (_, after) = rest.split_once("[workspace.package]").expect("a workspace");
    let members = r#"members = ["plugin-api", "plugin-api/abi", "plugin"]"#;
    let manifest = format!("{before}{members}\n\n[workspace.package]{after}").replacen(
        &version_line(env!("CARGO_PKG_VERSION")),
        &version_line(OTHER_VERSION),
        1,
    );
    fs::write(source.join("Cargo.toml"), manifest).expect("a fresh directory");

    edit(&source.join("plugin-api/Cargo.toml"), |text| {
        let (before, rest) = text.split_once("[dev-dependencies]").expect("tests");
        let (_, after) = rest.split_once("\n\n").expect("a section behind it");
        format!("{before}{after}")
    });
    edit(&source.join("plugin-api/abi/Cargo.toml"), |text| {
        text.replacen(&version_line("0.1.0"), &version_line(OTHER_VERSION), 1)
    });
    let abi = source.join("plugin-api/abi/src");
    let hash = hotsocket_abi::LAYOUT_HASH;
    edit(&abi.join("layout.rs"), |text| {
        let (before, rest) = text
            .split_once("pub const LAYOUT_HASH: u64 = ")
            .expect("the hash");
        let (_, after) = rest.split_once(");\n").expect("its end");
        format!("{before}pub const LAYOUT_HASH: u64 = {hash};\n{after}")
            .replace("const fn fnv1a", "#[allow(dead_code)]\nconst fn fnv1a")
    });
    // Two calls with one signature change places: everything compiles, and everything would go wrong.
    edit(&abi.join("host.rs"), |text| {
        text.replace("pub pause: unsafe", "pub swapped: unsafe")
            .replace("pub resume: unsafe", "pub pause: unsafe")
            .replace("pub swapped: unsafe", "pub resume: unsafe")
    });
    let mut command = cargo_build();
    command
        .arg("--manifest-path")
        .arg(source.join("Cargo.toml"));
    run(command.args(["-p", "hotsocket-fixture-marker"]));
    binary_directory().join("libchanged_abi.so")
}

fn build() {
    let mut command = cargo_build();
    command
        .arg("--manifest-path")
        .arg(repository().join("Cargo.toml"));
    for name in SHIPPED.iter().chain(&EXAMPLES) {
        let package = format!("hotsocket-{}", name.replace('_', "-"));
        command.args(["-p", &package]);
    }
    for name in FIXTURES {
        let package = format!("hotsocket-fixture-{}", name.replace('_', "-"));
        command.args(["-p", &package]);
    }
    run(&mut command);
}

/// `cargo build` into the directory and with the profile of the binary under test.
fn cargo_build() -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--offline", "--quiet", "--target-dir"]);
    command.arg(target_directory());
    let directory = binary_directory();
    let profile = directory.file_name().and_then(|name| name.to_str());
    match profile.expect("a directory has a name") {
        "debug" => command.args(["--profile", "dev"]),
        profile => command.args(["--profile", profile]),
    };
    command
}

fn run(command: &mut Command) {
    let output = command.output().expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}");
}

fn version_line(version: &str) -> String {
    format!("version = \"{version}\"")
}

fn edit(file: &Path, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(file).expect("a copied file");
    let changed = change(&text);
    assert_ne!(text, changed, "{} is as it was", file.display());
    fs::write(file, changed).expect("a copied file");
}

/// Copies a directory with all that is in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a fresh directory");
    for entry in fs::read_dir(from).expect("a directory of ours") {
        let entry = entry.expect("a directory of ours");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a file of ours").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file of ours");
        }
    }
}

/// The top of the repository.
pub(crate) fn repository() -> &'static Path {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    host.parent().expect("the host is in the repository")
}

fn binary_directory() -> &'static Path {
    let binary = Path::new(env!("CARGO_BIN_EXE_hotsocket"));
    binary.parent().expect("a binary is in a directory")
}

/// The directory in which cargo builds.
pub(crate) fn target_directory() -> &'static Path {
    binary_directory().parent().expect("one per profile")
}
