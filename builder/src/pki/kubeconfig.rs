//! The text of a kubeconfig: one cluster, one user and one context, certificates embedded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::pki::issue::Issued;
use crate::pki::key::SecretText;

/// A kubeconfig that shows `client`'s certificate to the API server at the URL `server`.
pub(super) fn render(cluster: &str, server: &str, authority: &str, client: &Issued) -> SecretText {
    let authority = STANDARD.encode(authority);
    let certificate = STANDARD.encode(&client.certificate);
    let key = STANDARD.encode(client.key.expose());
    let user = &client.name;
    // Names are quoted: a cluster may be called `1` or `true`.
    SecretText::new(format!(
        r#"apiVersion: v1
kind: Config
clusters:
  - name: "{cluster}"
    cluster:
      certificate-authority-data: {authority}
      server: {server}
contexts:
  - name: default
    context:
      cluster: "{cluster}"
      user: "{user}"
current-context: default
preferences: {{}}
users:
  - name: "{user}"
    user:
      client-certificate-data: {certificate}
      client-key-data: {key}
"#
    ))
}
