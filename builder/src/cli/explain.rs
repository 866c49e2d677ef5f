//! `builder explain`: what the files, units, certificates and flags of a profile's machines are for.

use std::process::ExitCode;

use clap::Args;

use crate::cli::global::{Global, Target};
use crate::cli::screen::{say, say_json};
use crate::explain::guide::{self, GUIDE, PROFILE, Step};
use crate::explain::{Kind, Origin, Thing, things};
use crate::ground::call;
use crate::ground::error::Result;
use crate::plan::Plan;

/// What there is to ask for, and the profile of the guide as the default.
const NAMES: &str = "\
NAME is a path, a unit, a certificate's label, or a flag such as kubelet:maxPods
or advertise-address. Nothing is fetched or built for an answer.";

/// Columns of a screen.
const WIDTH: usize = 80;

/// Columns of the names in a list, and of the labels in an answer.
const NAME: usize = 32;
const LABEL: usize = 11;

/// Arguments of `builder explain`.
#[derive(Debug, Args)]
#[command(after_help = NAMES)]
pub(super) struct Explain {
    /// What to explain; everything there is, a line each, when absent
    #[arg(allow_hyphen_values = true)]
    name: Option<String>,
    /// Name of a profile, or the path of one [default: kthw]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Another release than the profile's or the lockfile's
    #[arg(long, value_name = "RELEASE")]
    release: Option<String>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let Self { name, profile, release, json } = self;
        // A bundle has the profile that it was made for.
        let own = || global.made_for.as_ref().map_or(PROFILE, |made_for| &made_for.profile).to_owned();
        let profile = profile.unwrap_or_else(own);
        let plan = Plan::resolve(&global.request(&Target { profile, release, arch: None, lockfile: None }))?;
        let all = things(&plan)?;
        let chosen: Vec<&Thing> = match &name {
            Some(name) => Thing::named(&all, &plan.profile.name, name)?,
            None => all.iter().collect(),
        };
        if json {
            say_json(&chosen)?;
        } else if name.is_some() {
            let steps = guide::steps()?;
            let answers: Vec<String> = chosen.iter().map(|thing| answer(&plan, thing, &steps)).collect();
            say(&answers.join("\n"))?;
        } else {
            say(&list(&plan, &chosen))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Everything, below the recipe that explains or brings it.
fn list(plan: &Plan, things: &[&Thing]) -> String {
    let layers: Vec<_> = plan.roles.iter().flat_map(|role| &role.layers).collect();
    let (mut text, mut above) = (String::new(), None);
    for thing in things {
        let brought = || thing.origins.iter().find_map(|origin| origin.recipe.as_deref());
        let recipe = thing.explanation.as_ref().map(|it| it.recipe.as_str()).or_else(brought);
        if above != Some(recipe) {
            let layer = layers.iter().find(|layer| Some(layer.name.as_str()) == recipe);
            let title = layer.map_or("Every image of Kiln", |layer| &layer.image.description);
            let title = format!("{}: {title}", recipe.unwrap_or("Kiln"));
            text += &format!("{}{}\n\n", if above.is_some() { "\n" } else { "" }, wrapped(&title, 0));
            above = Some(recipe);
        }
        let name = match thing.kind {
            Kind::Certificate => format!("certificate {}", thing.name),
            Kind::Unit | Kind::File | Kind::Flag => thing.name.clone(),
        };
        let what = thing.explanation.as_ref().map_or("(nothing is said of it)", |it| it.entry.what.as_str());
        let what = wrapped(what, NAME + 4);
        let what = what.trim_start();
        // What is longer than its column has a line for itself.
        let gap = if name.len() <= NAME { " ".repeat(NAME + 2 - name.len()) } else { format!("\n{:36}", "") };
        text += &format!("  {name}{gap}{what}\n");
    }
    text
}

/// All that is known of a thing.
fn answer(plan: &Plan, thing: &Thing, steps: &[Step]) -> String {
    let mut text = format!("{} {}\n\n", thing.kind.name(), thing.name);
    let mut line = |label: &str, body: String| {
        text += &format!("  {label:LABEL$}{}\n", body.trim_start());
    };
    let column = LABEL + 2;
    let said = |words: &str| wrapped(words, column);
    // What is typed stays as it is.
    let typed = |commands: &str| commands.trim().replace('\n', &format!("\n{:column$}", ""));
    match thing.explanation.as_ref().map(|explanation| &explanation.entry) {
        Some(entry) => {
            line("what", said(&entry.what));
            if let Some((number, step)) =
                entry.step.and_then(|number| Some((number, steps.get(number.checked_sub(1)?)?)))
            {
                let guide = GUIDE.rsplit('/').next().unwrap_or_default();
                line("guide", said(&format!("{guide}, chapter {number}: {}", step.title)));
            }
            entry.by_hand.iter().for_each(|commands| line("by hand", typed(commands)));
            entry.read_by.iter().for_each(|reader| line("read by", said(reader)));
            line("without", said(&entry.without));
            if let Some(node) = thing.machine(plan).filter(|_| !entry.see.is_empty()) {
                let (profile, node) = (&plan.profile.name, &node.name);
                line("see it", call::typed(&format!("builder ssh --profile {profile} {node}")));
                entry.see.iter().for_each(|command| line("", typed(command)));
            }
        }
        None => line("what", said("no recipe says what it is for")),
    }
    for Origin { source, component, value, roles, .. } in &thing.origins {
        if let Some(value) = value {
            line(if thing.kind == Kind::Flag { "set to" } else { "leads to" }, said(value));
        }
        let component = component.iter().map(|component| format!(", of the component {component}"));
        line("from", said(&format!("{source}{}", component.collect::<String>())));
        line("", said(&format!("on {}", roles.join(", "))));
    }
    text
}

/// A text of lines that fit the screen behind `column`, as far as its words do.
fn wrapped(text: &str, column: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && column + lines[last].chars().count() + 1 + word.chars().count() > WIDTH
        {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last] += word;
        }
    }
    let lines: Vec<String> = lines.into_iter().map(|line| format!("{:column$}{line}", "")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{WIDTH, answer, list};
    use crate::explain::{Thing, guide, things};
    use crate::ground::arch::Arch;
    use crate::plan::{Plan, Request};

    #[test]
    fn answers_fit_a_screen() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        for profile in [guide::PROFILE, "single"] {
            let request = Request {
                lockfile: crate::lockfile::path(&project),
                project: project.clone(),
                profile: profile.to_owned(),
                release: None,
                arch: Arch::Amd64,
                images: None,
            };
            let plan = Plan::resolve(&request).unwrap();
            let things = things(&plan).unwrap();
            let steps = guide::steps().unwrap();
            let all: Vec<&Thing> = things.iter().collect();
            let mut texts: Vec<String> = all.iter().map(|thing| answer(&plan, thing, &steps)).collect();
            texts.push(list(&plan, &all));
            // A long word has a line for itself, and what is typed stays as it is typed.
            let is_typed = |line: &str| {
                let see =
                    things.iter().filter_map(|thing| Some(&thing.explanation.as_ref()?.entry.see)).flatten();
                see.into_iter().any(|command| line.ends_with(command.as_str()))
            };
            let wide: Vec<&str> = texts
                .iter()
                .flat_map(|text| text.lines())
                .filter(|line| {
                    let words = line.split_whitespace().count();
                    line.chars().count() > WIDTH && words > 3 && !is_typed(line)
                })
                .collect();
            assert_eq!(wide, Vec::<&str>::new());
        }
    }
}
