//! Programs of another architecture in a sandbox: the kernel starts an emulator for them. The registration holds in the
//! sandbox's own user namespace (binfmt_misc, since Linux 6.7), so the host's settings are neither needed nor touched.

use std::io;
use std::path::Path;

use fs_err as fs;
use nix::mount::{MsFlags, mount};

use crate::ground::arch::Arch;

/// Where the sandbox shows the root with the emulators.
pub(super) const EMULATOR: &str = "/kiln/emulator";

/// Where the kernel takes registrations.
const BINFMT: &str = "/kiln/binfmt_misc";

/// What Linux needs, for people.
pub(super) const HINT: &str =
    "foreign programs need Linux 6.7 or newer with binfmt_misc; `builder doctor` says what this host lacks";

/// The programs of one architecture: their machine number in ELF headers (elf(5), `e_machine`), and the emulator's
/// file in Debian's package qemu-user.
fn programs(arch: Arch) -> (u8, &'static str) {
    match arch {
        Arch::Amd64 => (62, "qemu-x86_64"),
        Arch::Arm64 => (183, "qemu-aarch64"),
    }
}

/// Has the kernel run the programs of an architecture by the emulator from now on. In the sandbox's root.
pub(super) fn register(arch: Arch) -> io::Result<()> {
    fs::create_dir(BINFMT)?;
    let none: Option<&str> = None;
    mount(Some("binfmt_misc"), BINFMT, Some("binfmt_misc"), MsFlags::empty(), none)
        .map_err(|error| io::Error::other(format!("mounting binfmt_misc: {error}")))?;
    fs::write(Path::new(BINFMT).join("register"), rule(arch))
}

/// A line for binfmt_misc: the beginning of a 64-bit little-endian ELF file, executable or position-independent, of any
/// ABI. `F` opens the emulator now, because a later root has none.
fn rule(arch: Arch) -> String {
    let (machine, program) = programs(arch);
    let mut magic = [0; 20];
    magic[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (magic[16], magic[18]) = (2, machine);
    let mut mask = [0xff; 20];
    (mask[7], mask[16]) = (0, 0xfe);
    let text = |bytes: [u8; 20]| bytes.map(|byte| format!("\\x{byte:02x}")).concat();
    format!(":{arch}:M::{}:{}:{EMULATOR}/usr/bin/{program}:F", text(magic), text(mask))
}

#[cfg(test)]
mod tests {
    use super::rule;
    use crate::ground::arch::Arch;

    #[test]
    fn a_rule_names_the_header_and_the_emulator() {
        insta::assert_snapshot!(rule(Arch::Arm64), @r":arm64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/kiln/emulator/usr/bin/qemu-aarch64:F");
    }
}
