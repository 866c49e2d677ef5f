//! The forms by which secrets are known: how each begins, and what then follows it where it is one and not a sentence about
//! it.

/// A form of secrets.
pub(super) struct Form {
    /// How they begin.
    pub(super) begin: &'static [u8],
    /// What they are.
    pub(super) kind: &'static str,
    /// Whether what follows the begin is what a secret has there.
    pub(super) follows: fn(&[u8]) -> bool,
}

const KEY: &str = "a private key";
const HASH: &str = "a password's hash";
const TOKEN: &str = "a token";
const SECRET: &str = "an encryption key";

const fn form(begin: &'static [u8], kind: &'static str, follows: fn(&[u8]) -> bool) -> Form {
    Form { begin, kind, follows }
}

pub(super) const FORMS: [Form; 38] = [
    form(b"-----BEGIN PRIVATE KEY-----", KEY, armour),
    form(b"-----BEGIN ENCRYPTED PRIVATE KEY-----", KEY, armour),
    form(b"-----BEGIN EC PRIVATE KEY-----", KEY, armour),
    form(b"-----BEGIN RSA PRIVATE KEY-----", KEY, armour),
    form(b"-----BEGIN DSA PRIVATE KEY-----", KEY, armour),
    form(b"-----BEGIN OPENSSH PRIVATE KEY-----", KEY, armour),
    form(b"-----BEGIN PGP PRIVATE KEY BLOCK-----", KEY, armour),
    // The same in base64, as kubeconfigs and Secrets hold them: the first bytes that do not depend on what follows.
    form(b"LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t", KEY, base64),
    form(b"LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0t", KEY, base64),
    form(b"LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tL", KEY, base64),
    form(b"LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS", KEY, base64),
    // DER: version 0 before the algorithm is a private key (PKCS #8, RFC 5208): of P-256, P-384 and P-521, of RSA, Ed25519.
    form(b"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08", KEY, anything),
    form(b"\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05", KEY, anything),
    form(b"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x04\x82", KEY, anything),
    form(b"\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", KEY, anything),
    // Of P-256 as SEC 1 has it (RFC 5915).
    form(b"\x30\x77\x02\x01\x01\x04\x20", KEY, sec1),
    form(b"$y$", HASH, crypt),
    form(b"$gy$", HASH, crypt),
    form(b"$7$", HASH, crypt),
    form(b"$6$", HASH, crypt),
    form(b"$5$", HASH, crypt),
    form(b"$2a$", HASH, bcrypt),
    form(b"$2b$", HASH, bcrypt),
    form(b"$2y$", HASH, bcrypt),
    form(b"$argon2id$", HASH, crypt),
    form(b"$1$", HASH, md5_crypt),
    // A JSON web token: the first bytes of `{"alg":` in base64.
    form(b"eyJhbGciOi", TOKEN, web_token),
    form(b"token: ", TOKEN, token),
    form(b"ghp_", TOKEN, |behind| run(behind, b"") == 36),
    form(b"gho_", TOKEN, |behind| run(behind, b"") == 36),
    form(b"ghs_", TOKEN, |behind| run(behind, b"") == 36),
    form(b"github_pat_", TOKEN, |behind| run(behind, b"_") == 82),
    form(b"glpat-", TOKEN, |behind| (20..=40).contains(&run(behind, b"-_")) && has_digit(behind, 20)),
    form(b"xoxb-", TOKEN, |behind| run(behind, b"-") >= 40 && has_digit(behind, 10)),
    form(b"xoxp-", TOKEN, |behind| run(behind, b"-") >= 40 && has_digit(behind, 10)),
    form(b"aws_secret_access_key = ", TOKEN, |behind| run(behind, b"+/") == 40),
    form(b"aws_secret_access_key=", TOKEN, |behind| run(behind, b"+/") == 40),
    form(b"secret: ", SECRET, |behind| matches!(run(behind, b"+/="), 24 | 32 | 44)),
];

/// How many letters, digits and other such bytes follow.
fn run(bytes: &[u8], also: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || also.contains(byte)).count()
}

fn has_digit(bytes: &[u8], within: usize) -> bool {
    bytes.iter().take(within).any(u8::is_ascii_digit)
}

fn anything(_: &[u8]) -> bool {
    true
}

/// The end of the line, as it is or as it stands in JSON; then base64, or the lines that may stand before it.
fn armour(behind: &[u8]) -> bool {
    let line = behind.strip_prefix(b"\r\n").or_else(|| behind.strip_prefix(b"\n"));
    let line = line.or_else(|| behind.strip_prefix(b"\\n")).unwrap_or_default();
    let text = line.trim_ascii_start();
    let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word.as_bytes()));
    run(text, b"+/") >= 40 || begins(&["Proc-Type: ", "Version: ", "Comment: "])
}

fn base64(behind: &[u8]) -> bool {
    run(behind, b"+/=") >= 40
}

/// 32 bytes, then the name of the curve.
fn sec1(behind: &[u8]) -> bool {
    behind.get(32..36) == Some(b"\xa0\x0a\x06\x08")
}

/// Salt and hash, with a sign between them.
fn crypt(behind: &[u8]) -> bool {
    let length = run(behind, b"./$=,+");
    length >= 40 && behind[..length].contains(&b'$')
}

/// A cost, then salt and hash. What programs compare with so as to take as long for nobody has no cost, one letter or no end.
fn bcrypt(behind: &[u8]) -> bool {
    let Some((cost, rest)) = behind.split_at_checked(3) else { return false };
    let cost =
        std::str::from_utf8(&cost[..2]).ok().filter(|_| cost[2] == b'$').and_then(|it| it.parse::<u8>().ok());
    let letters: std::collections::BTreeSet<&u8> = rest.iter().take(53).collect();
    cost.is_some_and(|cost| (4..=31).contains(&cost)) && run(rest, b"./") == 53 && letters.len() > 10
}

/// A salt of at most 8 bytes and a hash of 22.
fn md5_crypt(behind: &[u8]) -> bool {
    let salt = run(behind, b"./");
    (1..=8).contains(&salt) && behind.get(salt) == Some(&b'$') && run(&behind[salt + 1..], b"./") == 22
}

fn web_token(behind: &[u8]) -> bool {
    let length = run(behind, b"-_.");
    length >= 60 && behind[..length].contains(&b'.')
}

/// A bootstrap token, or a longer one.
fn token(behind: &[u8]) -> bool {
    let text = behind.strip_prefix(b"\"").unwrap_or(behind);
    let length = run(text, b".-_");
    length >= 32 || (length == 23 && text[6] == b'.')
}
