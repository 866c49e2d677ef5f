//! Random input: no panic, and nothing is written when it is refused.

use crate::support::{Identity, World};
use firstboot::identity::parse;
use firstboot::schema::Cluster;
use fs_err as fs;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};

const TABLE: &str = include_str!("fixtures/worker/usr/lib/kiln/cluster.json");

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_table_or_an_error(bytes in vec(any::<u8>(), 0..256)) {
        let _ = Cluster::parse(&bytes);
    }

    #[test]
    fn a_damaged_table_is_a_table_or_an_error(at in 0..TABLE.len(), with in ".{0,8}") {
        let (start, end) = TABLE.split_at(TABLE.floor_char_boundary(at));
        let _ = Cluster::parse(format!("{start}{with}{}", end.get(1..).unwrap_or_default()).as_bytes());
    }

    #[test]
    fn any_bytes_are_an_identity_or_an_error(bytes in vec(any::<u8>(), 0..2048)) {
        let _ = parse(&bytes, "node-0");
    }

    #[test]
    fn a_damaged_identity_is_read_or_refused(damage in vec((any::<u16>(), any::<u8>()), 1..4), cut in any::<u16>()) {
        let mut stream = Identity::workers().stream();
        for (at, byte) in damage {
            let at = usize::from(at) % stream.len();
            stream[at] = byte;
        }
        stream.truncate(usize::from(cut) % (stream.len() * 2));
        if let Ok(identity) = parse(&stream, "node-0") {
            for entry in identity.entries {
                assert!(!entry.path.starts_with('/') && !entry.path.split('/').any(|part| part == ".."));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_refused_writes_nothing(line in "[ -~]{0,40}", at in any::<u16>(), byte in any::<u8>()) {
        let world = World::node_0();
        world.cmdline(&format!("kiln.{line}"));
        let mut partition = world.partition();
        partition[usize::from(at) % 4096] = byte;
        fs::write(world.path("identity"), &partition).unwrap();
        let before = world.tree();
        if world.boot().failed {
            assert_eq!(world.tree(), before);
            assert_eq!(world.partition(), partition);
        } else {
            assert!(world.is_wiped());
        }
    }
}
