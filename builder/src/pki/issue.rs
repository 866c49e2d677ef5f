//! Issuing: from a description to a signed certificate. Everything that a certificate holds is given explicitly here, so
//! that no default of the X.509 library is a part of the output.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyUsagePurpose, SanType, SerialNumber,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::pki::certs::{Ca, Leaf, Usage};
use crate::pki::error::PkiError;
use crate::pki::key::{Key, SecretText};
use crate::pki::options::{PkiOptions, YEAR};
use crate::pki::secret::ClusterSecret;

/// A certificate with its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The label that its key derives from.
    pub label: String,
    /// Common name of the subject: the user, when it is a client's.
    pub name: String,
    /// Organization of the subject: the user's group, or the cluster of an authority.
    pub group: Option<String>,
    /// Label of the authority that signed it, its own when it is one.
    pub issuer: &'static str,
    /// The end of its validity, in Unix seconds.
    pub not_after: i64,
    /// The certificate in PEM.
    pub certificate: String,
    /// The private key in PEM.
    pub key: SecretText,
}

impl Issued {
    /// The day on which it ends, in UTC: `2036-11-19`.
    #[must_use]
    pub fn ends(&self) -> String {
        let end = OffsetDateTime::from_unix_timestamp(self.not_after);
        end.map(|end| end.date().to_string()).unwrap_or_default()
    }

    /// The subject in the order of the certificate, as `O=system:masters, CN=admin`.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.group {
            Some(group) => format!("O={group}, CN={}", self.name),
            None => format!("CN={}", self.name),
        }
    }
}

/// An authority that can sign.
pub(super) struct Authority {
    params: CertificateParams,
    key: Key,
    issued: Issued,
}

impl Authority {
    pub(super) fn label(&self) -> String {
        self.issued.label.clone()
    }

    pub(super) fn into_issued(self) -> Issued {
        self.issued
    }
}

/// The authorities of a cluster, each signed by itself.
pub(super) fn authorities(
    secret: &ClusterSecret,
    cluster: &str,
    options: &PkiOptions,
) -> Result<BTreeMap<Ca, Authority>, PkiError> {
    let not_after = end(options, options.ca_years)?;
    let one = |ca: Ca| {
        let label = ca.label();
        let key = derived_key(secret, label, options);
        let mut params = params(options, not_after, &key, subject(label, Some(cluster)))?;
        // No authority below: ca.key signs certificate requests, and must not make further authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate =
            with_serial(secret, label, options, &mut params, |params| params.self_signed(&key))?;
        let issued = Issued {
            label: label.to_owned(),
            name: label.to_owned(),
            group: Some(cluster.to_owned()),
            issuer: label,
            not_after,
            certificate,
            key: key.pem(),
        };
        Ok((ca, Authority { params, key, issued }))
    };
    Ca::ALL.into_iter().map(one).collect()
}

/// One certificate, signed by its authority.
pub(super) fn leaf(
    secret: &ClusterSecret,
    description: &Leaf,
    authorities: &BTreeMap<Ca, Authority>,
    options: &PkiOptions,
) -> Result<Issued, PkiError> {
    let Leaf { label, ca, name, group, usage, sans } = description;
    let failed = |source| PkiError::Issue { label: label.clone(), source };
    let not_after = end(options, options.leaf_years)?;
    let key = derived_key(secret, label, options);
    let mut params = params(options, not_after, &key, subject(name, group.as_deref()))?;
    // Says so instead of leaving it out, which also makes the library write the subject key identifier.
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match usage {
        Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.subject_alt_names = sans.iter().map(|name| san(name)).collect::<Result<_, _>>().map_err(failed)?;
    let authority = &authorities[ca];
    let issuer = Issuer::from_params(&authority.params, &authority.key);
    let certificate =
        with_serial(secret, label, options, &mut params, |params| params.signed_by(&key, &issuer))?;
    Ok(Issued {
        label: label.clone(),
        name: name.clone(),
        group: group.clone(),
        issuer: ca.label(),
        not_after,
        certificate,
        key: key.pem(),
    })
}

/// The key of a label in its generation.
pub(super) fn derived_key(secret: &ClusterSecret, label: &str, options: &PkiOptions) -> Key {
    Key::from_derived(&secret.derive(label, &options.generation(label).to_be_bytes()))
}

/// What all certificates have in common.
fn params(
    options: &PkiOptions,
    not_after: i64,
    key: &Key,
    subject: DistinguishedName,
) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.not_before = date(options, options.epoch.checked_sub(YEAR))?;
    params.not_after = date(options, Some(not_after))?;
    params.distinguished_name = subject;
    params.key_identifier_method = KeyIdMethod::PreSpecified(key.id());
    Ok(params)
}

/// The subject: organization first, then the common name.
fn subject(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(group) = group {
        subject.push(DnType::OrganizationName, group);
    }
    subject.push(DnType::CommonName, name);
    subject
}

/// Signs twice: with serial number 1, and with the one that derives from that certificate's bytes. So two certificates
/// of one issuer share a serial number only when they are equal, as RFC 5280 (4.1.2.2) wants.
fn with_serial(
    secret: &ClusterSecret,
    label: &str,
    options: &PkiOptions,
    params: &mut CertificateParams,
    sign: impl Fn(&CertificateParams) -> Result<rcgen::Certificate, rcgen::Error>,
) -> Result<String, PkiError> {
    let failed = |source| PkiError::Issue { label: label.to_owned(), source };
    params.serial_number = Some(SerialNumber::from(1));
    let draft = sign(params).map_err(failed)?;
    let mut input = options.generation(label).to_be_bytes().to_vec();
    input.extend(Sha256::digest(draft.der()));
    let mut serial: [u8; 20] = secret.derive(&format!("{label}#serial"), &input);
    // Positive, and 20 bytes in every case.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    sign(params).map(|certificate| certificate.pem()).map_err(failed)
}

/// An address when the text is one, else a DNS name.
fn san(name: &str) -> Result<SanType, rcgen::Error> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(name.try_into()?)),
    }
}

/// The end of a validity that begins at the epoch.
fn end(options: &PkiOptions, years: u32) -> Result<i64, PkiError> {
    if options.leaf_years > options.ca_years {
        return Err(impossible(options));
    }
    options.epoch.checked_add(i64::from(years) * YEAR).ok_or_else(|| impossible(options))
}

/// Unix seconds as a date that X.509 can write.
fn date(options: &PkiOptions, seconds: Option<i64>) -> Result<OffsetDateTime, PkiError> {
    seconds
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .filter(|date| date.year() >= 1950)
        .ok_or_else(|| impossible(options))
}

fn impossible(options: &PkiOptions) -> PkiError {
    PkiError::Validity { ca_years: options.ca_years, leaf_years: options.leaf_years }
}
