//! `builder status --checks`: what the nodes find when they look at themselves and at the cluster. The checks are the
//! images' own scripts; this runs them by SSH and reads what they print.

use std::fmt;
use std::path::Path;

use firstboot::schema::Duty;
use serde::Serialize;

use crate::driver::error::DriverError;
use crate::driver::folders::Folders;
use crate::driver::state::State;
use crate::driver::{access, registry};
use crate::ground::parallel;
use crate::ground::progress::Progress;
use crate::results::cluster::ClusterJson;

/// What a node finds out of itself.
const NODE: &str = "/usr/lib/kiln/check-node";

/// What a node with an API server finds out of the cluster.
const CLUSTER: &str = "/usr/lib/kiln/check-cluster";

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The node that looked.
    pub node: String,
    /// What was looked at.
    pub check: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// How to mend it; none when there is nothing to mend.
    pub fix: Option<String>,
}

/// Every check of every node, in the order of the profile; those of the cluster come last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Checks(pub Vec<Check>);

impl Checks {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn all_good(&self) -> bool {
        self.0.iter().all(|check| check.ok)
    }
}

/// Looks, at several nodes at once. A node that does not run or does not answer is a failing check, not an error.
///
/// # Errors
/// [`DriverError`] when the results cannot be read or the host has no ssh.
pub fn checks(results: &Path, progress: &Progress) -> Result<Checks, DriverError> {
    let cluster = ClusterJson::load(results)?;
    let folders = Folders::of(results)?;
    let running = registry::machines(&folders, &State::load(&folders.run)?)?.running()?;
    // What is looked at, the node that looks, its script.
    let mut looks: Vec<[&str; 3]> =
        cluster.nodes.iter().map(|node| [&*node.name, &*node.name, NODE]).collect();
    let plane = cluster.with(Duty::ApiServer).find(|plane| running.contains(&plane.name));
    looks.extend(plane.map(|plane| ["the cluster", &*plane.name, CLUSTER]));
    let found = parallel::map(&looks, |&[what, node, script]| {
        if !running.contains(node) {
            let fix = format!("builder up {}", folders.arguments());
            return Ok(vec![failed(node, "machine", "it does not run".to_owned(), fix)]);
        }
        let task = progress.task(&format!("checking {what}"));
        let found = run(results, node, script);
        task.finish();
        found
    });
    let found: Vec<Vec<Check>> = found.into_iter().collect::<Result<_, _>>()?;
    Ok(Checks(found.concat()))
}

fn run(results: &Path, node: &str, script: &str) -> Result<Vec<Check>, DriverError> {
    let output = access::ssh_output(results, node, &[script.to_owned()])?;
    let found: Vec<Check> =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| parse(node, line)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or("it said nothing");
    let folders = Folders::of(results)?;
    let fix = format!("builder logs {} {node}", folders.arguments());
    Ok(vec![failed(node, "ssh", format!("{script}: {said}"), fix)])
}

fn failed(node: &str, check: &str, found: String, fix: String) -> Check {
    Check { node: node.to_owned(), check: check.to_owned(), ok: false, found, fix: Some(fix) }
}

/// A line of a script: `ok` or `fail`, the check, what was found and how to mend it, with tabs between.
fn parse(node: &str, line: &str) -> Option<Check> {
    let mut fields = line.split('\t');
    let ok = match fields.next()? {
        "ok" => true,
        "fail" => false,
        _ => return None,
    };
    let (check, found, fix) = (fields.next()?, fields.next()?, fields.next()?);
    let fix = (!fix.is_empty()).then(|| fix.to_owned());
    Some(Check { node: node.to_owned(), check: check.to_owned(), ok, found: found.to_owned(), fix })
}

impl fmt::Display for Checks {
    /// A line for each check, and below one that fails what mends it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width =
            |text: fn(&Check) -> &str| self.0.iter().map(|check| text(check).len()).max().unwrap_or(0);
        let (node, name) = (width(|check| &check.node), width(|check| &check.check));
        for check in &self.0 {
            let mark = if check.ok { "ok  " } else { "FAIL" };
            writeln!(f, "{mark}  {:node$}  {:name$}  {}", check.node, check.check, check.found)?;
            if let Some(fix) = &check.fix {
                writeln!(f, "      {:node$}  {:name$}  fix: {fix}", "", "")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Checks, parse};

    #[test]
    fn lines_of_the_scripts_become_checks() {
        let lines = "ok\tetcd\thealthy\t\nwarning: noise\nfail\tports\topen: 0.0.0.0:80\tss -ltnp\nok\thalf";
        let checks = Checks(lines.lines().filter_map(|line| parse("server", line)).collect());
        assert!(!checks.all_good());
        insta::assert_snapshot!(checks.to_string(), @r"
        ok    server  etcd   healthy
        FAIL  server  ports  open: 0.0.0.0:80
                             fix: ss -ltnp
        ");
        assert_eq!(
            serde_json::to_string(&checks.0[0]).unwrap(),
            r#"{"node":"server","check":"etcd","ok":true,"found":"healthy","fix":null}"#
        );
    }
}
