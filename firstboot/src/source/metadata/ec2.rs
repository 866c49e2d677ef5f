//! Amazon EC2's instance metadata service, version 2: a token first, then a path a value.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>

use crate::http::Request;
use crate::source::error::MetadataError;
use crate::source::metadata::client::{Client, Said};

const TOKEN: &str = "/latest/api/token";
const META: &str = "/latest/meta-data/";
/// How long the token holds, in seconds.
const LIFETIME: &str = "60";
/// The most keys that are asked for.
const MOST_KEYS: usize = 64;

pub(super) fn ask(client: &Client) -> Result<Said, MetadataError> {
    let fields = [("X-aws-ec2-metadata-token-ttl-seconds", LIFETIME)];
    let answer = client.ask(&Request { method: "PUT", path: TOKEN, fields: &fields })?;
    let token = client.text(TOKEN, client.needed(TOKEN, answer)?.body)?;
    let fields = [("X-aws-ec2-metadata-token", &*token)];
    let line = |name: &str| client.line(&format!("{META}{name}"), &fields);
    let id = "instance-id";
    // Each line of the list is `INDEX=NAME`.
    let listed = line("public-keys/")?.unwrap_or_default();
    let mut keys = Vec::new();
    for entry in listed.lines().take(MOST_KEYS) {
        let index = entry.split('=').next().unwrap_or_default().trim();
        if index.is_empty() || !index.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(client.wrong(&format!("{META}public-keys/"), "a key has no number".to_owned()));
        }
        keys.extend(line(&format!("public-keys/{index}/openssh-key"))?);
    }
    Ok(Said {
        instance_id: client.needed(&format!("{META}{id}"), line(id)?)?,
        hostname: line("local-hostname")?,
        address: line("local-ipv4")?,
        keys,
        user_data: client.get("/latest/user-data", &fields)?,
    })
}
