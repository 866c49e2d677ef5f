//! What the parent side tells the child side, on its standard input: a command line has room for fewer paths, and shows them to
//! everybody on the host.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ground::arch::Arch;

/// The hidden argument that turns this program into the child side.
pub const INNER: &str = "__sandbox";

/// A root of packages and what a program in it may see.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sandbox {
    pub(super) root: PathBuf,
    pub(super) binds: Vec<Bind>,
    /// Folders of the root in whose place an empty one is.
    pub(super) emptied: Vec<PathBuf>,
    pub(super) share_network: bool,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: PathBuf,
    /// Devices of the host, by their names in /dev, besides those that every program has.
    pub(super) devices: Vec<String>,
    /// The architecture whose programs are emulated.
    pub(super) emulate: Option<Arch>,
    /// The program outlives its parent and has no input.
    pub(super) detached: bool,
}

/// One path of the host inside the sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bind {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    pub(super) writable: bool,
}

/// What the child side is told. It holds no secret.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) sandbox: Sandbox,
    pub(super) task: Task,
}

/// The most bytes that an order may have: a base has a bind for each of its packages.
const LARGEST: u32 = 16 << 20;

impl Order {
    /// Writes it: the length of its JSON in four bytes, little-endian, and the JSON.
    pub(super) fn send(&self, mut to: impl Write) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let length = u32::try_from(text.len()).ok().filter(|length| *length <= LARGEST);
        let length = length.ok_or_else(|| io::Error::other("the sandbox is shown too many paths"))?;
        to.write_all(&length.to_le_bytes())?;
        to.write_all(&text)
    }

    /// Reads one, and not a byte more: what follows is the program's.
    pub(super) fn receive(mut from: impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > LARGEST {
            return Err(io::Error::other("what was read is no order"));
        }
        let mut text = vec![0; length as usize];
        from.read_exact(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// What happens inside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// A program runs, with its arguments.
    Run(Vec<String>),
    /// A folder is removed, in namespaces alone: the file system stays the host's.
    Remove(PathBuf),
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    use super::{Order, Sandbox, Task};

    #[test]
    fn an_order_of_any_usual_size_arrives_and_what_follows_is_left() {
        let mut sandbox = Sandbox::new(Path::new("/root"));
        for number in 0..5000 {
            sandbox = sandbox.show(Path::new(&"/long".repeat(40)), format!("/kiln/{number}"));
        }
        let mut bytes = Vec::new();
        Order { sandbox, task: Task::Run(vec!["true".into()]) }.send(&mut bytes).unwrap();
        bytes.extend(b"input");
        let mut pipe = bytes.as_slice();
        assert_eq!(Order::receive(&mut pipe).unwrap().sandbox.binds.len(), 5000);
        let mut rest = String::new();
        pipe.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "input");
        assert!(Order::receive(&b"\xff\xff\xff\xff"[..]).is_err());
        assert!(Order::receive(&b"\x02\x00\x00\x00{}"[..]).is_err());
    }
}
