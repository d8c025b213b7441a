//! A symmetric key of AWS KMS as the keeper of root keys. Formats: `Encrypt` and `Decrypt` of the KMS API
//! (JSON 1.1, with an encryption context) and `AssumeRoleWithWebIdentity` of STS (query in, XML out), as AWS's
//! API references describe them, read November 2026.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_secrets::SecretsError;
use tidegate_secrets::envelope::Aad;
use tidegate_secrets::kek::{KeyWrapper, Later};
use tidegate_telemetry::SystemClock;
use tidegate_types::Clock as _;
use tidegate_upstream::{AwsKeys, AwsSubject};
use zeroize::Zeroizing;

use crate::run::roots::Rooted;

/// Where EKS puts a service account's token for AWS.
const EKS_TOKEN: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token";
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const ROOT: PathAndQuery = PathAndQuery::from_static("/");

/// A key of KMS.
pub(super) struct Kms {
    client: Rooted,
    address: String,
    region: String,
    key: String,
    sign_in: SignIn,
}

enum SignIn {
    Keys { id: String, secret: PathBuf },
    Role { role: String, token: PathBuf, address: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypted {
    ciphertext_blob: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypted {
    plaintext: String,
}

impl Kms {
    /// Checks the configuration; nothing is called.
    pub(super) fn new(config: &crate::config::Kms) -> Result<Self> {
        let word = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:".contains(&b))
        };
        ensure!(
            !config.region.is_empty()
                && config.region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "region is one of AWS's, such as eu-central-1"
        );
        ensure!(word(&config.key), "key is an id, an ARN or alias/…");
        // China's regions have a domain of their own.
        let domain = if config.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let at = |given: &Option<String>, service: &str| {
            let usual = || format!("https://{service}.{}.{domain}", config.region);
            super::address(&given.clone().unwrap_or_else(usual))
        };
        let sign_in = match (&config.access_key_id, &config.secret_access_key_file, &config.role) {
            (Some(id), Some(secret), None) => SignIn::Keys { id: id.clone(), secret: secret.clone() },
            (None, None, Some(role)) => SignIn::Role {
                role: role.clone(),
                token: config.token_file.clone().unwrap_or_else(|| EKS_TOKEN.into()),
                address: at(&config.sts_endpoint, "sts")?,
            },
            _ => anyhow::bail!("give access_key_id and secret_access_key_file, or role"),
        };
        let client = super::client(config.ca_file.as_deref())?;
        let (region, key) = (config.region.clone(), config.key.clone());
        Ok(Self { client, address: at(&config.endpoint, "kms")?, region, key, sign_in })
    }

    async fn keys(&self) -> Result<AwsKeys, SecretsError> {
        let bad = |_| SecretsError::Wrapper("the keys for AWS are not of their form");
        match &self.sign_in {
            SignIn::Keys { id, secret } => {
                AwsKeys::new(id, &super::read(secret)?, None, &self.region).map_err(bad)
            }
            SignIn::Role { role, token, address } => {
                let token = super::read(token)?;
                let form = [
                    ("Action", "AssumeRoleWithWebIdentity"),
                    ("Version", "2011-06-15"),
                    ("RoleArn", role),
                    ("RoleSessionName", "tidegate"),
                    ("WebIdentityToken", &token),
                ];
                let mut url = reqwest::Url::parse(address)
                    .map_err(|_| SecretsError::Wrapper("the address of STS is none"))?;
                let body = Zeroizing::new(
                    url.query_pairs_mut().extend_pairs(form).finish().query().unwrap_or_default().to_owned(),
                );
                url.set_query(None);
                let request = self.client.client().post(url).body(body.to_string());
                let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
                let answer = answer(request, "STS refuses the role or the token").await?;
                let text = std::str::from_utf8(&answer)
                    .map_err(|_| SecretsError::Wrapper("the answer of STS cannot be read"))?;
                let field = |name| {
                    between(text, name).ok_or(SecretsError::Wrapper("the answer of STS cannot be read"))
                };
                let (id, secret) = (field("AccessKeyId")?, field("SecretAccessKey")?);
                AwsKeys::new(id, secret, Some(field("SessionToken")?), &self.region).map_err(bad)
            }
        }
    }

    async fn call(&self, operation: &str, body: &Value) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        let keys = self.keys().await?;
        let body = Zeroizing::new(body.to_string());
        let host = self.address.split_once("://").map_or("", |(_, host)| host);
        let host = HeaderValue::from_str(host).map_err(|_| SecretsError::Wrapper("the address is none"))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        if let Ok(target) = HeaderValue::try_from(format!("TrentService.{operation}")) {
            headers.insert(TARGET, target);
        }
        let subject = AwsSubject { method: "POST", host: &host, path: &ROOT, body: body.as_bytes() };
        keys.sign("kms", subject, &mut headers, SystemClock.now());
        let request = self.client.client().post(format!("{}/", self.address));
        let request = request.headers(headers).body(body.to_string());
        answer(request, "KMS refuses it").await
    }

    /// What the wrapped thing is for: KMS opens it for the same only, and tells it in its own log.
    fn context(place: &Aad) -> Value {
        json!({"tidegate": URL_SAFE_NO_PAD.encode(place.as_bytes())})
    }
}

/// The body of a good answer. Which error it was is told by its name, never by what KMS says of it.
async fn answer(
    request: reqwest::RequestBuilder,
    refused: &'static str,
) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
    let mut answer = request.send().await.map_err(|_| SecretsError::Wrapper("AWS cannot be reached"))?;
    let status = answer.status().as_u16();
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(chunk) =
        answer.chunk().await.map_err(|_| SecretsError::Wrapper("the answer of AWS broke off"))?
    {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > super::MOST {
            return Err(SecretsError::Wrapper("the answer of AWS is too large"));
        }
    }
    match status {
        200 => Ok(bytes),
        500.. => Err(SecretsError::Wrapper("AWS answers with an error of its own")),
        _ => Err(SecretsError::Wrapper(reason(&bytes).unwrap_or(refused))),
    }
}

fn reason(body: &[u8]) -> Option<&'static str> {
    let body: Value = serde_json::from_slice(body).ok()?;
    // `com.amazonaws.kms#AccessDeniedException`, or the name alone.
    match body.get("__type")?.as_str()?.rsplit('#').next()? {
        "AccessDeniedException" => Some("KMS does not allow the key to these credentials"),
        "NotFoundException" => Some("KMS has no such key"),
        "DisabledException" | "KMSInvalidStateException" => Some("the key is disabled or on its way out"),
        "InvalidCiphertextException" | "IncorrectKeyException" => {
            Some("KMS refuses it: not what this key encrypted for this place")
        }
        "UnrecognizedClientException" | "InvalidSignatureException" | "ExpiredTokenException" => {
            Some("KMS does not accept the credentials")
        }
        _ => None,
    }
}

/// The text of an element without elements; keys and tokens of AWS hold nothing that XML would escape.
fn between<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(value, _)| value.trim())
}

fn parse<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, SecretsError> {
    serde_json::from_slice(answer).map_err(|_| SecretsError::Wrapper("the answer of KMS cannot be read"))
}

impl KeyWrapper for Kms {
    fn name(&self) -> String {
        format!("aws-kms:{}/{}", self.region, self.key)
    }

    fn wrap<'a>(&'a self, place: &'a Aad, material: &'a [u8]) -> Later<'a, Result<Vec<u8>, SecretsError>> {
        Box::pin(async move {
            let plain = Zeroizing::new(STANDARD.encode(material));
            let body =
                json!({"KeyId": self.key, "Plaintext": &**plain, "EncryptionContext": Self::context(place)});
            let encrypted: Encrypted = parse(&self.call("Encrypt", &body).await?)?;
            let blob = STANDARD.decode(&encrypted.ciphertext_blob);
            blob.map_err(|_| SecretsError::Wrapper("the answer of KMS cannot be read"))
        })
    }

    fn unwrap<'a>(
        &'a self,
        place: &'a Aad,
        wrapped: &'a [u8],
    ) -> Later<'a, Result<Zeroizing<Vec<u8>>, SecretsError>> {
        Box::pin(async move {
            let body = json!({
                "KeyId": self.key,
                "CiphertextBlob": STANDARD.encode(wrapped),
                "EncryptionContext": Self::context(place),
            });
            let decrypted: Decrypted = parse(&self.call("Decrypt", &body).await?)?;
            let text = Zeroizing::new(decrypted.plaintext);
            let plain = STANDARD.decode(text.as_bytes());
            plain.map(Zeroizing::new).map_err(|_| SecretsError::Wrapper("the answer of KMS cannot be read"))
        })
    }
}
