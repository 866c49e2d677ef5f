use crate::ground::error::HostIo;
use crate::store::{StepKey, Store};

#[test]
fn a_step_is_made_once_and_a_failed_one_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let key = StepKey::new("test", 1, &("a", 1));
    let failed = store.step(&key, |path| {
        fs_err::write(path.join("half"), "x")?;
        Err(HostIo(std::io::Error::other("broken")).into())
    });
    assert!(failed.is_err() && store.made(&key).is_none());
    let path = store.step(&key, |path| Ok(fs_err::write(path.join("whole"), "x")?)).unwrap();
    assert!(path.join("whole").exists() && !path.join("half").exists());
    let again = store.step(&key, |_| panic!("made twice")).unwrap();
    assert_eq!(path, again);
}

#[test]
fn opening_removes_what_a_killed_builder_left_but_keeps_what_a_living_one_makes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for name in ["dead", "alive"] {
        fs_err::create_dir_all(folder.path().join("tmp").join(name)).unwrap();
    }
    let held = store.lock("alive").unwrap();
    Store::open(folder.path()).unwrap();
    assert!(!folder.path().join("tmp/dead").exists() && folder.path().join("tmp/alive").exists());
    drop(held);
}

#[test]
fn a_key_depends_on_name_version_and_description() {
    let key = StepKey::new("a", 1, &"x");
    for other in [StepKey::new("b", 1, &"x"), StepKey::new("a", 2, &"x"), StepKey::new("a", 1, &"y")] {
        assert_ne!(key.digest(), other.digest());
    }
}
