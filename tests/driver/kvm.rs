//! This machine's KVM, whatever it does: a machine comes up that it gives up.

use std::time::Duration;

use builder::driver::{Accel, Accelerator, DriverError, Running, UpRequest, Wait, named, status, up};
use builder::ground::progress::Progress;

use super::lab::{Lab, boot_sector};
use crate::again::ran_again;

/// Prints the text at 0x40 on the first serial port, and three seconds later that at 0x100. Between them it loads a
/// floating-point number from where no memory is: KVM's emulator does not know that instruction, QEMU's own does.
const CODE: [u8; 57] = [
    0x31, 0xc0, // xor ax, ax
    0x8e, 0xd8, // mov ds, ax
    0xbe, 0x40, 0x7c, // mov si, 0x7c40
    0xe8, 0x23, 0x00, // call print
    0xfb, // sti
    0x8b, 0x1e, 0x6c, 0x04, // mov bx, [0x46c]: the BIOS's clock
    0xf4, // wait: hlt
    0xa1, 0x6c, 0x04, // mov ax, [0x46c]
    0x29, 0xd8, // sub ax, bx
    0x83, 0xf8, 0x37, // cmp ax, 55
    0x72, 0xf5, // jb wait
    0xb8, 0x00, 0xb8, // mov ax, 0xb800: a screen's memory, without a screen
    0x8e, 0xc0, // mov es, ax
    0x26, 0xd9, 0x06, 0x00, 0x00, // fld dword [es:0]
    0xbe, 0x00, 0x7d, // mov si, 0x7d00
    0xe8, 0x03, 0x00, // call print
    0xf4, // stop: hlt
    0xeb, 0xfd, // jmp stop
    0xba, 0xf8, 0x03, // print: mov dx, 0x3f8: COM1
    0xac, // next: lodsb
    0x84, 0xc0, // test al, al
    0x74, 0x03, // jz done
    0xee, // out dx, al
    0xeb, 0xf8, // jmp next
    0xc3, // done: ret
];

/// A processor without anything new: more KVMs run it than the host's own.
fn plain() -> Vec<String> {
    ["-cpu", "qemu64"].map(str::to_owned).to_vec()
}

#[test]
fn a_machine_that_kvm_gives_up_is_started_again_emulated() {
    if ran_again("driver::kvm::a_machine_that_kvm_gives_up_is_started_again_emulated") {
        return;
    }
    let (plain, progress) = (plain(), Progress::new());
    let texts = ["firstboot: tiny: applied 1 files in 1 ms, 0 unchanged\r\n", "tiny login: "];
    let lab = Lab::of(&boot_sector(&CODE, texts));
    let request = UpRequest { options: &plain, accel: Accel::Auto, ..lab.request() };
    let report = up(named("qemu").unwrap(), &request, &progress).unwrap();
    // The console of a start before: there is a KVM that runs firmware at least.
    let kvm = lab.path("run/a/serial.log.1").exists();
    for node in report.nodes {
        assert_eq!(node.accelerator, Some(Accelerator::Tcg));
        assert!(lab.console(&node.name).ends_with("tiny login: "), "{}", lab.console(&node.name));
    }
    lab.down(None, 0, true).unwrap();

    let request = UpRequest { node: Some("a"), accel: Accel::Kvm, ..request };
    let error = up(named("qemu").unwrap(), &request, &progress).unwrap_err();
    assert!(matches!(error, DriverError::NoKvm(_)), "{error}");
    assert_eq!(error.to_string().contains("it gave up `a` (KVM internal error"), kvm, "{error}");
    assert_ne!(status(&lab.folder).unwrap().nodes[0].state, Running::Running);

    // Where nobody waits, it is `status` that tells, and the next `up` that helps.
    if kvm {
        up(named("qemu").unwrap(), &UpRequest { wait: Wait::None, ..request }, &progress).unwrap();
        let trouble = (0..300).find_map(|_| {
            std::thread::sleep(Duration::from_millis(100));
            status(&lab.folder).unwrap().nodes[0].boot.trouble.clone()
        });
        assert!(trouble.is_some_and(|trouble| trouble.starts_with("KVM internal error")));
        let report =
            up(named("qemu").unwrap(), &UpRequest { accel: Accel::Auto, ..request }, &progress).unwrap();
        assert_eq!(report.nodes[0].accelerator, Some(Accelerator::Tcg));
    }
    lab.down(None, 0, true).unwrap();
    assert_eq!(lab.left_over(), Vec::<String>::new());
}
