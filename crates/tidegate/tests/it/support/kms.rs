//! AWS KMS and STS, as far as a client of `Encrypt`, `Decrypt` and `AssumeRoleWithWebIdentity` sees them: targets,
//! bodies, statuses, the names of errors, the encryption context, and signatures checked as the service does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_secrets::envelope::{Aad, DataKey, open, seal};

pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const KEY: &str = "alias/tidegate";
pub(crate) const ROLE: &str = "arn:aws:iam::111122223333:role/tidegate";
/// The service account's token that the role accepts.
pub(crate) const TOKEN: &str = "eyJ.eks.token";
/// The keys that files may hold, and those that the role gives.
pub(crate) const KEYS: (&str, &str) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
const GIVEN: (&str, &str, &str) = ("ASIAGIVEN", "given+secret/of+the+role", "session//token==");

struct Shared {
    key: DataKey,
    disabled: AtomicBool,
    decrypted: AtomicUsize,
}

/// KMS and STS that listen on loopback.
pub(crate) struct Kms {
    pub(crate) address: String,
    shared: Arc<Shared>,
}

impl Kms {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared {
            key: DataKey::generate(),
            disabled: AtomicBool::new(false),
            decrypted: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/", post(kms))
            .route("/sts/", post(sts))
            .route("/sts", post(sts))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    /// From now on its key is disabled, or not.
    pub(crate) fn disable(&self, disabled: bool) {
        self.shared.disabled.store(disabled, Ordering::SeqCst);
    }

    /// How often something was decrypted.
    pub(crate) fn decrypted(&self) -> usize {
        self.shared.decrypted.load(Ordering::SeqCst)
    }
}

fn refused(name: &str) -> Response {
    let body = json!({"__type": name, "message": "as AWS words it"}).to_string();
    (StatusCode::BAD_REQUEST, [("content-type", "application/x-amz-json-1.1")], body).into_response()
}

async fn kms(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(name) = check(&headers, &body) {
        return refused(name);
    }
    if shared.disabled.load(Ordering::SeqCst) {
        return refused("DisabledException");
    }
    let asked: Value = serde_json::from_slice(&body).unwrap();
    if asked["KeyId"] != KEY {
        return refused("NotFoundException");
    }
    // Encryption contexts are sets of pairs of texts.
    let context = asked["EncryptionContext"].as_object().cloned().unwrap_or_default();
    assert!(context.values().all(Value::is_string), "{context:?}");
    let place = Aad::new("kms").with(serde_json::to_vec(&context).unwrap());
    let bytes = |field: &str| STANDARD.decode(asked[field].as_str().unwrap_or_default()).unwrap();
    let answer = match headers["x-amz-target"].to_str().unwrap() {
        "TrentService.Encrypt" => {
            let blob = seal(&shared.key, &place, &bytes("Plaintext")).unwrap();
            json!({"CiphertextBlob": STANDARD.encode(blob), "KeyId": "arn:aws:kms:eu-central-1:111122223333:key/1",
                "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})
        }
        "TrentService.Decrypt" => {
            let Ok(plain) = open(&shared.key, &place, &bytes("CiphertextBlob")) else {
                return refused("InvalidCiphertextException");
            };
            shared.decrypted.fetch_add(1, Ordering::SeqCst);
            json!({"Plaintext": STANDARD.encode(&*plain), "KeyId": "arn:aws:kms:eu-central-1:111122223333:key/1"})
        }
        _ => return refused("UnknownOperationException"),
    };
    ([("content-type", "application/x-amz-json-1.1")], answer.to_string()).into_response()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.chain_update(text.as_bytes()).finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks the signature of a `POST /` without a query.
fn check(headers: &HeaderMap, body: &[u8]) -> Result<(), &'static str> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let claim = value("authorization");
    let part =
        |name: &str| claim.split([',', ' ']).find_map(|part| part.strip_prefix(name)).unwrap_or_default();
    let (stamp, scope) = (value("x-amz-date"), part("Credential="));
    let (id, scope) = scope.split_once('/').ok_or("IncompleteSignatureException")?;
    let secret = match id {
        _ if id == KEYS.0 => KEYS.1,
        _ if id == GIVEN.0 && value("x-amz-security-token") == GIVEN.2 => GIVEN.1,
        _ => return Err("UnrecognizedClientException"),
    };
    let date = stamp.get(..8).unwrap_or_default();
    if scope != format!("{date}/{REGION}/kms/aws4_request") {
        return Err("InvalidSignatureException");
    }
    let signed = part("SignedHeaders=");
    for needed in ["host", "x-amz-date", "x-amz-target"] {
        if !signed.split(';').any(|name| name == needed) {
            return Err("InvalidSignatureException");
        }
    }
    let lines: String = signed.split(';').map(|name| format!("{name}:{}\n", value(name))).collect();
    let request = format!("POST\n/\n\n{lines}\n{signed}\n{}", hex(&Sha256::digest(body)));
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(request)));
    let start = format!("AWS4{secret}").into_bytes();
    let key = [date, REGION, "kms", "aws4_request"].iter().fold(start, |key, part| mac(&key, part));
    if hex(&mac(&key, &text)) == part("Signature=") { Ok(()) } else { Err("InvalidSignatureException") }
}

async fn sts(body: String) -> Response {
    let form: std::collections::BTreeMap<String, String> =
        reqwest::Url::parse(&format!("http://form/?{body}")).unwrap().query_pairs().into_owned().collect();
    let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let asked = (given("Action"), given("Version"), given("RoleArn"), given("WebIdentityToken"));
    if asked != ("AssumeRoleWithWebIdentity", "2011-06-15", ROLE, TOKEN)
        || given("RoleSessionName").is_empty()
    {
        let error = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code></Error></ErrorResponse>";
        return (StatusCode::BAD_REQUEST, [("content-type", "text/xml")], error).into_response();
    }
    let (id, secret, token) = GIVEN;
    let answer = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n\
         <AssumeRoleWithWebIdentityResult>\n<Credentials>\n<SessionToken>{token}</SessionToken>\n\
         <SecretAccessKey>{secret}</SecretAccessKey>\n<Expiration>2030-01-01T00:00:00Z</Expiration>\n\
         <AccessKeyId>{id}</AccessKeyId>\n</Credentials>\n</AssumeRoleWithWebIdentityResult>\n\
         </AssumeRoleWithWebIdentityResponse>"
    );
    ([("content-type", "text/xml")], answer).into_response()
}
