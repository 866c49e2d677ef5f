//! GRUB: the program in the EFI system partition, the one that a BIOS starts, and the menu that both read from the
//! root file system. It does not know what is in the tree beyond the kernel's release.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use fs_err as fs;

use crate::disk::error::DiskError;
use crate::disk::layout::{Layout, Partition, SECTOR};
use crate::disk::platform::Platform;
use crate::disk::work::{DISK, Spec, WORK, file_system_id};
use crate::ground::repro;
use crate::sandbox::Sandbox;

/// What GRUB needs to read its menu and start Linux; all of it lies in the programs, so /boot/grub holds no modules.
const MODULES: [&str; 14] = [
    "part_gpt",
    "ext2",
    "search_fs_uuid",
    "normal",
    "linux",
    "echo",
    "test",
    "serial",
    "terminal",
    "configfile",
    "ls",
    "cat",
    "halt",
    "reboot",
];

const EARLY: &str = "early.cfg";

/// The menu: one entry, started at once; a failing start leaves the menu on the screen and on the serial line.
pub(super) fn menu(layout: &Layout, spec: &Spec, kernel: &str) -> String {
    let Spec { cmdline, .. } = spec;
    let serial = Platform::of(spec.arch).serial;
    let partition = layout.root.id;
    // UEFI's own console already is the screen and the serial line.
    format!(
        r#"set timeout=0
if [ "$grub_platform" = pc ]; then
  if serial --unit=0 --speed=115200; then
    terminal_input console serial
    terminal_output console serial
  fi
fi
menuentry "Linux {kernel}" {{
  echo "Kiln: starting Linux {kernel}"
  linux /boot/vmlinuz-{kernel} root=PARTUUID={partition} ro console=tty0 console={serial} {cmdline}
  initrd /boot/initrd.img-{kernel}
}}
"#
    )
}

/// Puts GRUB on the disk for every firmware of the architecture. `work` is the folder that the tools see as [`WORK`].
pub(super) fn install(
    tools: &Sandbox,
    layout: &Layout,
    spec: &Spec,
    work: &Path,
    disk: &mut fs::File,
) -> Result<(), DiskError> {
    let platform = Platform::of(spec.arch);
    // GRUB sets `root` to the root partition of the disk that it was started from; as a hint this decides
    // between two disks with the same image.
    let early = format!("search.fs_uuid {} root $root\nset prefix=($root)/boot/grub\n", file_system_id(spec));
    fs::write(work.join(EARLY), early)?;
    make_esp(tools, layout, spec, platform)?;
    if let (Some(format), Some(partition)) = (platform.bios_format, &layout.bios_boot) {
        make_image(tools, (layout, spec), format, "core.img", &["biosdisk"])?;
        let core = fs::read(work.join("core.img"))?;
        let boot = tools.run(["cat".to_owned(), format!("{}/{format}/boot.img", spec.grub)])?;
        embed(disk, partition, boot, core)?;
    }
    Ok(())
}

/// One self-contained GRUB program in [`WORK`].
fn make_image(
    tools: &Sandbox,
    (layout, spec): (&Layout, &Spec),
    format: &str,
    name: &str,
    more: &[&str],
) -> Result<(), DiskError> {
    let prefix = format!("(,gpt{})/boot/grub", layout.root_number());
    let parts = format!("{}/{format}", spec.grub);
    let (early, out) = (format!("{WORK}/{EARLY}"), format!("{WORK}/{name}"));
    let argv = ["grub-mkimage", "-d", &parts, "-O", format, "-p", &prefix, "-c", &early, "-o", &out];
    tools.run(argv.iter().chain(more).chain(&MODULES))?;
    Ok(())
}

/// The EFI system partition, made in place: a FAT with the one program.
fn make_esp(tools: &Sandbox, layout: &Layout, spec: &Spec, platform: &Platform) -> Result<(), DiskError> {
    make_image(tools, (layout, spec), platform.efi_format, platform.efi_file, &["fat"])?;
    let start = layout.esp.range.start;
    let serial = hex::encode(&repro::uuid(&spec.key, "esp-fs").as_bytes()[..4]);
    let sector = (start / SECTOR).to_string();
    let kibibytes = (layout.esp.size() / 1024).to_string();
    tools.run([
        "mkfs.fat",
        "--invariant",
        "--mbr=n",
        "--offset",
        &sector,
        "-h",
        &sector,
        "-i",
        &serial,
        "-n",
        "KILN-ESP",
        "-F",
        "16",
        "-s",
        "4",
        DISK,
        &kibibytes,
    ])?;
    let image = format!("{DISK}@@{start}");
    tools.run(["mmd", "-i", &image, "::/EFI", "::/EFI/BOOT"])?;
    let program = format!("{WORK}/{}", platform.efi_file);
    tools.run(["mcopy", "-i", &image, &program, "::/EFI/BOOT/"])?;
    Ok(())
}

/// Offsets in GRUB 2's boot.img (include/grub/i386/pc/boot.h): the code ends where the partition table begins.
const CODE_END: usize = 0x1b8;
const KERNEL_SECTOR: usize = 0x5c;
const DRIVE_CHECK: usize = 0x66;

/// Offset of the first block list in core.img's first sector, diskboot.img: start (u64), sectors (u16), segment (u16).
const BLOCK_LIST: usize = 0x1f4;
const LOAD_SEGMENT: u16 = 0x820;

/// Does what `grub-bios-setup` does, which wants a block device: boot.img into the MBR, pointing at core.img in the
/// BIOS-boot partition, whose first sector loads the rest.
fn embed(
    disk: &mut (impl Read + Write + Seek),
    partition: &Partition,
    mut boot: Vec<u8>,
    mut core: Vec<u8>,
) -> Result<(), DiskError> {
    let room = partition.size();
    let sectors = core.len().div_ceil(SECTOR as usize);
    let rest = u16::try_from(sectors.saturating_sub(1)).unwrap_or(u16::MAX);
    if boot.len() != SECTOR as usize || rest == 0 || sectors as u64 * SECTOR > room {
        return Err(DiskError::Grub { boot: boot.len(), core: core.len(), room });
    }
    let first = partition.range.start / SECTOR;
    boot[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&first.to_le_bytes());
    // Two no-ops over a jump: distrust the drive number of a BIOS that says "floppy".
    boot[DRIVE_CHECK..DRIVE_CHECK + 2].fill(0x90);
    core[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&(first + 1).to_le_bytes());
    core[BLOCK_LIST + 8..BLOCK_LIST + 10].copy_from_slice(&rest.to_le_bytes());
    core[BLOCK_LIST + 10..BLOCK_LIST + 12].copy_from_slice(&LOAD_SEGMENT.to_le_bytes());
    for (at, bytes) in [(0, &boot[..CODE_END]), (partition.range.start, &core)] {
        disk.seek(SeekFrom::Start(at))?;
        disk.write_all(bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::embed;
    use crate::disk::error::DiskError;
    use crate::disk::layout::{Layout, Partition};
    use crate::ground::arch::Arch;

    fn bios_boot() -> Partition {
        Layout::new(Arch::Amd64, 64 << 20, &[7; 32]).unwrap().bios_boot.unwrap()
    }

    #[test]
    fn the_mbr_points_at_the_core_and_the_core_at_its_rest() {
        let partition = bios_boot();
        let mut disk = Cursor::new(vec![0xee; 2 << 20]);
        embed(&mut disk, &partition, vec![0xbb; 512], vec![0xcc; 1025]).unwrap();
        let disk = disk.into_inner();
        assert_eq!(disk[0x5c..0x64], 2048u64.to_le_bytes());
        assert_eq!(disk[0x66..0x68], [0x90, 0x90]);
        assert_eq!(disk[0x1b7..0x1ba], [0xbb, 0xee, 0xee], "the table is left alone");
        let core = &disk[1 << 20..];
        assert_eq!(core[0x1f4..0x1fc], 2049u64.to_le_bytes());
        assert_eq!(core[0x1fc..0x200], [2, 0, 0x20, 0x08]);
        assert_eq!(core[1024..1026], [0xcc, 0xee]);
    }

    #[test]
    fn a_core_that_does_not_fit_is_refused() {
        let partition = bios_boot();
        for (boot, core) in [(512, (1 << 20) + 1), (512, 512), (512, 0), (511, 1024)] {
            let result = embed(&mut Cursor::new(Vec::new()), &partition, vec![0; boot], vec![0; core]);
            assert!(matches!(result, Err(DiskError::Grub { .. })), "{boot} {core}");
        }
    }
}
