//! The tree of a role's image: its overlay over the base, with what every Kiln image has.

use firstboot::schema;

use crate::ground::error::{Class, Explain, HostIo, Result};
use crate::ground::tree::{Content, Tree, Why};
use crate::plan::Plan;
use crate::role::{Components, Context, Role, overlay, settings};

/// Where firstboot is.
const FIRSTBOOT: &str = "usr/lib/kiln/firstboot";

/// systemd does not let a machine's clock be before the modification time of this file (systemd(1)).
const CLOCK_EPOCH: &str = "usr/lib/clock-epoch";

/// The size of a disk when no recipe gives one, in MiB: below multipass's default, so that it accepts the image.
const DISK_MIB: u64 = 4096;

/// A role's image, not yet a disk.
#[derive(Debug)]
pub struct RoleTree {
    /// The role.
    pub role: String,
    /// Size of its disk in MiB.
    pub disk_mib: u64,
    /// What lies over the base.
    pub overlay: Tree,
    /// What of the base does not stay.
    pub removed: Vec<String>,
    /// What the kernel is told besides, each after a space.
    pub kernel: String,
}

/// firstboot would refuse the node table: the checks of the profile let something through.
#[derive(Debug, thiserror::Error)]
#[error("firstboot would refuse the cluster: {0}")]
pub struct TableError(#[from] firstboot::cluster::ClusterError);

impl Explain for TableError {
    fn class(&self) -> Class {
        Class::Host
    }

    fn hint(&self) -> Option<String> {
        Some("this is a mistake of Kiln; please report it with the profile".to_owned())
    }
}

/// Makes the trees of the plan's roles.
///
/// # Errors
/// When a recipe names something that is not there, or this builder's firstboot is not the lock's.
pub fn trees(plan: &Plan, components: &Components) -> Result<Vec<RoleTree>> {
    let firstboot = crate::embedded::binary(&plan.lock, plan.arch)?;
    let context = Context::new(&plan.profile, &plan.cluster, &plan.release, &plan.roles, &plan.addons);
    plan.roles.iter().map(|role| tree(plan, role, &context, components, firstboot)).collect()
}

fn tree(
    plan: &Plan,
    role: &Role,
    context: &Context,
    components: &Components,
    firstboot: &[u8],
) -> Result<RoleTree> {
    let mut overlay = overlay(role, &context.of(role), components)?;
    let table = table(&plan.cluster)?;
    let mut put =
        |path: &str, mode, bytes: Vec<u8>| overlay.file(path, mode, Content::Bytes(bytes), &Why::Kiln);
    put(schema::CLUSTER_FILE, 0o644, table);
    put(schema::ROLE_FILE, 0o644, format!("{}\n", role.name).into_bytes());
    put(FIRSTBOOT, 0o755, firstboot.to_vec());
    put(CLOCK_EPOCH, 0o644, Vec::new());
    // Empty, not "uninitialized": systemd makes one at boot without taking this for a first boot (machine-id(5)).
    put("etc/machine-id", 0o444, Vec::new());
    let removed = role.removals().into_iter().map(str::to_owned).collect();
    let kernel = settings::kernel(&role.settings);
    let disk_mib = role.disk_mib().unwrap_or(DISK_MIB);
    Ok(RoleTree { role: role.name.clone(), disk_mib, overlay, removed, kernel })
}

/// The node table as firstboot reads it, and it does.
fn table(cluster: &schema::Cluster) -> Result<Vec<u8>> {
    let table = serde_json::to_vec_pretty(cluster).map_err(std::io::Error::from).map_err(HostIo)?;
    schema::Cluster::parse(&table).map_err(TableError)?;
    Ok(table)
}
