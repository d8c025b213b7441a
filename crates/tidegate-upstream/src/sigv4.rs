//! AWS signature version 4, in the `Authorization` header.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
//! For services other than S3 the path is encoded once more than it is sent, and made plain first.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::{Digest, Sha256};
use tidegate_types::Timestamp;
use zeroize::Zeroizing;

use crate::auth::BadSecret;
use crate::percent::{decode, encode};

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const AMZ_CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const AMZ_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What AWS gave: whose calls these are, and where. No Debug.
pub struct Keys {
    access_key_id: Box<str>,
    /// `AWS4` and the secret access key.
    secret: Zeroizing<String>,
    session_token: Option<HeaderValue>,
    region: Box<str>,
}

/// What is signed.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// `GET`, `POST` …
    pub method: &'a str,
    /// As the `host` header is sent.
    pub host: &'a HeaderValue,
    /// As they are sent.
    pub path: &'a PathAndQuery,
    /// The whole body.
    pub body: &'a [u8],
}

impl Keys {
    /// Of a pair of keys, with a session's token where they are temporary.
    ///
    /// # Errors
    /// [`BadSecret`] when one is empty or holds what no header can carry.
    pub fn new(
        access_key_id: &str,
        secret_access_key: &str,
        session_token: Option<&str>,
        region: &str,
    ) -> Result<Self, BadSecret> {
        let token = session_token.map(HeaderValue::from_str).transpose().map_err(|_| BadSecret)?;
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if ![access_key_id, secret_access_key, region].into_iter().all(visible) {
            return Err(BadSecret);
        }
        Ok(Self {
            access_key_id: access_key_id.into(),
            secret: Zeroizing::new(["AWS4", secret_access_key].concat()),
            session_token: token.map(|mut token| {
                token.set_sensitive(true);
                token
            }),
            region: region.into(),
        })
    }

    /// Puts date, body hash, session token and signature on a request. Every header that is there
    /// is signed, but `user-agent`; do not change any of them afterwards.
    pub fn sign(&self, service: &str, subject: Subject<'_>, headers: &mut HeaderMap, now: Timestamp) {
        let body_hash = hex::encode(Sha256::digest(subject.body));
        if let Ok(value) = HeaderValue::try_from(&*body_hash) {
            headers.insert(AMZ_CONTENT, value);
        }
        self.put_authorization(service, subject, headers, &body_hash, now);
    }

    fn put_authorization(
        &self,
        service: &str,
        subject: Subject<'_>,
        headers: &mut HeaderMap,
        body_hash: &str,
        now: Timestamp,
    ) {
        let time = basic_time(now);
        let date = time.get(..8).unwrap_or_default();
        headers.remove(header::AUTHORIZATION);
        if let Ok(value) = HeaderValue::try_from(&*time) {
            headers.insert(AMZ_DATE, value);
        }
        if let Some(token) = &self.session_token {
            headers.insert(AMZ_TOKEN, token.clone());
        }
        let (canonical, signed) = canonical_request(subject, headers, body_hash);
        let scope = format!("{date}/{}/{service}/aws4_request", self.region);
        let hash = hex::encode(Sha256::digest(canonical.as_bytes()));
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{hash}");
        let mut key = Zeroizing::new(hmac(self.secret.as_bytes(), date.as_bytes()));
        for part in [&*self.region, service, "aws4_request"] {
            key = Zeroizing::new(hmac(&*key, part.as_bytes()));
        }
        let signature = hex::encode(hmac(&*key, to_sign.as_bytes()));
        let id = &self.access_key_id;
        let text =
            format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}");
        if let Ok(mut value) = HeaderValue::try_from(text) {
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // A key of any length is one.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(message).finalize().into_bytes().into())
        .unwrap_or_default()
}

/// `20150830T123600Z`.
fn basic_time(now: Timestamp) -> String {
    let mut text = Timestamp::from_seconds(now.as_seconds()).to_string();
    text.retain(|c| c != '-' && c != ':');
    text
}

/// The canonical request, and the names of its headers.
fn canonical_request(subject: Subject<'_>, headers: &HeaderMap, body_hash: &str) -> (String, String) {
    let mut names: Vec<&str> = headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| !matches!(*name, "user-agent" | "host"))
        .collect();
    names.push("host");
    names.sort_unstable();
    let mut out = String::with_capacity(1024);
    let path = canonical_path(subject.path.path());
    let query = canonical_query(subject.path.query().unwrap_or_default());
    let _ = writeln!(out, "{}\n{path}\n{query}", subject.method);
    for name in &names {
        out.push_str(name);
        out.push(':');
        if *name == "host" {
            push_trimmed(&mut out, subject.host);
        }
        for (place, value) in headers.get_all(*name).iter().enumerate().filter(|_| *name != "host") {
            if place > 0 {
                out.push(',');
            }
            push_trimmed(&mut out, value);
        }
        out.push('\n');
    }
    let signed = names.join(";");
    let _ = write!(out, "\n{signed}\n{body_hash}");
    (out, signed)
}

/// A header's value without space at its ends, and with single spaces inside.
fn push_trimmed(out: &mut String, value: &HeaderValue) {
    for (place, word) in String::from_utf8_lossy(value.as_bytes()).split_ascii_whitespace().enumerate() {
        if place > 0 {
            out.push(' ');
        }
        out.push_str(word);
    }
}

/// The path as sent, without empty and dot segments, encoded once more.
fn canonical_path(path: &str) -> String {
    let mut plain: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                plain.pop();
            }
            segment => plain.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len() + 16);
    for segment in &plain {
        out.push('/');
        encode(segment.as_bytes(), &mut out);
    }
    if plain.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    out
}

/// Names and values encoded once, whatever they were sent as, and sorted.
fn canonical_query(query: &str) -> String {
    let once = |text: &str| {
        let mut out = String::with_capacity(text.len());
        encode(&decode(text), &mut out);
        out
    };
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (once(name), once(value)))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| [name, "=", value].concat()).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests;
