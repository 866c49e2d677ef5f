//! An Ethernet card of the test's own on the switch of a lab.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use builder::sandbox::Sandbox;
use fs_err as fs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::lab::Lab;

/// An Ethernet card on the switch, by a QEMU without a machine that hands over its frames with their length before
/// them ("-netdev stream" in QEMU's documentation).
pub(super) struct Card {
    stream: UnixStream,
    qemu: Pid,
    _folder: tempfile::TempDir,
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = kill(self.qemu, Signal::SIGKILL);
    }
}

impl Card {
    /// The switch knows the sockets by the paths that its own sandbox has.
    pub(super) fn plug(lab: &Lab) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let switch = "vde,id=switch,sock=/kiln/cluster/run/_switch/vde";
        let card = "stream,id=card,server=on,addr.type=unix,addr.path=/kiln/card/card.sock";
        let mut argv = vec!["qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none"];
        argv.extend(["-netdev", switch, "-netdev", "hubport,id=one,hubid=0,netdev=switch"]);
        argv.extend(["-netdev", card, "-netdev", "hubport,id=other,hubid=0,netdev=card"]);
        let sandbox =
            Sandbox::new(&lab.root).lend(&lab.folder, "/kiln/cluster").lend(folder.path(), "/kiln/card");
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let qemu = Pid::from_raw(i32::try_from(sandbox.spawn(argv, log).unwrap()).unwrap());
        let path = folder.path().join("card.sock");
        let connected = (0..100).find_map(|_| {
            std::thread::sleep(Duration::from_millis(100));
            UnixStream::connect(&path).ok()
        });
        let said = fs::read_to_string(folder.path().join("log")).unwrap();
        let stream = connected.unwrap_or_else(|| panic!("QEMU does not listen for its card: {said}"));
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        Self { stream, qemu, _folder: folder }
    }

    pub(super) fn send(&mut self, frame: &[u8]) {
        self.stream.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).unwrap();
        self.stream.write_all(frame).unwrap();
    }

    /// The next frame of an Ethernet type.
    pub(super) fn receive(&mut self, kind: u16) -> Vec<u8> {
        loop {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length).unwrap();
            let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
            self.stream.read_exact(&mut frame).unwrap();
            if frame[12..14] == kind.to_be_bytes() {
                return frame;
            }
        }
    }
}
