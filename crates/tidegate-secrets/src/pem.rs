//! The PEM form of certificates and keys, as configuration files and TLS libraries take it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_types::Secret;
use zeroize::Zeroizing;

/// A certificate.
#[must_use]
pub fn certificate(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    write("CERTIFICATE", &body)
}

/// A private key (PKCS#8).
#[must_use]
pub fn private_key(der: &[u8]) -> Secret {
    let body = Zeroizing::new(STANDARD.encode(der));
    Secret::new(write("PRIVATE KEY", &body))
}

/// Whether a text is an RSA private key (PKCS#8 or PKCS#1) that can sign.
#[must_use]
pub fn is_rsa_private_key(pem: &str) -> bool {
    jsonwebtoken::EncodingKey::from_rsa_pem(pem.as_bytes()).is_ok()
}

fn write(label: &str, body: &str) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = body;
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}
