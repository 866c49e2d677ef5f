//! What differs between the architectures of an image, as data. It does not know how the values are used.

use uuid::{Uuid, uuid};

use crate::ground::arch::Arch;

/// How one architecture boots.
pub(super) struct Platform {
    /// GRUB's name for the firmware.
    pub efi_format: &'static str,
    /// The program that firmware starts from a disk without boot entries (UEFI 2.10, section 3.5.1.1).
    pub efi_file: &'static str,
    /// GRUB's name for booting without UEFI, where the architecture has that.
    pub bios_format: Option<&'static str>,
    /// Partition type of the root file system (UAPI discoverable partitions): systemd-repart grows it by this.
    pub root_type: Uuid,
    /// The kernel's name for the serial console.
    pub serial: &'static str,
}

const AMD64: Platform = Platform {
    efi_format: "x86_64-efi",
    efi_file: "BOOTX64.EFI",
    bios_format: Some("i386-pc"),
    root_type: uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
    serial: "ttyS0,115200n8",
};

const ARM64: Platform = Platform {
    efi_format: "arm64-efi",
    efi_file: "BOOTAA64.EFI",
    bios_format: None,
    root_type: uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"),
    serial: "ttyAMA0,115200n8",
};

impl Platform {
    pub(super) fn of(arch: Arch) -> &'static Self {
        match arch {
            Arch::Amd64 => &AMD64,
            Arch::Arm64 => &ARM64,
        }
    }
}
