//! Compiles firstboot for the images, to be embedded: static musl, the same bytes from any folder, user and machine.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian architecture and Rust target.
const TARGETS: [(&str, &str); 2] =
    [("amd64", "x86_64-unknown-linux-musl"), ("arm64", "aarch64-unknown-linux-musl")];

fn main() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    for input in ["firstboot/src", "firstboot/Cargo.toml", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml"]
    {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for (arch, target) in TARGETS {
        let binary = compile(workspace, &out, target);
        std::fs::copy(&binary, out.join(format!("firstboot-{arch}"))).expect("the binary was just made");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the compiler is the host's, by design; the lock checks its result"
)]
fn compile(workspace: &Path, out: &Path, target: &str) -> PathBuf {
    // A target folder of its own: cargo holds the lock of the outer one.
    let folder = out.join("firstboot");
    let cargo = env::var_os("CARGO").expect("cargo sets CARGO");
    let mut command = Command::new(cargo);
    command
        .args(["build", "--package", "firstboot", "--profile", "image", "--locked", "--target", target])
        .arg("--target-dir")
        .arg(&folder)
        .current_dir(workspace);
    // Nothing of the outer build's settings may reach the bytes.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let foreign = ["CARGO_", "RUST", "DEP_", "CC", "CFLAGS", "SOURCE_DATE_EPOCH"];
        let kept =
            ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_HTTP_CAINFO", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
        if foreign.iter().any(|prefix| name.starts_with(prefix)) && !kept.contains(&name.as_str()) {
            command.env_remove(&name);
        }
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(workspace).join("\x1f"));
    let status = command.status().expect("cargo runs, it runs this");
    assert!(
        status.success(),
        "firstboot does not compile for {target}; `rustup target add {target}` gives the pinned compiler this target"
    );
    folder.join(target).join("image/firstboot")
}

/// The linker that comes with the compiler, and every path of this machine under a neutral name.
fn flags(workspace: &Path) -> Vec<String> {
    let home = |variable: &str, default: &str| {
        env::var_os(variable)
            .map_or_else(|| Path::new(&env::var_os("HOME").unwrap_or_default()).join(default), PathBuf::from)
    };
    let cargo_home = home("CARGO_HOME", ".cargo");
    let rustup_home = home("RUSTUP_HOME", ".rustup");
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    vec![
        "-Clinker=rust-lld".to_owned(),
        "-Clinker-flavor=ld.lld".to_owned(),
        "-Clink-self-contained=yes".to_owned(),
        "-Crelocation-model=static".to_owned(),
        remap(workspace, "/kiln"),
        remap(&cargo_home, "/cargo"),
        remap(&rustup_home, "/rustup"),
    ]
}
