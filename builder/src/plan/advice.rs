//! What a person should know before a build, without a byte of it depending on that: a release past its end of life, or
//! one that nobody has run.

use crate::plan::Plan;
use crate::role::at_least;

/// The lines for a day, written `2026-11-21`.
#[must_use]
pub fn of(plan: &Plan, today: &str) -> Vec<String> {
    let unproven = plan
        .release
        .unproven
        .then(|| format!("note: nobody has built and booted the release {} yet", plan.cluster.release));
    unproven.into_iter().chain(end_of_life(plan, today)).collect()
}

fn end_of_life(plan: &Plan, today: &str) -> Option<String> {
    let release = &plan.release;
    if today <= release.end_of_life.as_str() {
        return None;
    }
    let newest =
        plan.lock.release.iter().reduce(|best, other| {
            if at_least(&other.1.kubernetes, &best.1.kubernetes) { other } else { best }
        });
    let way_out = match newest {
        Some((name, newest)) if *name != plan.cluster.release => {
            format!("the newest release is {name} ({}): --release {name}", newest.kubernetes)
        }
        _ => "the lockfile has no newer release".to_owned(),
    };
    let name = &plan.cluster.release;
    let end = &release.end_of_life;
    Some(format!(
        "note: release {name} has Kubernetes {}, unsupported since {end}; {way_out}",
        release.kubernetes
    ))
}
