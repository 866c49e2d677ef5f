//! What Go writes into a program about it: the version of Go, the main package and the modules that were compiled in
//! (debug/buildinfo in Go's source).

use std::io::{self, Read};

use memchr::memmem;

/// How it begins.
const MAGIC: &[u8] = b"\xff Go buildinf:";

/// Its header's bytes; the texts follow, each behind its length.
const HEADER: usize = 32;

/// The most bytes of it.
const LARGEST: usize = 1 << 20;

/// What a program says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInfo {
    /// The version of Go that compiled it: `go1.27.3`.
    pub go: String,
    /// Its main package: `k8s.io/kubernetes/cmd/kubelet`.
    pub package: Option<String>,
    /// The modules in it, the main one first.
    pub modules: Vec<Compiled>,
}

/// A module in a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// Its path.
    pub path: String,
    /// Its version; of a main module without one `(devel)`.
    pub version: String,
    /// What go.sum has of it; empty for the main module.
    pub sum: String,
}

impl BuildInfo {
    /// That of a program; none when Go did not compile it, or so long ago that it is written in another form.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(mut reader: impl Read) -> io::Result<Option<Self>> {
        let mut part = Vec::new();
        loop {
            let kept = part.len();
            (&mut reader).take(4 << 20).read_to_end(&mut part)?;
            if part.len() == kept {
                return Ok(None);
            }
            let at = memmem::find(&part, MAGIC);
            if let Some(at) = at {
                (&mut reader).take(LARGEST as u64).read_to_end(&mut part)?;
                // The same bytes stand in whatever reads them, without what follows here.
                if let Some((go, modules)) = texts(&part[at..]) {
                    return Ok(Some(Self::of(go, &modules)));
                }
                part.drain(..=at);
            } else {
                part.drain(..part.len().saturating_sub(MAGIC.len()));
            }
        }
    }

    /// What the text says: `path` the main package, `mod` and `dep` the modules with their versions, `=>` what a module
    /// was replaced by.
    fn of(go: String, text: &str) -> Self {
        let mut found = Self { go, package: None, modules: Vec::new() };
        for line in text.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            let compiled = |path: &str, version: &str, rest: &[&str]| Compiled {
                path: path.to_owned(),
                version: version.to_owned(),
                sum: rest.first().copied().unwrap_or_default().to_owned(),
            };
            match words.as_slice() {
                ["path", package] => found.package = Some((*package).to_owned()),
                ["mod" | "dep", path, version, rest @ ..] => {
                    found.modules.push(compiled(path, version, rest))
                }
                ["=>", path, version, rest @ ..] => {
                    found.modules.pop();
                    found.modules.push(compiled(path, version, rest));
                }
                _ => {}
            }
        }
        found
    }

    /// The version of the module that has the main package.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        let holds = |module: &&Compiled| {
            let rest = self.package.as_deref().and_then(|package| package.strip_prefix(&module.path));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let module = self.modules.iter().filter(holds).max_by_key(|module| module.path.len())?;
        Some(module.version.as_str()).filter(|version| *version != "(devel)")
    }
}

/// The version of Go and the text about the modules, as they stand behind the magic bytes.
fn texts(info: &[u8]) -> Option<(String, String)> {
    // The second bit: the texts are here, not behind pointers as before Go 1.18.
    if *info.get(15)? & 2 == 0 {
        return None;
    }
    let (version, rest) = text(info.get(HEADER..)?)?;
    let (modules, _) = text(rest)?;
    // Sixteen bytes before and behind it, by which Go finds the text in memory.
    let modules = modules.get(16..modules.len().saturating_sub(16)).unwrap_or_default();
    version.starts_with(b"go").then(|| {
        let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        (lossy(version), lossy(modules))
    })
}

/// A text behind its length, which is written in groups of seven bits, and what follows it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let rest = &bytes[index + 1..];
            return (length <= rest.len() && length <= LARGEST).then(|| rest.split_at(length));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{BuildInfo, HEADER, MAGIC};

    fn program(modules: &str, before: usize) -> Vec<u8> {
        let mut bytes = vec![7; before];
        let mut header = MAGIC.to_vec();
        header.extend([8, 2]);
        header.resize(HEADER, 0);
        bytes.extend(header);
        bytes.push(8);
        bytes.extend(b"go1.27.3");
        let modules = [&[0xe1; 16], modules.as_bytes(), &[0xf9; 16]].concat();
        bytes.extend([(modules.len() & 0x7f) as u8 | 0x80, (modules.len() >> 7) as u8]);
        bytes.extend(modules);
        bytes
    }

    #[test]
    fn the_module_with_the_longest_name_has_the_package() {
        let modules = "path\tk8s.io/kubernetes/cmd/kubelet\nmod\tkiln\t(devel)\t\ndep\tk8s.io/kube\tv9\nx\n\
                       dep\tk8s.io/kubernetes\tv1.37.2\th1:x\ndep\tk8s.io\tv0.1.0\ndep\tk8s.io/api\tv0.0.0\n\
                       =>\tk8s.io/api\tv0.37.2\th1:y\nfiller filler filler";
        // Also where a part that is read ends within it.
        for before in [0, 5, (4 << 20) - 7, (4 << 20) - 20] {
            let found = BuildInfo::read(program(modules, before).as_slice()).unwrap().unwrap();
            assert_eq!(found.go, "go1.27.3");
            assert_eq!(found.package.as_deref(), Some("k8s.io/kubernetes/cmd/kubelet"));
            assert_eq!(found.version(), Some("v1.37.2"));
            let last = found.modules.last().unwrap();
            assert_eq!(
                (last.version.as_str(), last.sum.as_str()),
                ("v0.37.2", "h1:y"),
                "what it was replaced by"
            );
        }
        assert_eq!(BuildInfo::read(&MAGIC.repeat(3)[..]).unwrap(), None);
        assert_eq!(BuildInfo::read(&[1; 100][..]).unwrap(), None);
    }
}
