//! The words by which multipass makes a machine (`multipass help launch`).

use std::path::Path;

use crate::driver::names;
use crate::results::cluster::NodeJson;

/// The words after `multipass`; [`user_data`] goes to its standard input.
pub(super) fn launch(prefix: &str, node: &NodeJson, image: &Path, timeout: &str) -> Vec<String> {
    let mut argv = vec!["launch".to_owned(), format!("file://{}", image.display())];
    let mut add = |option: &str, value: String| argv.extend([option.to_owned(), value]);
    add("--name", names::machine(prefix, &node.name));
    add("--cpus", node.cpus.to_string());
    add("--memory", format!("{}M", node.memory_mib));
    if let Some(disk_mib) = node.disk_mib {
        add("--disk", format!("{disk_mib}M"));
    }
    add("--cloud-init", "-".to_owned());
    add("--timeout", timeout.to_owned());
    argv
}

/// Which node it is: multipass calls the machine otherwise.
pub(super) fn user_data(node: &NodeJson) -> String {
    format!("#cloud-config\nkiln:\n  node: \"{0}\"\n  hostname: \"{0}\"\n", node.name)
}
