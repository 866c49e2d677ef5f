//! The machines' disks in libvirt: a storage pool, so that libvirt may read them wherever the results are, and nobody
//! needs to be root. A role's image is uploaded once; a node's disk lies over it. <https://libvirt.org/storage.html>

use crate::disk::virtual_size;
use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::libvirt::client::Libvirt;
use crate::driver::libvirt::network;
use crate::driver::machines::disk_size;
use crate::driver::names::{self, disk, seed};
use crate::driver::state::LibvirtState;
use crate::results::cluster::{ClusterJson, ImageJson, NodeJson};

/// Where libvirt's system instance has its disks, as all distributions have it.
const SYSTEM_FOLDER: &str = "/var/lib/libvirt/images";

/// Whether a volume is one of a node's.
pub(super) fn is_of(volume: &str, node: &str) -> bool {
    volume == disk(node) || volume == seed(node)
}

/// The volume of a role's image.
fn base(image: &ImageJson) -> String {
    names::image(&image.role, &image.sha256)
}

impl Libvirt {
    /// Makes and starts the pool when it is not there.
    pub(super) fn ensure_pool(&self, folders: &Folders) -> Result<(), DriverError> {
        let pool = self.prefix.as_str();
        if !self.names(&["pool-list", "--all", "--name"])?.contains(pool) {
            let own = folders.run.join(network::FOLDER).join("pool").to_string_lossy().into_owned();
            let folder = if self.is_session() { own } else { format!("{SYSTEM_FOLDER}/{pool}") };
            self.virsh(&["pool-define-as", pool, "dir", "--target", &folder])?;
            self.virsh(&["pool-build", pool])?;
        }
        if !self.names(&["pool-list", "--name"])?.contains(pool) {
            self.virsh(&["pool-start", pool])?;
        }
        Ok(())
    }

    fn volumes(&self) -> Result<Vec<String>, DriverError> {
        Ok(self.names(&["vol-list", &self.prefix])?.into_iter().collect())
    }

    pub(super) fn has_disk(&self, node: &str) -> Result<bool, DriverError> {
        Ok(self.volumes()?.contains(&disk(node)))
    }

    pub(super) fn delete_volumes(&self, which: impl Fn(&str) -> bool) -> Result<(), DriverError> {
        let pool = self.prefix.as_str();
        if !self.names(&["pool-list", "--name"])?.contains(pool) {
            return Ok(());
        }
        for volume in self.volumes()?.iter().filter(|volume| which(volume)) {
            self.virsh(&["vol-delete", volume, "--pool", pool])?;
        }
        Ok(())
    }

    /// Deletes the pool with all that is in it.
    pub(super) fn delete_pool(&self) -> Result<(), DriverError> {
        let pool = self.prefix.as_str();
        self.delete_volumes(|_| true)?;
        if self.names(&["pool-list", "--name"])?.contains(pool) {
            self.virsh(&["pool-destroy", pool])?;
        }
        if self.names(&["pool-list", "--all", "--name"])?.contains(pool) {
            self.virsh(&["pool-delete", pool])?;
            self.virsh(&["pool-undefine", pool])?;
        }
        Ok(())
    }

    /// Uploads the image of a node when it is not there. `state` knows those that are there whole: one that is there
    /// and not known was cut off. True when the state changed.
    pub(super) fn ensure_image(
        &self,
        folders: &Folders,
        image: &ImageJson,
        state: &mut LibvirtState,
    ) -> Result<bool, DriverError> {
        let (base, there) = (base(image), self.volumes()?);
        if there.contains(&base) && state.images.contains(&base) {
            return Ok(false);
        }
        let path = folders.results.join(&image.path);
        let size = virtual_size(&path)?;
        self.upload(&base, &path.to_string_lossy(), size, "qcow2")?;
        // libvirt looks at what it has now.
        self.virsh(&["pool-refresh", &self.prefix])?;
        Ok(state.images.insert(base))
    }

    /// A node's disk over its image.
    pub(super) fn make_disk(
        &self,
        folders: &Folders,
        cluster: &ClusterJson,
        node: &NodeJson,
    ) -> Result<(), DriverError> {
        let Some(image) = cluster.image_of(node) else { return Ok(()) };
        let size = disk_size(node, virtual_size(&folders.results.join(&image.path))?)?;
        let (disk, base, size) = (disk(&node.name), base(image), format!("{size}B"));
        let over = ["--format", "qcow2", "--backing-vol", &base, "--backing-vol-format", "qcow2"];
        self.virsh(&[&["vol-create-as", &self.prefix, &disk, &size], &over[..]].concat())?;
        Ok(())
    }

    /// Makes a node's data disk when it has to have one and has none.
    pub(super) fn ensure_data_disk(&self, node: &NodeJson) -> Result<(), DriverError> {
        let (name, Some(mib)) = (names::data_disk(&node.name), node.data_disk_mib) else { return Ok(()) };
        if !self.volumes()?.contains(&name) {
            let size = format!("{mib}M");
            self.virsh(&["vol-create-as", &self.prefix, &name, &size, "--format", "qcow2"])?;
        }
        Ok(())
    }

    /// Puts a file into the pool, in the place of an older one.
    pub(super) fn upload(
        &self,
        volume: &str,
        path: &str,
        size: u64,
        format: &str,
    ) -> Result<(), DriverError> {
        let (pool, size) = (self.prefix.as_str(), format!("{size}B"));
        self.delete_volumes(|there| there == volume)?;
        self.virsh(&["vol-create-as", pool, volume, &size, "--format", format])?;
        self.virsh(&["vol-upload", volume, path, "--pool", pool])?;
        Ok(())
    }
}
