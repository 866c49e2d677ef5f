//! Real builds and real machines, as `./test` runs them. One program of tests: linking is what takes time.

#[path = "../builder/tests/again.rs"]
mod again;
mod arm64;
mod available;
mod bills;
mod boot;
mod builders;
mod bundle;
mod cluster;
mod conformance;
mod cri_o;
mod disk;
mod driver;
mod go;
mod hard_way;
mod hints;
mod images;
mod inspect;
mod kvm;
mod lab;
mod libvirt;
mod many;
mod moving;
mod oci;
mod pcap;
mod pods;
mod publishing;
mod registry;
mod reproducible;
mod shapes;
mod shell;
#[path = "../builder/tests/skip.rs"]
mod skip;
mod sources;
mod support;
mod time;
mod upgrade;
mod variations;
