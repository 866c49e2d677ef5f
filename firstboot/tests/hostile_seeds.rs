//! Hostile seeds: the corpus of wrong texts with what is said to each, damaged file systems, bombs, and random damage
//! to good seeds. Nothing panics, takes a second or writes anything when it is refused.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::seed::{MADE, iso, made};
use crate::support::{AnyOwner, Said, World};
use firstboot::seed::FILES;
use fs_err as fs;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};

/// Boots, and checks what holds for every boot: quick, and whole or not at all.
fn boot(world: &World) -> Said {
    let before = world.tree();
    #[expect(clippy::disallowed_methods, reason = "a limit, in no output")]
    let start = Instant::now();
    let said = world.boot_with(&world.args(), &mut AnyOwner::default());
    assert!(start.elapsed() < Duration::from_secs(1), "took {:?}:\n{}", start.elapsed(), said.console);
    assert!(!said.failed || world.tree() == before, "something was written:\n{}", said.console);
    said
}

/// The first line of a boot that must be refused.
fn refusal(world: &World) -> String {
    let said = boot(world);
    assert!(said.failed, "accepted:\n{}", said.console);
    said.console.lines().next().unwrap_or_default().trim_start_matches("firstboot: ").to_owned()
}

#[test]
fn every_text_of_the_corpus_is_refused_by_line_and_key() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut report = String::new();
    for file in FILES {
        let mut paths: Vec<_> =
            fs::read_dir(corpus.join(file)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let world = World::node_0();
            world.disk("sr0", &iso("cidata", &[(file, &fs::read(&path).unwrap())]));
            let name = path.file_name().unwrap().to_str().unwrap();
            writeln!(report, "{file} {name}\n    {}", refusal(&world)).unwrap();
        }
    }
    insta::assert_snapshot!(report);
}

#[test]
fn bombs_end_at_a_limit() {
    let most = 250 << 10;
    let many = |part: &str| part.repeat(most / part.len());
    let numbered = |part: fn(usize) -> String| (0..12_000).map(part).collect::<String>();
    for (name, text) in [
        ("lists in lists", many("[")),
        ("mappings in mappings", many("{a: ")),
        ("lists by lines", many("- ")),
        ("keys without values", many("? ")),
        ("one long line", many("a")),
        ("quotes", many("\"a\" ")),
        ("many keys", numbered(|index| format!("k{index}: 1\n"))),
        ("many anchors", numbered(|index| format!("k{index}: &a{index} 1\n"))),
        ("ever deeper", (0..600).map(|index| format!("{}k:\n", " ".repeat(index))).collect()),
        ("comments", many("# x\n")),
        ("empty lines in a block", format!("a: |\n{}", many(" \n"))),
        ("too large", "a".repeat(300 << 10)),
    ] {
        let world = World::node_0();
        world.seed(&[("user-data", &format!("#cloud-config\n{text}"))]);
        let said = boot(&world);
        // Keys that are nobody's are passed over, and a few of them recorded.
        let passes = ["comments", "many keys", "many anchors", "empty lines in a block"].contains(&name);
        assert_eq!(said.failed, !passes, "{name}:\n{}", said.console);
        assert!(said.console.len() < 32 << 10, "{name}: {} bytes on the console", said.console.len());
    }
    let mut users = "#cloud-config\nusers:\n".to_owned();
    (0..3_000).for_each(|index| writeln!(users, "  - {{name: u{index}}}").unwrap());
    let world = World::node_0();
    world.seed(&[("user-data", &users)]);
    insta::assert_snapshot!(refusal(&world), @"NoCloud, user-data, line 3: `users` has 3000 entries; write at most 64");
}

#[test]
fn damaged_disks_are_refused() {
    let user: &[u8] = b"#cloud-config\nhostname: blue\n";
    let good = iso("cidata", &[("user-data", user)]);
    let with = |change: fn(&mut Vec<u8>)| {
        let mut image = good.clone();
        change(&mut image);
        let world = World::node_0();
        world.disk("sr0", &image);
        world
    };
    const TOP: usize = 18 * 2048;
    let mut report = String::new();
    for (name, world) in [
        ("the last sector is missing", with(|image| image.truncate(image.len() - 2048))),
        ("the top folder is missing", with(|image| image.truncate(TOP))),
        ("the top folder is elsewhere", with(|image| image[16 * 2048 + 158..][..4].fill(0xff))),
        ("the top folder is huge", with(|image| image[16 * 2048 + 166..][..4].fill(0xff))),
        ("a record of one byte", with(|image| image[TOP + 68] = 1)),
        ("a name longer than its record", with(|image| image[TOP + 68 + 32] = 0xff)),
        ("a file elsewhere", with(|image| image[TOP + 68 + 2..][..4].fill(0xff))),
        ("a huge file", with(|image| image[TOP + 68 + 10..][..4].fill(0x7f))),
        ("a file in pieces", with(|image| image[TOP + 68 + 25] = 0x80)),
        ("no file of a seed", with(|image| image[TOP + 68] = 0)),
    ] {
        writeln!(report, "{name}\n    {}", refusal(&world)).unwrap();
    }
    insta::assert_snapshot!(report);
}

#[test]
fn a_cyclic_chain_of_fat_is_refused() {
    let mut image = made("fat12");
    // The folder's entry of user-data: 40 KiB long now; the table's first clusters lead to each other.
    let at = image.windows(11).position(|window| window == b"USER-D~1   ").expect("no entry");
    image[at + 28..at + 32].copy_from_slice(&40_000u32.to_le_bytes());
    let cluster = usize::from(u16::from_le_bytes([image[at + 26], image[at + 27]]));
    let entry = 512 + cluster + cluster / 2;
    let to = cluster as u16;
    let bits = if cluster % 2 == 1 { to << 4 } else { to };
    image[entry..entry + 2].copy_from_slice(&bits.to_le_bytes());
    let world = World::node_0();
    world.disk("vdb", &image);
    insta::assert_snapshot!(refusal(&world), @"NoCloud, /dev/vdb: a chain of clusters leads back to itself");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_disk_is_read_or_refused(
        which in 0..MADE.len(),
        damage in vec((any::<u32>(), any::<u8>()), 1..24),
        cut in any::<u32>(),
    ) {
        // Most of an image is empty: the damage goes to its first sectors, where everything is.
        let mut image = made(MADE[which]);
        image.truncate(4 << 20);
        let used = image.len().min(96 << 10);
        for (at, byte) in damage {
            image[at as usize % used] = byte;
        }
        if cut % 4 == 0 {
            image.truncate(cut as usize % used);
        }
        let world = World::node_0();
        world.disk("vdb", &image);
        boot(&world);
    }

    #[test]
    fn a_damaged_text_is_applied_or_refused(
        which in 0..4_usize,
        at in any::<u16>(),
        with in "[ -~\n\u{e9}\t]{0,6}",
        noise in vec(any::<u8>(), 0..4),
    ) {
        let texts = [
            "instance-id: i-1\nlocal-hostname: blue\npublic-keys: [ssh-rsa AAAA x]\n",
            "#cloud-config\nhostname: a\nkiln: {dns: [1.1.1.1]}\nusers: [default, {name: ada, shell: /bin/sh}]\n",
            "#cloud-config\nsystem_info: {default_user: {name: ubuntu}}\nruncmd: [[a, b]]\n",
            "version: 2\nethernets:\n  b: {match: {name: en*}, addresses: ['fd00::1/64'], routes: [{to: default, via: 'fd00::2'}]}\n",
        ];
        let mut text = texts[which].as_bytes().to_vec();
        let at = usize::from(at) % text.len();
        text.splice(at..at, with.bytes().chain(noise));
        let world = World::node_0();
        world.disk("sr0", &iso("cidata", &[(FILES[which], &text)]));
        boot(&world);
    }

    #[test]
    fn any_firmware_is_read_or_refused(raw in vec(any::<u8>(), 0..64), serial in "(kiln.|ds=nocloud;)?.{0,24}") {
        let world = World::node_0();
        world.put("sys/firmware/dmi/entries/11-0/raw", &raw);
        world.serial(&serial);
        boot(&world);
    }
}
