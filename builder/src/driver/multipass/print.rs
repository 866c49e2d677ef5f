//! Commands for multipass (`multipass help launch`).

use std::path::Path;

use crate::driver::multipass::launch::{launch, user_data};
use crate::driver::names;
use crate::ground::call::quote;
use crate::results::cluster::ClusterJson;

/// Seconds that multipass waits for each machine.
const PATIENCE: &str = "900";

pub(super) fn script(cluster: &ClusterJson) -> String {
    let prefix = names::prefix(&cluster.name);
    let mut text = String::from(
        "# Run this in the folder of the images. multipass has to be able to read them: its snap sees home folders only.\n",
    );
    for node in &cluster.nodes {
        text += &format!("\n# {} ({}), {}\n", node.name, node.role, node.address());
        let argv = launch(&prefix, node, Path::new("$PWD").join(&node.image).as_path(), PATIENCE);
        let words = argv.iter().map(|word| match word.strip_prefix("file://$PWD/") {
            Some(image) => format!("\"file://$PWD\"/{}", quote(image)),
            None => quote(word),
        });
        let words: Vec<String> = words.collect();
        text += &format!("multipass {} <<'END'\n{}END\n", words.join(" "), user_data(node));
    }
    let machines: Vec<String> =
        cluster.nodes.iter().map(|node| names::machine(&prefix, &node.name)).collect();
    text += &format!("\n# The end of them: multipass delete --purge {}\n", machines.join(" "));
    text
}
