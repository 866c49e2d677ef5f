//! One registry as `oci-client` speaks to it: who asks, how long it may take, and how it may fail.
//!
//! It verifies nothing; whoever asks does that. No message of it has credentials.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use futures_util::StreamExt as _;
use oci_client::client::{BlobResponse, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::fetch::{CONNECT, Credentials, STALL, causes, is_here};
use crate::oci::error::{OciError, host};
use crate::oci::layout::DOCUMENTS;
use crate::oci::place::Repository;

/// The fewest bytes a second, over a whole blob.
const LEAST: u64 = 1024;

/// How Docker's configuration file calls Docker's own registry.
const DOCKER: [&str; 2] = ["index.docker.io", "https://index.docker.io/v1/"];

/// How a request failed.
#[derive(Debug)]
pub(super) enum Attempt {
    /// It has no such thing.
    NotThere,
    /// Another attempt may go better.
    Later(String),
    /// It wants to know who asks.
    Refused(String),
    /// Its certificate is not accepted.
    Certificate(String),
    /// It has something else; this is what.
    Wrong(String),
    /// This machine's disk failed.
    Host(std::io::Error),
}

impl From<std::io::Error> for Attempt {
    fn from(error: std::io::Error) -> Self {
        Self::Host(error)
    }
}

/// A connection to a repository.
pub(super) struct Connection {
    runtime: Runtime,
    client: Client,
    auth: RegistryAuth,
    repository: Repository,
    /// Whether it knows who asks.
    greeted: bool,
}

impl Connection {
    /// Prepares everything but the first request.
    pub(super) fn new(repository: &Repository) -> Result<Self, crate::ground::error::Error> {
        crate::ground::tls::prepare();
        let mut config = ClientConfig {
            protocol: if repository.secure { ClientProtocol::Https } else { ClientProtocol::Http },
            connect_timeout: Some(CONNECT),
            read_timeout: Some(STALL),
            ..ClientConfig::default()
        };
        if is_here(host(&repository.registry)) {
            // The host's proxy is not asked for what the host itself serves: one that is never used stands in for it.
            let nowhere = Some("http://127.0.0.1:9".to_owned());
            (config.http_proxy, config.https_proxy) = (nowhere.clone(), nowhere);
            config.no_proxy = Some("localhost,127.0.0.1,::1".to_owned());
        }
        let client = Client::try_from(config).map_err(std::io::Error::other)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let auth = credentials(repository)?;
        Ok(Self { runtime, client, auth, repository: repository.clone(), greeted: false })
    }

    /// A document: by digest, or by tag.
    pub(super) fn document(&mut self, which: &str) -> Result<Vec<u8>, Attempt> {
        self.greet()?;
        let reference = self.reference(which);
        let ask = self.client.pull_manifest_raw(&reference, &self.auth, &DOCUMENTS);
        // It verifies a digest, too.
        let answer = self.runtime.block_on(async { timeout(STALL, ask).await });
        Ok(answer.map_err(|_| slow())?.map_err(attempt)?.0.into())
    }

    /// A blob of so many bytes from byte `from` on. `take` gets where each piece begins, and the piece.
    pub(super) fn blob(
        &mut self,
        digest: &str,
        from: u64,
        size: u64,
        mut take: impl FnMut(u64, &[u8]) -> std::io::Result<()>,
    ) -> Result<(), Attempt> {
        self.greet()?;
        let reference = self.reference(digest);
        let load = async {
            let answer = self.client.pull_blob_stream_partial(&reference, digest, from, None).await;
            // What is there so far is more than it has.
            if let Err(OciDistributionError::ServerError { code: 416, .. }) = &answer {
                return Err(Attempt::Wrong(format!("no more than {from} bytes of {size}")));
            }
            let (mut at, mut stream) = match answer.map_err(attempt)? {
                BlobResponse::Full(stream) => (0, stream),
                BlobResponse::Partial(stream) => (from, stream),
            };
            while at < size {
                match stream.next().await {
                    Some(Ok(bytes)) => {
                        take(at, &bytes)?;
                        at += bytes.len() as u64;
                    }
                    Some(Err(error)) => return Err(Attempt::Later(causes(&error))),
                    None => return Err(Attempt::Later(format!("it ended after {at} of {size} bytes"))),
                }
            }
            Ok::<(), Attempt>(())
        };
        let enough = STALL + Duration::from_secs(size / LEAST);
        self.runtime.block_on(async { timeout(enough, load).await }).map_err(|_| slow())?
    }

    fn reference(&self, which: &str) -> Reference {
        let (registry, name) = (self.repository.registry.clone(), self.repository.name.clone());
        match which.contains(':') {
            true => Reference::with_digest(registry, name, which.to_owned()),
            false => Reference::with_tag(registry, name, which.to_owned()),
        }
    }

    /// Asks how the registry wants to know who asks. Every later request would do so, but drop what goes wrong.
    fn greet(&mut self) -> Result<(), Attempt> {
        if crate::ground::offline::is_forbidden() {
            return Err(Attempt::Later("--offline forbids the network".to_owned()));
        }
        if !self.greeted {
            let reference = self.reference("latest");
            let ask = self.client.auth(&reference, &self.auth, RegistryOperation::Pull);
            self.runtime
                .block_on(async { timeout(STALL, ask).await })
                .map_err(|_| slow())?
                .map_err(attempt)?;
            self.greeted = true;
        }
        Ok(())
    }
}

fn slow() -> Attempt {
    Attempt::Later(format!("it sends less than {LEAST} bytes a second"))
}

fn attempt(error: OciDistributionError) -> Attempt {
    match error {
        OciDistributionError::UnauthorizedError { .. } => Attempt::Refused("401 Unauthorized".to_owned()),
        OciDistributionError::AuthenticationFailure(_) => {
            Attempt::Refused("its token service gives no token".to_owned())
        }
        OciDistributionError::ServerError { code: 403, .. } => Attempt::Refused("403 Forbidden".to_owned()),
        OciDistributionError::ServerError { code: 404 | 410, .. }
        | OciDistributionError::ImageManifestNotFoundError(_) => Attempt::NotThere,
        OciDistributionError::ServerError { code: 429, .. } => Attempt::Later(
            "it answered 429: it takes no more requests for now; a login or a mirror helps".to_owned(),
        ),
        OciDistributionError::ServerError { code, .. } => Attempt::Later(format!("it answered {code}")),
        OciDistributionError::RegistryError { envelope, .. } => of_envelope(&envelope),
        OciDistributionError::DigestError(error) => Attempt::Wrong(wrong_digest(&error)),
        OciDistributionError::RequestError(error) => {
            let text = causes(&error.without_url());
            if text.contains("invalid peer certificate") {
                Attempt::Certificate(text)
            } else {
                Attempt::Later(text)
            }
        }
        other => Attempt::Later(causes(&other)),
    }
}

/// What a registry says in the form that the distribution specification gives errors.
fn of_envelope(envelope: &oci_client::errors::OciEnvelope) -> Attempt {
    use oci_client::errors::OciErrorCode as Code;
    let Some(error) = envelope.errors.first() else {
        return Attempt::Later("it answered an error".to_owned());
    };
    let said = || error.message.lines().next().unwrap_or_default().to_owned();
    match error.code {
        Code::Unauthorized | Code::Denied => Attempt::Refused(said()),
        Code::ManifestUnknown
        | Code::ManifestBlobUnknown
        | Code::BlobUnknown
        | Code::NameUnknown
        | Code::NotFound => Attempt::NotThere,
        _ => Attempt::Later(said()),
    }
}

fn wrong_digest(error: &oci_client::errors::DigestError) -> String {
    match error {
        oci_client::errors::DigestError::VerificationError { actual, .. } => actual.clone(),
        other => other.to_string(),
    }
}

/// Who asks: what the address says, else Docker's configuration file, else the user's netrc file.
fn credentials(repository: &Repository) -> Result<RegistryAuth, crate::ground::error::Error> {
    let basic = |(name, password): (String, String)| RegistryAuth::Basic(name, password);
    if let Some(user) = repository.user.clone() {
        return Ok(basic(user));
    }
    let registry = if repository.registry == "docker.io" { DOCKER[0] } else { &repository.registry };
    if let Some(user) = of_docker(registry)? {
        return Ok(basic(user));
    }
    let netrc = Credentials::find()?;
    let found = netrc.of(host(registry)).map(|(name, password)| (name.to_owned(), password.to_owned()));
    Ok(found.map_or(RegistryAuth::Anonymous, basic))
}

/// What a helper says of a registry that it has nothing for (docker-credential-helpers, `errCredentialsNotFound`).
const NOT_FOUND: &str = "credentials not found";

/// Name and password of `$DOCKER_CONFIG/config.json`, else of `~/.docker/config.json`, by way of the helper that it
/// names if it does.
fn of_docker(registry: &str) -> Result<Option<(String, String)>, OciError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")));
    let Some(path) = folder.map(|folder| folder.join("config.json")) else { return Ok(None) };
    let Ok(file) = File::open(&path) else { return Ok(None) };
    let server = if registry == DOCKER[0] { DOCKER[1] } else { registry };
    // Its own messages may have what a helper printed.
    let message = match docker_credential::get_credential_from_reader(BufReader::new(file), server) {
        Ok(DockerCredential::UsernamePassword(name, password)) => return Ok(Some((name, password))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => return Ok(None),
        Ok(DockerCredential::IdentityToken(_)) => {
            "an identity token is not supported; a password is".to_owned()
        }
        // The helper knows nobody there: what it says then is a part of Docker's protocol with helpers.
        Err(CredentialRetrievalError::HelperFailure { stdout, stderr, .. })
            if [&stdout, &stderr].iter().any(|said| said.contains(NOT_FOUND)) =>
        {
            return Ok(None);
        }
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            format!("its helper `{helper}` failed")
        }
        Err(CredentialRetrievalError::HelperCommunicationError) => "its helper cannot be run".to_owned(),
        Err(CredentialRetrievalError::CredentialMismatchError) => "`auth` and `username` differ".to_owned(),
        Err(_) => "it cannot be read".to_owned(),
    };
    Err(OciError::Config { path, registry: registry.to_owned(), message })
}
