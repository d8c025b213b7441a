//! Vault's transit engine and Kubernetes sign-in, as far as a client sees them: paths, bodies, statuses and
//! errors as its HTTP API documents them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tidegate_secrets::envelope::{Aad, DataKey, open, seal};

/// The token that a file may hold, and the one that signing in gives.
pub(crate) const TOKEN: &str = "hvs.root-of-the-tests";
const SIGNED_IN: &str = "hvs.signed-in-by-role";
/// The service account's token that the role accepts.
pub(crate) const JWT: &str = "eyJ.service.account";

struct Shared {
    /// Versions of the key, from 1.
    versions: std::sync::Mutex<Vec<DataKey>>,
    sealed: AtomicBool,
    decrypted: AtomicUsize,
}

/// A Vault that listens on loopback.
pub(crate) struct Vault {
    pub(crate) address: String,
    shared: Arc<Shared>,
}

type Answer = (StatusCode, Json<Value>);

fn refused(status: StatusCode, why: &str) -> Answer {
    (status, Json(json!({ "errors": [why] })))
}

impl Vault {
    /// Starts one with a transit key of one version.
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared {
            versions: std::sync::Mutex::new(vec![DataKey::generate()]),
            sealed: AtomicBool::new(false),
            decrypted: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/v1/transit/encrypt/{key}", post(encrypt))
            .route("/v1/transit/decrypt/{key}", post(decrypt))
            .route("/v1/transit/keys/{key}/rotate", post(rotate))
            .route("/v1/auth/kubernetes/login", post(login))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    /// From now on it answers as a sealed one.
    pub(crate) fn seal(&self, sealed: bool) {
        self.shared.sealed.store(sealed, Ordering::SeqCst);
    }

    /// How often something was decrypted.
    pub(crate) fn decrypted(&self) -> usize {
        self.shared.decrypted.load(Ordering::SeqCst)
    }
}

fn may(shared: &Shared, headers: &HeaderMap) -> Result<(), Answer> {
    if shared.sealed.load(Ordering::SeqCst) {
        return Err(refused(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed"));
    }
    match headers.get("x-vault-token").and_then(|token| token.to_str().ok()) {
        Some(TOKEN | SIGNED_IN) => Ok(()),
        _ => Err(refused(StatusCode::FORBIDDEN, "permission denied")),
    }
}

fn field(body: &Value, name: &str) -> Result<Vec<u8>, Answer> {
    let text = body[name].as_str().unwrap_or_default();
    STANDARD.decode(text).map_err(|_| refused(StatusCode::BAD_REQUEST, "failed to base64-decode"))
}

fn place(data: &[u8], version: usize) -> Aad {
    Aad::new("vault").with(data).with((version as u64).to_be_bytes())
}

async fn encrypt(
    State(shared): State<Arc<Shared>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, Answer> {
    may(&shared, &headers)?;
    let body: Value = serde_json::from_slice(&body).unwrap();
    if key != "tidegate" {
        return Err(refused(StatusCode::NOT_FOUND, "no handler for route"));
    }
    let (plain, data) = (field(&body, "plaintext")?, field(&body, "associated_data")?);
    let versions = shared.versions.lock().unwrap();
    let version = versions.len();
    let sealed = seal(&versions[version - 1], &place(&data, version), &plain).unwrap();
    let ciphertext = format!("vault:v{version}:{}", STANDARD.encode(sealed));
    Ok((StatusCode::OK, Json(json!({"data": {"ciphertext": ciphertext, "key_version": version}}))))
}

async fn decrypt(
    State(shared): State<Arc<Shared>>,
    Path(_): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, Answer> {
    may(&shared, &headers)?;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let data = field(&body, "associated_data")?;
    let invalid = || refused(StatusCode::BAD_REQUEST, "invalid ciphertext: no prefix");
    let text =
        body["ciphertext"].as_str().and_then(|text| text.strip_prefix("vault:v")).ok_or_else(invalid)?;
    let (version, sealed) = text.split_once(':').ok_or_else(invalid)?;
    let version: usize = version.parse().map_err(|_| invalid())?;
    let versions = shared.versions.lock().unwrap();
    let key = versions.get(version - 1).ok_or_else(invalid)?;
    let opened = open(key, &place(&data, version), &STANDARD.decode(sealed).map_err(|_| invalid())?);
    let plain =
        opened.map_err(|_| refused(StatusCode::BAD_REQUEST, "cipher: message authentication failed"))?;
    shared.decrypted.fetch_add(1, Ordering::SeqCst);
    Ok((StatusCode::OK, Json(json!({"data": {"plaintext": STANDARD.encode(&*plain)}}))))
}

async fn rotate(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Answer, Answer> {
    may(&shared, &headers)?;
    shared.versions.lock().unwrap().push(DataKey::generate());
    Ok((StatusCode::OK, Json(json!({"data": null}))))
}

async fn login(State(shared): State<Arc<Shared>>, Json(body): Json<Value>) -> Result<Answer, Answer> {
    if shared.sealed.load(Ordering::SeqCst) {
        return Err(refused(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed"));
    }
    if body["role"] != "tidegate" || body["jwt"] != JWT {
        return Err(refused(StatusCode::FORBIDDEN, "permission denied"));
    }
    let auth = json!({"client_token": SIGNED_IN, "lease_duration": 3600, "renewable": true, "policies": ["default"]});
    Ok((StatusCode::OK, Json(json!({ "auth": auth }))))
}
