//! Ids of a sandbox in its user namespace. Of an ordinary user: root inside is the user, 1 to 65535 inside are the user's
//! subordinate ids. Of root: the same ids inside and outside, all of them, since files of any user may be shown.

use std::process::Command;

/// How many ids an image needs: 0 to 65534 and nobody.
const WANTED: u32 = 65536;

/// Gives the process its id maps, an ordinary user by shadow's setuid helpers.
pub(super) fn map(pid: u32) -> Result<(), String> {
    if nix::unistd::geteuid().is_root() {
        let same = format!("0 0 {}\n", u32::MAX);
        let write = |file| fs_err::write(format!("/proc/{pid}/{file}"), &same);
        return write("uid_map").and_then(|()| write("gid_map")).map_err(|error| error.to_string());
    }
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    run_helper("newuidmap", pid, uid, &range("/etc/subuid", uid)?)?;
    run_helper("newgidmap", pid, gid, &range("/etc/subgid", uid)?)
}

/// The first range of at least 65535 ids of the user in a file of lines `user:start:count` (subuid(5)).
fn range(file: &str, uid: u32) -> Result<(u32, u32), String> {
    let name = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
        .ok()
        .flatten()
        .map_or_else(|| uid.to_string(), |user| user.name);
    let text = fs_err::read_to_string(file).map_err(|error| error.to_string())?;
    text.lines().find_map(|line| parse(line, &name, uid)).ok_or_else(|| {
        format!("{file} has no range of {WANTED} ids for `{name}`; `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}` gives it one")
    })
}

fn parse(line: &str, name: &str, uid: u32) -> Option<(u32, u32)> {
    let mut fields = line.trim().split(':');
    let owner = fields.next()?;
    let start = fields.next()?.parse().ok()?;
    let count: u32 = fields.next()?.parse().ok()?;
    ((owner == name || owner == uid.to_string()) && count >= WANTED - 1).then_some((start, WANTED - 1))
}

#[expect(clippy::disallowed_methods, reason = "the sandbox is the door")]
fn run_helper(helper: &str, pid: u32, own: u32, (start, count): &(u32, u32)) -> Result<(), String> {
    let args = [pid, 0, own, 1, 1, *start, *count].map(|number| number.to_string());
    let output = Command::new(helper).args(args).output().map_err(|error| {
        format!("`{helper}` does not run ({error}); it is in the package `uidmap` (Debian, Ubuntu) or `shadow-utils` (Fedora)")
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{helper}` failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_range_must_belong_to_the_user_and_suffice() {
        assert_eq!(parse("ann:100000:65536", "ann", 1000), Some((100_000, 65535)));
        assert_eq!(parse("1000:100000:65536", "ann", 1000), Some((100_000, 65535)));
        assert_eq!(parse("bob:100000:65536", "ann", 1000), None);
        assert_eq!(parse("ann:100000:1000", "ann", 1000), None);
        assert_eq!(parse("ann:x", "ann", 1000), None);
    }
}
