//! Asks systemd-resolved by Varlink where another node is. It knows by multicast DNS: every node announces itself as a
//! service that carries the cluster's name, so that neighbours of other clusters are not taken for it. Nothing that is
//! said here is trusted for more than an address. <https://www.freedesktop.org/wiki/Software/systemd/writing-resolver-clients/>

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Where resolved listens, relative to the root.
pub const SOCKET: &str = "run/systemd/resolve/io.systemd.Resolve";
/// The kind of service that a node is.
pub const SERVICE: &str = "_kiln._tcp";

/// The longest label of a name in DNS, in bytes.
const LONGEST_LABEL: usize = 63;
/// The largest answer, in bytes.
const LARGEST: u64 = 64 << 10;
/// `AF_INET`.
const IPV4: u32 = 2;
/// `SD_RESOLVED_MDNS_IPV4`, `SD_RESOLVED_NO_TXT` and `SD_RESOLVED_NO_CACHE`: a node that is gone is not to be found.
const FLAGS: u64 = 1 << 3 | 1 << 6 | 1 << 12;

#[derive(Default, Deserialize)]
struct Reply {
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct Parameters {
    #[serde(default)]
    services: Vec<Service>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    addresses: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    family: u32,
    address: Vec<u8>,
}

/// What a node is called among the services: a label of DNS, with the cluster's name as far as there is room.
pub fn instance(cluster: &str, node: &str) -> String {
    let name = format!("{node}-{cluster}");
    if name.len() <= LONGEST_LABEL {
        return name;
    }
    Sha256::digest(name).iter().take(16).fold("kiln-".to_owned(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// The addresses of a service, none when nobody answers within `time`.
///
/// # Errors
/// resolved is not there, or says something that is not its protocol.
pub fn find(socket: &Path, instance: &str, time: Duration) -> io::Result<Vec<Ipv4Addr>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(time))?;
    stream.set_write_timeout(Some(time))?;
    // The name is a label: nothing in it has to be escaped.
    let call = format!(
        r#"{{"method":"io.systemd.Resolve.ResolveService","parameters":{{"name":"{instance}","type":"{SERVICE}","domain":"local","family":{IPV4},"flags":{FLAGS}}}}}"#
    );
    stream.write_all(call.as_bytes())?;
    stream.write_all(b"\0")?;
    let mut reply = Vec::new();
    match BufReader::new(stream).take(LARGEST).read_until(0, &mut reply) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Vec::new()),
        result => result?,
    };
    let reply = reply.strip_suffix(b"\0").ok_or_else(|| io::Error::other("the answer breaks off"))?;
    // An error, like that there is no such service, has no services.
    let reply: Reply = serde_json::from_slice(reply)?;
    let addresses = reply.parameters.services.into_iter().flat_map(|service| service.addresses);
    let v4 = addresses.filter(|address| address.family == IPV4);
    Ok(v4.filter_map(|address| Some(<[u8; 4]>::try_from(address.address).ok()?.into())).collect())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::thread;
    use std::time::Duration;

    use super::{find, instance};

    /// A resolved that gives one answer, whatever it is asked; `None` is silence.
    fn resolved(answer: Option<&'static [u8]>) -> (tempfile::TempDir, PathBuf, thread::JoinHandle<String>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            BufReader::new(stream.try_clone().unwrap()).read_until(0, &mut asked).unwrap();
            match answer {
                Some(answer) => stream.write_all(answer).unwrap(),
                None => thread::sleep(Duration::from_secs(1)),
            }
            String::from_utf8(asked).unwrap()
        });
        (dir, socket, asked)
    }

    fn answered(answer: Option<&'static [u8]>) -> Result<String, String> {
        let (_dir, socket, _) = resolved(answer);
        let found = find(&socket, "node-0-kiln", Duration::from_millis(200));
        found.map(|found| format!("{found:?}")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_is_asked_for_by_its_name_and_its_cluster_s() {
        let answer =
            br#"{"parameters":{"services":[{"priority":0,"weight":0,"port":10250,"hostname":"node-0.local",
            "canonicalName":"node-0.local","addresses":[{"ifindex":2,"family":10,"address":[254,128]},
            {"ifindex":2,"family":2,"address":[10,0,2,16]}]}],"canonical":{"name":"x"},"flags":1048584}}"#;
        let (_dir, socket, asked) =
            resolved(Some(Box::leak([&answer[..], b"\0"].concat().into_boxed_slice())));
        let found = find(&socket, &instance("kiln", "node-0"), Duration::from_secs(60)).unwrap();
        assert_eq!(found, ["10.0.2.16".parse::<std::net::Ipv4Addr>().unwrap()]);
        let asked: serde_json::Value =
            serde_json::from_str(asked.join().unwrap().trim_end_matches('\0')).unwrap();
        insta::assert_snapshot!(asked, @r#"{"method":"io.systemd.Resolve.ResolveService","parameters":{"domain":"local","family":2,"flags":4168,"name":"node-0-kiln","type":"_kiln._tcp"}}"#);
    }

    #[test]
    fn a_long_name_is_shortened_and_stays_its_own() {
        let (node, cluster) = ("n".repeat(63), "c".repeat(63));
        let name = instance(&cluster, &node);
        assert!(name.len() <= 63 && name != instance(&cluster, &node[1..]), "{name}");
    }

    #[test]
    fn silence_and_errors_are_nobody_and_nonsense_is_an_error() {
        let no = Ok("[]".to_owned());
        assert_eq!(answered(None), no);
        assert_eq!(answered(Some(b"{\"error\":\"io.systemd.Resolve.NoSuchResourceRecord\"}\0")), no);
        assert_eq!(
            answered(Some(
                b"{\"parameters\":{\"services\":[{\"addresses\":[{\"family\":2,\"address\":[1]}]}]}}\0"
            )),
            no
        );
        insta::assert_snapshot!(answered(Some(b"{\"parameters\":")).unwrap_err(), @"the answer breaks off");
        insta::assert_snapshot!(answered(Some(b"[1]\0")).unwrap_err(), @"invalid type: integer `1`, expected struct Parameters at line 1 column 2");
        assert!(find("/nowhere".as_ref(), "x", Duration::from_secs(1)).is_err());
    }
}
