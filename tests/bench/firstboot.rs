//! What firstboot costs inside of a machine, at its first boot and at one where nothing is new; and beside cloud-init, that
//! gets the same values from the same disk. It prints tables; no time fails it. What each row means is in
//! `docs/reference/speed.md`.
//!
//! It works in a folder of its own. The machines are those of `builder up`, with KVM when that works.

#![expect(clippy::print_stdout, reason = "a benchmark says what it found")]

#[path = "../support.rs"]
mod support;

#[path = "firstboot/machine.rs"]
mod machine;

#[path = "firstboot/native.rs"]
mod native;

#[path = "firstboot/project.rs"]
mod project;

use std::path::Path;
use std::time::Duration;

use builder::ground::arch::Arch;
use builder::lockfile::Lock;
use fs_err as fs;
use machine::{Cost, Machine};
use project::Project;
use support::{PROFILE, project};

/// First boots of the machine that is alone, each followed by a second one, unless the caller says how many, perhaps
/// none; the middle of each figure counts.
const RUNS: usize = 3;

/// The node that is measured alone.
const NODE: &str = "node-0";

/// The unit that is measured.
const FIRSTBOOT: &str = "kiln-firstboot";

/// What cloud-init starts at boot, in this order.
const CLOUD_INIT: [&str; 5] =
    ["cloud-init-main", "cloud-init-local", "cloud-init-network", "cloud-config", "cloud-final"];

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    let Some(folder) = args.next() else {
        println!("usage: cargo bench --package builder --features e2e --bench firstboot -- FOLDER [BOOTS]");
        return;
    };
    let runs = args.next().map_or(RUNS, |boots| boots.parse().expect("BOOTS is a number"));
    let folder = Path::new(&folder);
    fs::create_dir(folder).expect("FOLDER is made, and must not be there before");
    let folder = fs::canonicalize(folder).unwrap();
    let alone = if runs > 0 { alone(&folder, runs) } else { String::new() };
    println!("{alone}");
    let beside = beside(&folder);
    println!("\n{alone}\n{beside}");
    fs::remove_dir_all(folder).unwrap();
}

/// firstboot as it goes into the images.
fn program() -> &'static [u8] {
    let lock = Lock::load(&project().join("lockfile.toml")).unwrap();
    builder::embedded::binary(&lock, Arch::Amd64).unwrap()
}

/// A worker of the profile that everybody builds.
fn alone(folder: &Path, runs: usize) -> String {
    let mut table = format!("firstboot is {} bytes, stripped.\n\n{HEAD}", program().len());
    let project = Project::whole(folder);
    let results = project.build(PROFILE, "out");
    if let Some([first, second]) = native::measure(&results, NODE, program(), folder) {
        table.push_str(&format!("| outside of it, first boot | {} | – | – | – |\n", ms(first)));
        table.push_str(&format!("| outside of it, nothing new | – | {} | – | – |\n", ms(second)));
    }
    let machine = Machine::new(&project, &results, NODE);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        machine.up(&[], FIRSTBOOT);
        first.push((machine.said(), machine.cost(FIRSTBOOT)));
        machine.again(&[], FIRSTBOOT);
        second.push((None, machine.cost(FIRSTBOOT)));
        machine.delete();
    }
    table.push_str(&row("in a machine, first boot", &first));
    table.push_str(&row("in a machine, nothing new", &second));
    table
}

const HEAD: &str = "| firstboot | says | program | unit | processor |\n|---|---|---|---|---|\n";

/// What firstboot says that it took, in milliseconds, and what systemd says.
type Boot = (Option<u64>, Cost);

/// The middle of each figure.
fn row(name: &str, costs: &[Boot]) -> String {
    let middle = |figure: &dyn Fn(&Boot) -> Duration| {
        let mut figures: Vec<_> = costs.iter().map(figure).collect();
        figures.sort();
        ms(figures[figures.len() / 2])
    };
    let says = match costs[0].0 {
        Some(_) => middle(&|(says, _)| Duration::from_millis(says.unwrap_or_default())),
        None => "–".to_owned(),
    };
    let program = middle(&|(_, cost)| cost.program);
    format!("| {name} | {says} | {program} | {} | {} |\n", middle(&|c| c.1.unit), middle(&|c| c.1.processor))
}

fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// One machine with a NoCloud disk that both programs apply.
fn beside(folder: &Path) -> String {
    let project = Project::small(folder);
    let without = project.build(project::PROFILE, "without");
    let packages = project.add_cloud_init();
    let with = project.build(project::PROFILE, "with");
    let bytes = |results: &Path| fs::metadata(results.join("beside.qcow2")).unwrap().len();
    let image = bytes(&with) - bytes(&without);

    let machine = Machine::new(&project, &with, project::NODE);
    let seed = project.seed(&with);
    machine.up(&seed, CLOUD_INIT[4]);
    machine.expect_applied();
    let first = machine.costs(&CLOUD_INIT);
    let ours = machine.cost(FIRSTBOOT);
    let generator = machine.generator();
    let floor = machine.floor();
    let installed = machine.installed(&packages);
    let version = machine.ssh("cloud-init --version");
    machine.again(&seed, CLOUD_INIT[4]);
    let second = machine.costs(&CLOUD_INIT);
    let ours_again = machine.cost(FIRSTBOOT);
    for (boot, costs) in [("first", &first), ("second", &second)] {
        for (unit, cost) in CLOUD_INIT.iter().zip(costs) {
            println!("{boot} boot, {unit}: unit {}, processor {}", ms(cost.unit), ms(cost.processor));
        }
    }
    println!("its generator, by hand: {}", ms(generator));
    println!("the floor, a unit with /bin/true: unit {}, processor {}", ms(floor.unit), ms(floor.processor));
    machine.delete();

    let (first, second) = (Cost::sum(&first), Cost::sum(&second));
    let program = program();
    // As qcow2 does it, but for its clusters.
    let packed = zstd::bulk::compress(program, 3).unwrap().len();
    let version = version.trim();
    let mut table = format!(
        "\n{version}, with {} packages more\n\n| | firstboot | cloud-init | cloud-init / firstboot |\n|---|---|---|---|\n",
        packages.len()
    );
    let mut compare = |name: &str, ours: f64, theirs: f64, unit: &str| {
        table.push_str(&format!(
            "| {name} | {ours:.0} {unit} | {theirs:.0} {unit} | {:.0} |\n",
            theirs / ours
        ));
    };
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    compare("first boot, units", millis(ours.unit), millis(first.unit), "ms");
    compare("first boot, processor", millis(ours.processor), millis(first.processor), "ms");
    compare("second boot, units", millis(ours_again.unit), millis(second.unit), "ms");
    compare("second boot, processor", millis(ours_again.processor), millis(second.processor), "ms");
    compare("installed", program.len() as f64 / 1024.0, installed as f64, "KiB");
    compare("in the image", packed as f64 / 1024.0, image as f64 / 1024.0, "KiB");
    table
}
