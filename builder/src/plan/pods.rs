//! How the pod range is shared out among the nodes that run pods and do not say their range: by what a node is and not by its place in
//! the list, so that the others keep their ranges when one comes or goes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firstboot::schema::{Cluster, Duty, Node};
use ipnet::Ipv4Net;
use sha2::{Digest, Sha256};

use crate::ground::error::InputError;
use crate::profile::Profile;

/// Pods of one node when the profile does not say: 254 addresses, the field's usual share.
const SHARE: u8 = 24;

/// Addresses of a share.
const ADDRESSES: u32 = 1 << (32 - SHARE);

/// Gives a range to each node that runs pods and has none by the profile. The nodes' duties are known.
///
/// # Errors
/// There are more of them than the cluster's range has shares, or one that runs no pods has a range.
pub(super) fn share_out(profile: &Profile, cluster: &mut Cluster) -> Result<(), InputError> {
    let mut shares =
        Shares::new(cluster.pod_cidr, cluster.nodes.iter().filter_map(|node| node.pod_cidr).collect());
    let (name, network) = (&cluster.name, cluster.network.cidr);
    for (node, line) in cluster.nodes.iter_mut().zip(&profile.lines.nodes) {
        let wrong = |message: String, hint: &str| {
            let (path, hint) = (profile.path.clone(), Some(hint.to_owned()));
            Err(InputError::Wrong { path, line: *line, message, hint })
        };
        match (node.has(Duty::Kubelet), node.pod_cidr) {
            (false, Some(_)) => {
                let message =
                    format!("`pod-cidr` of `{}`, whose role `{}` runs no pods", node.name, node.role);
                return wrong(message, "leave it out");
            }
            (true, None) => {
                node.pod_cidr = shares.take(place(name, node, network));
                if node.pod_cidr.is_none() {
                    let message = format!("`cluster.pod-cidr` has no /{SHARE} left for this node");
                    return wrong(message, "widen it, or give each node its `pod-cidr`");
                }
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
    Ok(())
}

/// Where a node's share is looked for first, counted in shares: as far in the pod range as its address is in the nodes' network, else
/// by its name.
fn place(cluster: &str, node: &Node, network: Option<Ipv4Net>) -> u32 {
    match (node.ip, network) {
        (Some(ip), Some(network)) => u32::from(ip).wrapping_sub(u32::from(network.network())),
        _ => {
            let digest = Sha256::digest(format!("kiln/pods/{cluster}/{}", node.name));
            u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
        }
    }
}

/// The shares of a range.
struct Shares {
    first: u32,
    count: u32,
    /// What nodes have by the profile.
    given: Vec<Ipv4Net>,
    /// The shares that others have, by their numbers.
    taken: BTreeSet<u32>,
}

impl Shares {
    /// Those of `range`, but for what was `given` away already.
    fn new(range: Ipv4Net, given: Vec<Ipv4Net>) -> Self {
        let count = SHARE.checked_sub(range.prefix_len()).map_or(0, |bits| 1 << bits);
        Self { first: range.network().into(), count, given, taken: BTreeSet::new() }
    }

    /// The share at a place, or the next one that nobody has.
    fn take(&mut self, place: u32) -> Option<Ipv4Net> {
        let start = place.checked_rem(self.count)?;
        let numbers = (start..self.count).chain(0..start);
        for number in numbers {
            let share = Ipv4Net::new_assert(Ipv4Addr::from(self.first + number * ADDRESSES), SHARE);
            let is_given = |given: &Ipv4Net| given.contains(&share) || share.contains(given);
            if !self.given.iter().any(is_given) && self.taken.insert(number) {
                return Some(share);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Shares;

    fn taken(shares: &mut Shares, places: &[u32]) -> Vec<Option<String>> {
        places.iter().map(|place| shares.take(*place).map(|share| share.to_string())).collect()
    }

    #[test]
    fn a_share_is_where_the_node_is_or_behind_it() {
        let given = vec!["10.200.11.128/25".parse().unwrap()];
        let mut shares = Shares::new("10.200.0.0/16".parse().unwrap(), given);
        let expected = ["10.200.10.0/24", "10.200.12.0/24", "10.200.13.0/24", "10.200.44.0/24"];
        assert_eq!(taken(&mut shares, &[10, 11, 12, 300]), expected.map(|share| Some(share.to_owned())));
    }

    #[test]
    fn a_range_has_so_many_shares() {
        let mut shares = Shares::new("10.200.4.0/23".parse().unwrap(), Vec::new());
        let all = taken(&mut shares, &[7, 7, 7]);
        assert_eq!(all, [Some("10.200.5.0/24".to_owned()), Some("10.200.4.0/24".to_owned()), None]);
        assert_eq!(taken(&mut Shares::new("10.200.4.0/25".parse().unwrap(), Vec::new()), &[0]), [None]);
        // The largest range there is.
        assert_eq!(
            taken(&mut Shares::new("0.0.0.0/0".parse().unwrap(), Vec::new()), &[u32::MAX])[0].as_deref(),
            Some("255.255.255.0/24")
        );
    }
}
