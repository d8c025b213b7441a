//! An issuer of signed tokens (OIDC): serves its discovery document and its keys, rotates them, signs.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

struct Key {
    kid: String,
    pair: EcdsaKeyPair,
    published: bool,
}

#[derive(Default)]
struct State {
    keys: Vec<Key>,
    /// Named in the discovery document in place of the own URL.
    alias: Option<String>,
    broken: bool,
    sets_served: usize,
}

/// The issuer; ends with this value.
pub struct Issuer {
    url: String,
    port: u16,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Issuer {
    /// Starts one on a free port, with one key `first`.
    ///
    /// # Errors
    /// When it cannot listen, or no key can be made.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}/realm");
        let state = Arc::new(Mutex::new(State::default()));
        let (served, base) = (state.clone(), url.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (state, base) = (served.clone(), base.clone());
                connections.spawn(async move { serve(socket, &state, &base).await });
            }
        });
        let issuer = Self { url, port, state, _tasks: tasks };
        issuer.publish("first")?;
        Ok(issuer)
    }

    /// `iss` of its tokens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Makes a key and publishes it beside the others.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn publish(&self, kid: &str) -> anyhow::Result<()> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| anyhow::anyhow!("no key can be made"))?;
        self.state.lock().keys.push(Key { kid: kid.to_owned(), pair, published: true });
        Ok(())
    }

    /// Publishes a key no more; it can still sign.
    pub fn withdraw(&self, kid: &str) {
        self.state.lock().keys.iter_mut().filter(|key| key.kid == kid).for_each(|key| key.published = false);
    }

    /// Answers everything with 500, or not.
    pub fn set_broken(&self, broken: bool) {
        self.state.lock().broken = broken;
    }

    /// Has the discovery document name another issuer.
    pub fn pose_as(&self, issuer: &str) {
        self.state.lock().alias = Some(issuer.to_owned());
    }

    /// How often its keys were served.
    #[must_use]
    pub fn sets_served(&self) -> usize {
        self.state.lock().sets_served
    }

    /// Its published keys.
    #[must_use]
    pub fn jwks(&self) -> Value {
        set(&self.state.lock())
    }

    /// A token with these claims; `iss` is added where they do not say it.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn token(&self, kid: &str, mut claims: Value) -> anyhow::Result<String> {
        if claims.get("iss").is_none() {
            claims["iss"] = json!(self.url);
        }
        self.sign(kid, &json!({"alg": "ES256", "kid": kid, "typ": "JWT"}), &claims)
    }

    /// A token with this header, signed by that key.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn sign(&self, kid: &str, header: &Value, claims: &Value) -> anyhow::Result<String> {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let state = self.state.lock();
        let key = state.keys.iter().find(|key| key.kid == kid);
        let signature = key.and_then(|key| key.pair.sign(&SystemRandom::new(), message.as_bytes()).ok());
        let signature = signature.ok_or_else(|| anyhow::anyhow!("there is no key {kid}"))?;
        Ok(format!("{message}.{}", encode(signature.as_ref())))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn set(state: &State) -> Value {
    let jwk = |key: &Key| {
        // Uncompressed: a byte, then both coordinates.
        let (x, y) = key.pair.public_key().as_ref().get(1..).unwrap_or_default().split_at(32);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": key.kid,
            "x": encode(x), "y": encode(y)})
    };
    json!({"keys": state.keys.iter().filter(|key| key.published).map(jwk).collect::<Vec<_>>()})
}

/// Answers one request after the other until the connection ends.
async fn serve(mut socket: TcpStream, state: &Mutex<State>, base: &str) {
    let mut bytes = Vec::new();
    loop {
        while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let (status, body) = answer(&String::from_utf8_lossy(&bytes), state, base);
        bytes.clear();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if socket.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

fn answer(request: &str, state: &Mutex<State>, base: &str) -> (&'static str, String) {
    let mut state = state.lock();
    if state.broken {
        return ("500 Internal Server Error", String::new());
    }
    match request.split(' ').nth(1) {
        Some("/realm/.well-known/openid-configuration") => {
            let issuer = state.alias.as_deref().unwrap_or(base);
            ("200 OK", json!({"issuer": issuer, "jwks_uri": format!("{base}/keys")}).to_string())
        }
        Some("/realm/keys") => {
            state.sets_served += 1;
            ("200 OK", set(&state).to_string())
        }
        _ => ("404 Not Found", String::new()),
    }
}
