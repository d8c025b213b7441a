//! Checks signatures of AWS, version 4, as the service does. Knows one pair of keys, that of AWS's own examples.
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::ask::Invalid;

/// The keys of AWS's own examples.
const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// How far clocks may be apart, in seconds.
const SKEW: i64 = 300;

fn refuse(code: &'static str, message: &str) -> Invalid {
    Invalid { status: 403, message: message.to_owned(), param: None, code: Some(code) }
}

fn mismatch(message: &str) -> Invalid {
    refuse("InvalidSignatureException", message)
}

/// The parts of an `Authorization` header.
struct Claim<'a> {
    date: &'a str,
    region: &'a str,
    signed: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    fn read(header: &'a str) -> Result<Self, Invalid> {
        let incomplete = || refuse("IncompleteSignatureException", "Authorization header is not complete.");
        let part = |name: &str| {
            header.split([',', ' ']).find_map(|part| part.strip_prefix(name)).ok_or_else(incomplete)
        };
        let scope: Vec<&str> = part("Credential=")?.split('/').collect();
        let [key, date, region, service, end] = scope[..] else { return Err(incomplete()) };
        if key != ACCESS_KEY {
            let message = "The security token included in the request is invalid.";
            return Err(refuse("UnrecognizedClientException", message));
        }
        if service != "bedrock" || end != "aws4_request" {
            return Err(mismatch("Credential should be scoped to correct service: 'bedrock'."));
        }
        Ok(Self {
            date,
            region,
            signed: part("SignedHeaders=")?.split(';').collect(),
            signature: part("Signature=")?,
        })
    }
}

/// Checks a request: `address` is path and query as they were sent.
pub(super) fn check(address: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Invalid> {
    check_at(now(), address, headers, body)
}

fn check_at(now: i64, address: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Invalid> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let claim = Claim::read(value("authorization"))?;
    let stamp = value("x-amz-date");
    let age = seconds(stamp).ok_or_else(|| mismatch("Date in x-amz-date is not valid."))? - now;
    if age.abs() > SKEW || !stamp.starts_with(claim.date) {
        return Err(mismatch("Signature expired, or not yet current."));
    }
    let needed = headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    if let Some(name) = needed.chain(["host"]).find(|name| !claim.signed.contains(name)) {
        return Err(mismatch(&format!("'{name}' must be a 'SignedHeader'.")));
    }
    let canonical = canonical(address, headers, &claim.signed, body);
    let scope = format!("{}/{}/bedrock/aws4_request", claim.date, claim.region);
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let key = [claim.date, claim.region, "bedrock", "aws4_request"]
        .iter()
        .fold(format!("AWS4{SECRET_KEY}").into_bytes(), |key, part| mac(&key, part.as_bytes()));
    if hex(&mac(&key, text.as_bytes())) == claim.signature {
        return Ok(());
    }
    Err(mismatch("The request signature we calculated does not match the signature you provided."))
}

fn canonical(address: &str, headers: &HeaderMap, signed: &[&str], body: &[u8]) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    pairs.sort();
    let mut out = format!("POST\n{}\n{}\n", escaped(path), pairs.join("&"));
    for name in signed {
        let values: Vec<String> = headers
            .get_all(*name)
            .iter()
            .map(|value| {
                String::from_utf8_lossy(value.as_bytes()).split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        out.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    out.push_str(&format!("\n{}\n{}", signed.join(";"), hex(&Sha256::digest(body))));
    out
}

/// The path as it was sent, every byte but the plain ones escaped (once more).
fn escaped(path: &str) -> String {
    path.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    // Keys of any length are taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |out, byte| out + &format!("{byte:02x}"))
}

#[expect(clippy::disallowed_methods, reason = "the judge has a clock of its own")]
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// Unix seconds of `20261121T134721Z`.
fn seconds(stamp: &str) -> Option<i64> {
    let digits: String = stamp.chars().filter(char::is_ascii_digit).collect();
    if stamp.len() != 16 || digits.len() != 14 {
        return None;
    }
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    // Days since 1970 by the civil calendar, years beginning in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + number(8, 10)? * 3_600 + number(10, 12)? * 60 + number(12, 14)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As AWS's own client library (botocore) signed it.
    fn signed() -> HeaderMap {
        let pairs = [
            ("host", "127.0.0.1:4010"),
            ("content-type", "application/json"),
            ("x-amz-meta", "a  b"),
            ("x-amz-date", "20261121T134721Z"),
            ("x-amz-security-token", "token"),
            ("x-client-request-id", "not signed"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/eu-west-1/bedrock/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-meta;x-amz-security-token, \
                 Signature=5bf5cca2131e864c1108e580dab25d54eb8cf83b7422edc400219ec54c9c952a",
            ),
        ];
        pairs.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_signature_holds_for_what_was_signed_and_for_nothing_else() {
        const PATH: &str = "/bedrock/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse";
        let body = br#"{"messages":[]}"#;
        let at = seconds("20261121T134800Z").unwrap();
        let code = |result: Result<(), Invalid>| result.err().map(|invalid| invalid.code.unwrap());
        assert_eq!(code(check_at(at, PATH, &signed(), body)), None);
        let wrong = Some("InvalidSignatureException");
        assert_eq!(code(check_at(at, PATH, &signed(), b"{}")), wrong);
        assert_eq!(code(check_at(at, &PATH.replace("%3A", ":"), &signed(), body)), wrong);
        assert_eq!(code(check_at(at, &format!("{PATH}?x"), &signed(), body)), wrong);
        assert_eq!(code(check_at(at + 301, PATH, &signed(), body)), wrong, "too old");
        let with = |name: &'static str, value: &str| {
            let mut headers = signed();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        assert_eq!(code(check_at(at, PATH, &with("x-amz-new", "x"), body)), wrong, "not signed");
        assert_eq!(code(check_at(at, PATH, &with("host", "other"), body)), wrong);
        let stranger = signed()["authorization"].to_str().unwrap().replace("AKIDEXAMPLE", "AKIDSTRANGER");
        let stranger = with("authorization", &stranger);
        assert_eq!(code(check_at(at, PATH, &stranger, body)), Some("UnrecognizedClientException"));
    }

    #[test]
    fn stamps_are_read() {
        assert_eq!(seconds("19700101T000000Z"), Some(0));
        assert_eq!(seconds("20150830T123600Z"), Some(1_440_938_160));
        assert_eq!(seconds("20150830"), None);
    }

    #[test]
    fn paths_are_escaped_once_more() {
        assert_eq!(escaped("/model/a.b-v1%3A0/converse"), "/model/a.b-v1%253A0/converse");
    }
}
