//! Any text is a profile or a named error; what a profile leaves out is derived the same way every time.

use std::path::Path;

use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

use crate::ground::error::InputError;
use crate::profile::model::Profile;

const GOOD: &str = include_str!("../../tests/fixtures/good-profiles/everything.toml");

fn parse(text: &str) -> Result<Profile, InputError> {
    Profile::parse(Path::new("x.toml"), "x".to_owned(), text)
}

/// A profile of workers with these names that leaves out what may be left out.
fn of(cluster: &str, names: &[String]) -> String {
    let head = format!(
        "[cluster]\nname = \"{cluster}\"\npod-cidr = \"10.200.0.0/16\"\nservice-cidr = \"10.32.0.0/24\"\n\
         [network]\nmode = \"static\"\ncidr = \"192.168.122.0/24\"\n"
    );
    let node = |(index, name): (usize, &String)| {
        format!("[[node]]\nname = \"{name}\"\nrole = \"worker\"\nip = \"192.168.122.{}\"\n", index + 1)
    };
    names.iter().enumerate().map(node).fold(head, |text, node| text + &node)
}

#[test]
fn a_derived_mac_is_what_it_always_was() {
    let profile = parse(&of("kiln", &["server".to_owned(), "node-0".to_owned()])).unwrap();
    let macs: Vec<String> = profile.cluster.nodes.iter().map(|node| node.mac.to_string()).collect();
    insta::assert_snapshot!(macs.join(" "), @"52:54:00:91:b4:42 52:54:00:7b:7f:21");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_panics(text in "\\PC*") {
        prop_assert!(parse(&text).is_err());
    }

    #[test]
    fn no_edit_panics_and_what_is_accepted_firstboot_takes(
        at in 0..GOOD.len(),
        length in 0usize..30,
        put in "[a-z0-9./:\"\\[\\]= \n]{0,12}",
    ) {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes.splice(at..(at + length).min(GOOD.len()), put.bytes());
        match parse(&String::from_utf8_lossy(&bytes)) {
            Ok(profile) => {
                let table = serde_json::to_vec(&profile.cluster).unwrap();
                prop_assert_eq!(firstboot::schema::Cluster::parse(&table).unwrap(), profile.cluster);
            }
            Err(InputError::Wrong { line, .. }) => prop_assert!(line >= 1),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn derived_macs_are_unicast_and_do_not_depend_on_the_other_nodes(
        cluster in "[a-z][a-z0-9]{0,20}",
        mut names in proptest::collection::btree_set("[a-z][a-z0-9-]{0,20}[a-z0-9]", 1..20),
    ) {
        let first = names.first().cloned().unwrap();
        let alone = parse(&of(&cluster, std::slice::from_ref(&first))).unwrap();
        names.remove(&first);
        let mut all: Vec<String> = names.into_iter().collect();
        all.push(first);
        let profile = parse(&of(&cluster, &all)).unwrap();
        prop_assert_eq!(profile.cluster.nodes.last().unwrap().mac, alone.cluster.nodes[0].mac);
        for node in &profile.cluster.nodes {
            prop_assert_eq!(&node.mac.0[..3], [0x52, 0x54, 0x00]);
        }
    }
}
