//! A process that forbade the network opens no connection, whatever it is asked. One test: it is the whole process
//! that changes.

use std::io::ErrorKind;
use std::net::TcpListener;

use builder::fetch::{self, Item, Origin};
use builder::ground::progress::Progress;
use builder::share::Remote;
use builder::store::Store;

#[test]
fn nothing_is_asked_once_the_network_is_forbidden() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let url = format!("http://{}/file", server.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let hash: builder::ground::hash::Sha256Hex = "a".repeat(64).parse().unwrap();
    let item = Item {
        subject: "some file".to_owned(),
        urls: vec![url.clone()],
        size: None,
        hash: hash.into(),
        origin: Origin::Upstream,
    };

    builder::ground::offline::forbid();
    // The caller forgot to say so.
    let error = fetch::fetch(&store, vec![item], false, &Progress::new()).unwrap_err().to_string();
    assert!(error.contains("some file is not in the store, and --offline forbids fetching it"), "{error}");
    let error =
        fetch::unverified(std::slice::from_ref(&url), &folder.path().join("index")).unwrap_err().to_string();
    assert!(error.contains("--offline forbids the network"), "{error}");
    let error = Remote::open(&url).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("is on the network, and --offline forbids it"), "{error}");
    assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "the server was asked");

    // What lies on this machine is no network.
    let file = folder.path().join("here");
    std::fs::write(&file, "x").unwrap();
    fetch::unverified(&[format!("file://{}", file.display())], &folder.path().join("index")).unwrap();
}
