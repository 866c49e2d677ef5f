//! Which service an address means, and the client that speaks with it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{ClientOptions, HeaderMap, HeaderValue, ObjectStore, ObjectStoreScheme, RetryConfig};
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::fetch::{CONNECT, Credentials, shown};
use crate::ground::error::Result;
use crate::share::ShareError;
use crate::share::settings::{self, Settings};

/// Characters of a server's answer that an error repeats.
const ANSWER: usize = 300;

/// Attempts after the first one.
pub(super) const RETRIES: u32 = 3;

/// The longest that one request may take, however fast: a large file goes in several.
const REQUEST: Duration = Duration::from_secs(30 * 60);

/// An address that can be used.
pub(super) struct Address {
    pub(super) url: Url,
    pub(super) scheme: ObjectStoreScheme,
    /// Its path, which all names there begin with.
    pub(super) base: Location,
    /// For people: without what is secret.
    pub(super) shown: String,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, ShareError> {
        let wrong = |address: &str, message: &str| {
            Err(ShareError::Address { address: address.to_owned(), message: message.to_owned() })
        };
        let plain = shown(text.split(['?', '#']).next().unwrap_or_default());
        let Ok(url) = text.parse::<Url>() else { return wrong(&plain, "it is no address") };
        let (scheme, base) = match ObjectStoreScheme::parse(&url) {
            Ok((ObjectStoreScheme::Memory, _)) | Err(_) => return wrong(&plain, "nothing is known by it"),
            Ok(found) => found,
        };
        if url.query().is_some() || url.fragment().is_some() {
            return wrong(&plain, "it has a query; what is secret comes from the environment");
        }
        if url.password().is_some() && !matches!(scheme, ObjectStoreScheme::Http) {
            return wrong(&plain, "it has a password; what is secret comes from the environment");
        }
        // What stands before the @ is a container's name here.
        let shown = if matches!(scheme, ObjectStoreScheme::MicrosoftAzure) { text.to_owned() } else { plain };
        if matches!(scheme, ObjectStoreScheme::Local) && base.as_ref().is_empty() {
            return wrong(&shown, "it is no folder of its own");
        }
        Ok(Self { url, scheme, base, shown })
    }
}

/// The builders have no trait in common.
macro_rules! build {
    ($builder:ty, $url:expr, $settings:expr, $options:expr) => {{
        let retry = RetryConfig { max_retries: RETRIES as usize, ..RetryConfig::default() };
        let builder = <$builder>::new().with_url($url).with_retry(retry).with_client_options($options);
        let settings = $settings.into_iter().filter_map(|(key, value)| Some((key.parse().ok()?, value)));
        let builder = settings.fold(builder, |builder, (key, value)| builder.with_config(key, value));
        builder.build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
    }};
}

/// A client of the service, with the user's credentials, and what of these no message may repeat.
pub(super) fn connect(
    scheme: &ObjectStoreScheme,
    url: Url,
    shown: &str,
) -> Result<(Arc<dyn ObjectStore>, Secrets)> {
    crate::ground::tls::prepare();
    // Whoever writes http:// means it, be it the address or a service's endpoint in the environment.
    let options = ClientOptions::new()
        .with_allow_http(true)
        .with_connect_timeout(CONNECT)
        .with_timeout(REQUEST)
        .with_user_agent(HeaderValue::from_static(concat!("kiln/", env!("CARGO_PKG_VERSION"))));
    let settings = match scheme {
        ObjectStoreScheme::AmazonS3 => settings::aws()?,
        ObjectStoreScheme::GoogleCloudStorage => settings::google(),
        ObjectStoreScheme::MicrosoftAzure => settings::azure(),
        _ => Settings::new(),
    };
    let mut secrets = Secrets::of(&settings);
    let built = match scheme {
        ObjectStoreScheme::Local => Ok(Arc::new(LocalFileSystem::new()) as Arc<dyn ObjectStore>),
        ObjectStoreScheme::AmazonS3 => build!(AmazonS3Builder, url, settings, options),
        ObjectStoreScheme::GoogleCloudStorage => build!(GoogleCloudStorageBuilder, url, settings, options),
        ObjectStoreScheme::MicrosoftAzure => build!(MicrosoftAzureBuilder, url, settings, options),
        _ => {
            let (root, login) = web(url)?;
            let options = match &login {
                Some(login) => options.with_default_headers(authorization(login, &mut secrets)),
                None => options,
            };
            build!(HttpBuilder, root, settings, options)
        }
    };
    let unusable = |error: object_store::Error| ShareError::Address {
        address: shown.to_owned(),
        message: secrets.line(&error.to_string()),
    };
    let store = built.map_err(unusable)?;
    Ok((store, secrets))
}

/// The root of a web server, and who one is to it: what the address says, else the user's netrc file.
fn web(mut url: Url) -> Result<(Url, Option<(String, String)>)> {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = match (url.username(), url.password()) {
        ("", None) => {
            let netrc = Credentials::find()?;
            let found = url.host_str().and_then(|host| netrc.of(host));
            found.map(|(name, password)| (name.to_owned(), password.to_owned()))
        }
        (name, password) => Some((plain(name), plain(password.unwrap_or_default()))),
    };
    url.set_path("/");
    // An address with a host takes both.
    let _ = (url.set_username(""), url.set_password(None));
    Ok((url, login))
}

/// HTTP's basic authentication (RFC 7617).
fn authorization((name, password): &(String, String), secrets: &mut Secrets) -> HeaderMap {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    let mut headers = HeaderMap::new();
    // Base64 fits into a header.
    if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {encoded}")) {
        value.set_sensitive(true);
        headers.insert("authorization", value);
    }
    secrets.0.extend([encoded, password.clone()]);
    headers
}

/// What no message may repeat, wherever it comes from: a server may send back what it was sent.
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    fn of(settings: &Settings) -> Self {
        let secret = |name: &str| ["key", "secret", "token", "sas"].iter().any(|part| name.contains(part));
        Self(settings.iter().filter(|(name, _)| secret(name)).map(|(_, value)| value.clone()).collect())
    }

    /// A message in one line, since servers answer with whole documents, with nothing that a terminal would obey.
    /// Queries of addresses go, too: some hold signatures.
    pub(super) fn line(&self, text: &str) -> String {
        let text = self
            .0
            .iter()
            .filter(|secret| !secret.is_empty())
            .fold(text.to_owned(), |text, secret| text.replace(secret, "…"));
        let words = text.split_whitespace().map(|word| match word.split_once('?') {
            Some((address, _)) if address.contains("://") => address,
            _ => word,
        });
        let line = words.collect::<Vec<_>>().join(" ");
        line.chars().filter(|letter| !letter.is_control()).take(ANSWER).collect()
    }
}
