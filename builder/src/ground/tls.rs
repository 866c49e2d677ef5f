//! Which cryptography TLS uses: ring, for every client of this program.
//!
//! The HTTP clients are built without one of their own, so that there is a single library; whoever makes a client calls
//! [`prepare`] first.

/// Makes ring the process's cryptography. Calling it again changes nothing.
pub fn prepare() {
    // An error says that it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
