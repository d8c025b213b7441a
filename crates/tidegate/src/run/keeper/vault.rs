//! Vault's transit engine as the keeper of root keys. Formats: Vault's HTTP API of the transit engine
//! (`encrypt`, `decrypt`, with `associated_data`) and of the Kubernetes sign-in method, read November 2026.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use tidegate_secrets::SecretsError;
use tidegate_secrets::envelope::Aad;
use tidegate_secrets::kek::{KeyWrapper, Later};
use zeroize::Zeroizing;

use crate::config::Vault;
use crate::run::roots::Rooted;

const MOUNTED_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A key of a transit engine.
pub(super) struct Transit {
    client: Rooted,
    address: String,
    mount: String,
    key: String,
    namespace: Option<String>,
    sign_in: SignIn,
}

enum SignIn {
    /// A token in a file.
    Token(PathBuf),
    /// A role of the Kubernetes method.
    Kubernetes { mount: String, role: String, token: PathBuf },
}

#[derive(Deserialize)]
struct Encrypted {
    data: Ciphertext,
}

#[derive(Deserialize)]
struct Ciphertext {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    data: Plaintext,
}

#[derive(Deserialize)]
struct Plaintext {
    plaintext: String,
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
}

impl Transit {
    /// Checks the configuration; nothing is called.
    pub(super) fn new(config: &Vault) -> Result<Self> {
        let address = super::address(&config.address)?;
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
        };
        let mount = config.mount.clone().unwrap_or_else(|| "transit".to_owned());
        ensure!(
            plain(&mount) && plain(&config.key),
            "mount and key are names of letters, digits, - _ . and /"
        );
        let sign_in = match (&config.token_file, &config.kubernetes_role) {
            (Some(file), None) => SignIn::Token(file.clone()),
            (None, Some(role)) => SignIn::Kubernetes {
                mount: config.kubernetes_mount.clone().unwrap_or_else(|| "kubernetes".to_owned()),
                role: role.clone(),
                token: config.kubernetes_token_file.clone().unwrap_or_else(|| MOUNTED_TOKEN.into()),
            },
            _ => anyhow::bail!("give token_file or kubernetes_role"),
        };
        let client = super::client(config.ca_file.as_deref())?;
        let (key, namespace) = (config.key.clone(), config.namespace.clone());
        Ok(Self { client, address, mount, key, namespace, sign_in })
    }

    async fn token(&self) -> Result<Zeroizing<String>, SecretsError> {
        match &self.sign_in {
            SignIn::Token(file) => super::read(file),
            SignIn::Kubernetes { mount, role, token } => {
                let jwt = super::read(token)?;
                let body = json!({"role": role, "jwt": &**jwt});
                let answer = self.post(&format!("auth/{mount}/login"), None, &body).await?;
                let signed_in: LoggedIn = parse(&answer)?;
                Ok(Zeroizing::new(signed_in.auth.client_token))
            }
        }
    }

    /// Calls the transit engine, signed in.
    async fn call(&self, verb: &str, body: &serde_json::Value) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        let token = self.token().await?;
        self.post(&format!("{}/{verb}/{}", self.mount, self.key), Some(&token), body).await
    }

    async fn post(
        &self,
        path: &str,
        token: Option<&str>,
        body: &serde_json::Value,
    ) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        let mut request = self.client.client().post(format!("{}/v1/{path}", self.address)).json(body);
        if let Some(token) = token {
            let mut value = reqwest::header::HeaderValue::from_str(token)
                .map_err(|_| SecretsError::Wrapper("the token is not one"))?;
            value.set_sensitive(true);
            request = request.header("X-Vault-Token", value);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        let answer = request.send().await.map_err(|_| SecretsError::Wrapper("Vault cannot be reached"))?;
        match answer.status().as_u16() {
            200 => {}
            400 => return Err(SecretsError::Wrapper("Vault refuses it: not what this key encrypted")),
            403 => return Err(SecretsError::Wrapper("Vault refuses the token or the role")),
            404 => return Err(SecretsError::Wrapper("Vault has no such engine or key")),
            503 => return Err(SecretsError::Wrapper("Vault is sealed or in maintenance")),
            _ => return Err(SecretsError::Wrapper("Vault answers with an error")),
        }
        let bytes = answer.bytes().await.map_err(|_| SecretsError::Wrapper("Vault's answer broke off"))?;
        if bytes.len() > super::MOST {
            return Err(SecretsError::Wrapper("Vault's answer is too large"));
        }
        Ok(Zeroizing::new(bytes.to_vec()))
    }
}

fn parse<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, SecretsError> {
    serde_json::from_slice(answer).map_err(|_| SecretsError::Wrapper("Vault's answer cannot be read"))
}

impl KeyWrapper for Transit {
    fn name(&self) -> String {
        let namespace = self.namespace.as_deref().map(|name| format!("{name}/")).unwrap_or_default();
        format!("vault:{}/{namespace}{}/{}", self.address, self.mount, self.key)
    }

    fn wrap<'a>(&'a self, place: &'a Aad, material: &'a [u8]) -> Later<'a, Result<Vec<u8>, SecretsError>> {
        Box::pin(async move {
            let plain = Zeroizing::new(STANDARD.encode(material));
            let body = json!({"plaintext": &**plain, "associated_data": STANDARD.encode(place.as_bytes())});
            let encrypted: Encrypted = parse(&self.call("encrypt", &body).await?)?;
            if !encrypted.data.ciphertext.starts_with("vault:v") {
                return Err(SecretsError::Wrapper("Vault's answer cannot be read"));
            }
            Ok(encrypted.data.ciphertext.into_bytes())
        })
    }

    fn unwrap<'a>(
        &'a self,
        place: &'a Aad,
        wrapped: &'a [u8],
    ) -> Later<'a, Result<Zeroizing<Vec<u8>>, SecretsError>> {
        Box::pin(async move {
            let ciphertext = std::str::from_utf8(wrapped).map_err(|_| SecretsError::MalformedMaterial)?;
            let body =
                json!({"ciphertext": ciphertext, "associated_data": STANDARD.encode(place.as_bytes())});
            let decrypted: Decrypted = parse(&self.call("decrypt", &body).await?)?;
            let text = Zeroizing::new(decrypted.data.plaintext);
            let plain = STANDARD.decode(text.as_bytes());
            plain.map(Zeroizing::new).map_err(|_| SecretsError::Wrapper("Vault's answer cannot be read"))
        })
    }
}
