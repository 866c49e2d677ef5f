//! Seeds of every platform, damaged a hundred thousand times: pieces are cut, doubled, moved between texts and mixed with
//! what YAML makes much of. Each is read or refused, without a panic, and none of them takes much memory.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use firstboot::seed::{self, FILES, Texts};
use fs_err as fs;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any};
use proptest::sample::{Index, select};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

const CASES: u32 = 100_000;

/// The most memory that the whole test may have had, in KiB.
const MOST: u64 = 256 << 10;

/// What a careful parser stumbles over.
const TOKENS: [&str; 36] = [
    "\n",
    "\r\n",
    "\t",
    " ",
    "  ",
    "- ",
    "-",
    ": ",
    ":",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "| ",
    ">-\n",
    "'",
    "\"",
    "\\",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "? ",
    "~",
    "null",
    "0x",
    "1e999",
    "-1",
    "99999999999999999999",
    "\u{0}",
    "\u{feff}",
];

/// A change of a text.
#[derive(Debug, Clone)]
enum Damage {
    Put(Index, &'static str),
    Byte(Index, u8),
    Cut(Index, usize),
    Double(Index, usize, u8),
    /// A piece of another text, by the place of that in the corpus.
    Take(Index, Index, Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    use proptest::prop_oneof;
    let index = any::<Index>;
    prop_oneof![
        (index(), select(&TOKENS[..])).prop_map(|(at, token)| Damage::Put(at, token)),
        (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (index(), 1..40_usize).prop_map(|(at, length)| Damage::Cut(at, length)),
        (index(), 1..40_usize, 1..6_u8).prop_map(|(at, length, times)| Damage::Double(at, length, times)),
        (index(), index(), index(), 1..80_usize)
            .prop_map(|(at, which, from, length)| Damage::Take(at, which, from, length)),
    ]
}

impl Damage {
    fn apply(&self, text: &mut Vec<u8>, corpus: &[Texts]) {
        // One more than the bytes: damage may come after the last.
        let place = |index: &Index, text: &[u8]| index.index(text.len() + 1);
        match self {
            Self::Put(at, token) => {
                let at = place(at, text);
                text.splice(at..at, token.bytes());
            }
            Self::Byte(at, byte) => {
                let at = place(at, text);
                text.splice(at..text.len().min(at + 1), [*byte]);
            }
            Self::Cut(at, length) => {
                let at = place(at, text);
                text.drain(at..text.len().min(at + length));
            }
            Self::Double(at, length, times) => {
                let at = place(at, text);
                let piece = text[at..text.len().min(at + length)].repeat(usize::from(*times));
                text.splice(at..at, piece);
            }
            Self::Take(at, which, from, length) => {
                let other: Vec<u8> = which.get(corpus).iter().flatten().flatten().copied().collect();
                let from = place(from, &other);
                let at = place(at, text);
                text.splice(at..at, other[from..other.len().min(from + length)].iter().copied());
            }
        }
    }
}

/// The seeds of the platforms, and each wrong text of the corpus as a seed of its own.
fn corpus() -> Vec<Texts> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = |folder: PathBuf| {
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    let whole = files(tests.join("platforms"))
        .into_iter()
        .map(|folder| FILES.map(|file| fs::read(folder.join(file)).ok()));
    let mut seeds: Vec<Texts> = whole.collect();
    for (index, file) in FILES.iter().enumerate() {
        for path in files(tests.join("corpus").join(file)) {
            let mut texts = Texts::default();
            texts[index] = Some(fs::read(path).unwrap());
            seeds.push(texts);
        }
    }
    seeds
}

#[test]
fn a_hundred_thousand_damaged_seeds_are_read_or_refused() {
    let corpus = corpus();
    let (read, refused) = (Cell::new(0_u32), Cell::new(0_u32));
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    // The same in every run.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let seeds = (any::<Index>(), vec((0..FILES.len(), damage()), 1..6));
    let outcome = runner.run(&seeds, |(which, damages)| {
        let mut texts = which.get(&corpus).clone();
        for (file, damage) in damages {
            damage.apply(texts[file].get_or_insert_default(), &corpus);
        }
        match seed::parse("NoCloud", &texts) {
            Ok(_) => read.set(read.get() + 1),
            Err((file, error)) => {
                refused.set(refused.get() + 1);
                assert!(FILES.contains(&file) && !error.to_string().is_empty());
            }
        }
        Ok(())
    });
    outcome.unwrap();
    let (read, refused) = (read.get(), refused.get());
    assert!(read > CASES / 20 && refused > CASES / 20, "{read} were read, {refused} refused");
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    let peak: u64 = peak.parse().unwrap();
    assert!(peak < MOST, "{peak} KiB");
}
