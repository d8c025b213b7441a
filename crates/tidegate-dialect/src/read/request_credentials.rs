//! `providerOptions.gateway.byok`: credentials that a request brings along, in every shape that the
//! AI SDK's gateway provider documents. A request never names an address: unknown fields are refused.
//!
//! Keeps each as the secret that stored credentials of its form hold. Knows no provider.

use std::fmt;
use std::sync::Arc;

use tidegate_types::Secret;
use tidegate_types::resource::SecretForm;
use zeroize::Zeroizing;

use super::place::{Fields, Path, array, wrong};
use crate::RequestError;
use crate::json::{Kind, Span, Value, write_text};

/// One credential of a request.
pub struct RequestCredential {
    /// What the secret holds.
    pub form: SecretForm,
    /// A JSON object, as stored credentials of this form hold it.
    pub secret: Secret,
    /// Names of models in the catalogue, and what they are called over this credential.
    pub models: Vec<(String, String)>,
}

/// Credentials of a request by provider, in the order in which they are tried. Shared, never copied;
/// Debug shows their number only.
#[derive(Clone, Default)]
pub struct RequestCredentials(Option<Arc<[OfProvider]>>);

/// A provider's slug, and what is there for it.
type OfProvider = (String, Vec<RequestCredential>);

/// Most providers of a request, and most credentials of one.
const MOST: usize = 16;
/// Longest field.
const MAX_FIELD: usize = 16 * 1024;
/// Longest model name.
const MAX_MODEL: usize = 256;
/// Where Bedrock is called when the credential does not say.
const DEFAULT_REGION: &str = "us-east-1";

/// Where fields of the wire lie in the stored secret.
const FIELDS: [(&str, &str); 8] = [
    ("apiKey", "api_key"),
    ("resourceName", "resource"),
    ("region", "region"),
    ("project", "project"),
    ("location", "location"),
    ("accessKeyId", "access_key_id"),
    ("secretAccessKey", "secret_access_key"),
    ("sessionToken", "session_token"),
];
const GOOGLE_FIELDS: [(&str, &str); 3] =
    [("clientEmail", "client_email"), ("privateKey", "private_key"), ("privateKeyId", "private_key_id")];

const SHAPES: &str = "a credential: {apiKey}, {apiKey, resourceName}, {project, location, googleCredentials} \
                      or {accessKeyId, secretAccessKey, region}, and modelMappings";

impl RequestCredentials {
    /// `{provider: [credential, …], …}`.
    pub(super) fn read(value: &Value<'_>, path: Path<'_>) -> Result<Self, RequestError> {
        let mut all = Vec::new();
        for member in Fields::read(value, path)?.iter() {
            let path = path.key(&member.key);
            let mut of_one = Vec::new();
            array(&member.value, path, |credential, path| {
                of_one.push(RequestCredential::read(&credential, path)?);
                Ok(())
            })?;
            if of_one.len() > MOST {
                return Err(wrong(path, "an array of 16 credentials at most"));
            }
            if !of_one.is_empty() {
                all.push((member.key.clone().into_owned(), of_one));
            }
        }
        if all.len() > MOST {
            return Err(wrong(path, "an object with 16 providers at most"));
        }
        Ok(Self((!all.is_empty()).then(|| all.into())))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Providers with their credentials.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[RequestCredential])> {
        self.0.iter().flat_map(|all| all.iter()).map(|(provider, own)| (provider.as_str(), own.as_slice()))
    }
}

impl RequestCredential {
    fn read(value: &Value<'_>, path: Path<'_>) -> Result<Self, RequestError> {
        let fields = Fields::read(value, path)?;
        // Large enough for all that is copied into it, so that no copy is left behind by growing.
        let mut json = Zeroizing::new(Vec::with_capacity(value.raw().len() * 6 + 128));
        let mut models = Vec::new();
        json.push(b'{');
        for member in fields.iter().filter(|member| !member.value.is_null()) {
            let at = path.key(&member.key);
            match &*member.key {
                "modelMappings" => models = mappings(&member.value, at)?,
                "googleCredentials" => {
                    for inner in Fields::read(&member.value, at)?.iter() {
                        put(&mut json, &GOOGLE_FIELDS, &inner.key, &inner.value, at)?;
                    }
                }
                key => put(&mut json, &FIELDS, key, &member.value, path)?,
            }
        }
        let given = |key: &str| fields.get(key).is_some();
        let form = match (given("apiKey"), given("googleCredentials"), given("accessKeyId")) {
            (true, false, false) if !given("secretAccessKey") => SecretForm::ApiKey,
            (false, true, false) if given("project") && given("location") => SecretForm::GoogleServiceAccount,
            (false, false, true) if given("secretAccessKey") => SecretForm::Aws,
            _ => return Err(wrong(path, SHAPES)),
        };
        if form != SecretForm::GoogleServiceAccount && !given("region") {
            json.extend_from_slice(b",\"region\":\"");
            json.extend_from_slice(DEFAULT_REGION.as_bytes());
            json.push(b'"');
        }
        json.push(b'}');
        let text = std::str::from_utf8(&json).map_err(|_| wrong(path, SHAPES))?;
        Ok(Self { form, secret: Secret::new(text), models })
    }
}

/// Writes a field of the wire as the stored secret names it.
fn put(
    json: &mut Vec<u8>,
    known: &[(&str, &str)],
    key: &str,
    value: &Value<'_>,
    path: Path<'_>,
) -> Result<(), RequestError> {
    let at = path.key(key);
    let Some((_, stored)) = known.iter().find(|(wire, _)| *wire == key) else {
        return Err(wrong(at, "absent: credentials in requests have no such field"));
    };
    let fits = value.kind() == Kind::Text && (1..=MAX_FIELD).contains(&value.text_len());
    let text = value.text().filter(|_| fits);
    let text = text.ok_or_else(|| wrong(at, "a string of 1 to 16384 bytes"))?;
    if json.len() > 1 {
        json.push(b',');
    }
    write_text(json, stored);
    json.push(b':');
    write_text(json, &text);
    if let std::borrow::Cow::Owned(copy) = text {
        drop(Zeroizing::new(copy));
    }
    Ok(())
}

/// `[{gatewayModelSlug, customModelId}]`.
fn mappings(value: &Value<'_>, path: Path<'_>) -> Result<Vec<(String, String)>, RequestError> {
    const EXPECTED: &str = "a name of 1 to 256 visible characters";
    let mut found = Vec::new();
    array(value, path, |mapping, path| {
        let fields = Fields::read(&mapping, path)?;
        let name = |key: &str| {
            let text = fields.get(key).and_then(|value| value.text());
            let text = text.filter(|text| (1..=MAX_MODEL).contains(&text.len()));
            let text = text.filter(|text| text.bytes().all(|b| b.is_ascii_graphic()));
            text.map(std::borrow::Cow::into_owned).ok_or_else(|| wrong(path.key(key), EXPECTED))
        };
        found.push((name("gatewayModelSlug")?, name("customModelId")?));
        Ok(())
    })?;
    Ok(found)
}

/// Overwrites what lies at `span` of a body with an empty object: no later copy of the body holds it.
pub(super) fn blanked(bytes: bytes::Bytes, span: Span) -> bytes::Bytes {
    // In place, where nobody else has these bytes.
    let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| bytes::BytesMut::from(&shared[..]));
    if let Some([open, between @ .., close]) = bytes.get_mut(span.start..span.end) {
        (*open, *close) = (b'{', b'}');
        between.fill(b' ');
    }
    bytes.freeze()
}

impl PartialEq for RequestCredentials {
    /// The same ones, not alike ones: secrets are not compared.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for RequestCredentials {}

impl fmt::Debug for RequestCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestCredentials({})", self.iter().map(|(_, own)| own.len()).sum::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RequestCredentials, String> {
        let value = Value::parse(text.as_bytes()).unwrap();
        RequestCredentials::read(&value, Path::Root).map_err(|error| error.to_string())
    }

    #[test]
    fn every_shape_becomes_the_stored_secret_of_its_form() {
        use SecretForm::{ApiKey, Aws, GoogleServiceAccount};
        for (shape, form, secret) in [
            (r#"{"apiKey":"k"}"#, ApiKey, r#"{"api_key":"k","region":"us-east-1"}"#),
            (
                r#"{"apiKey":"k","resourceName":"r","region":null}"#,
                ApiKey,
                r#"{"api_key":"k","resource":"r","region":"us-east-1"}"#,
            ),
            (
                r#"{"project":"p","location":"l","googleCredentials":{"clientEmail":"e","privateKey":"a\nb"}}"#,
                GoogleServiceAccount,
                r#"{"project":"p","location":"l","client_email":"e","private_key":"a\nb"}"#,
            ),
            (
                r#"{"accessKeyId":"a","secretAccessKey":"s"}"#,
                Aws,
                r#"{"access_key_id":"a","secret_access_key":"s","region":"us-east-1"}"#,
            ),
            (
                r#"{"accessKeyId":"a","secretAccessKey":"s","region":"eu-west-1"}"#,
                Aws,
                r#"{"access_key_id":"a","secret_access_key":"s","region":"eu-west-1"}"#,
            ),
        ] {
            let all = read(&format!(r#"{{"p":[{shape}],"q":[]}}"#)).unwrap();
            let (slug, own) = all.iter().next().unwrap();
            assert_eq!((slug, own.len(), all.iter().count()), ("p", 1, 1), "{shape}");
            assert_eq!((own[0].form, own[0].secret.expose()), (form, secret), "{shape}");
            assert_eq!(format!("{all:?}"), "RequestCredentials(1)");
        }
        let mapped = read(
            r#"{"p":[{"apiKey":"k","modelMappings":[{"gatewayModelSlug":"a/b","customModelId":"c"}]}]}"#,
        );
        assert_eq!(mapped.unwrap().iter().next().unwrap().1[0].models, [("a/b".to_owned(), "c".to_owned())]);
        assert!(read("{}").unwrap().is_empty() && read(r#"{"p":[]}"#).unwrap().is_empty());
    }

    #[test]
    fn other_shapes_are_refused_by_place_and_never_repeated() {
        for (shape, place) in [
            (r#"{"apiKey":"canary","baseURL":"https://evil"}"#, "`p[0].baseURL`"),
            (r#"{"apiKey":"canary","accessKeyId":"canary","secretAccessKey":"canary"}"#, "`p[0]`"),
            (r#"{"accessKeyId":"canary"}"#, "`p[0]`"),
            (r#"{"googleCredentials":{"clientEmail":"canary","privateKey":"canary"}}"#, "`p[0]`"),
            (
                r#"{"project":"p","location":"l","googleCredentials":{"tokenUri":"canary"}}"#,
                "`p[0].googleCredentials.tokenUri`",
            ),
            (r#"{"apiKey":7}"#, "`p[0].apiKey`"),
            (r#"{"apiKey":""}"#, "`p[0].apiKey`"),
            (r#"{"apiKey":"canary","apiKey":"canary"}"#, "`p[0].apiKey`"),
            (
                r#"{"apiKey":"canary","modelMappings":[{"gatewayModelSlug":"a"}]}"#,
                "`p[0].modelMappings[0].customModelId`",
            ),
            (r#""canary""#, "`p[0]`"),
        ] {
            let error = read(&format!(r#"{{"p":[{shape}]}}"#)).unwrap_err();
            assert!(error.starts_with(place) && !error.contains("canary"), "{shape}: {error}");
        }
    }

    #[test]
    fn the_body_keeps_its_length_and_loses_the_secrets() {
        let body = bytes::Bytes::from(br#"{"a":{"k":"canary"},"b":1}"#.to_vec());
        assert_eq!(blanked(body, Span { start: 5, end: 19 }), &br#"{"a":{            },"b":1}"#[..]);
    }
}
