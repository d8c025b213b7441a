//! Asks a Kubernetes API server whose service-account token it is (TokenReview, authentication.k8s.io/v1:
//! kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_push::{Allowed, NotVerified, Verified, Workload, WorkloadVerifier, Workloads};
use tidegate_types::Secret;

use super::roots::Rooted;
use crate::config::{AllowedAccount, Kubernetes};

const PATIENCE: Duration = Duration::from_secs(5);
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// What the configuration says of enrolment by service accounts.
///
/// # Errors
/// When the API server's roots cannot be read. They are read again for each question: they are rotated.
pub(crate) fn workloads(config: &Kubernetes) -> Result<Workloads> {
    let client = Rooted::new(config.ca_file.as_deref(), "control_plane.kubernetes.ca_file", |roots| {
        let client =
            Client::builder().timeout(PATIENCE).no_proxy().redirect(reqwest::redirect::Policy::none());
        match roots {
            Some(roots) => client.tls_certs_only(roots).build(),
            None => client.build(),
        }
    })?;
    let api = config.api_url.trim_end_matches('/');
    let reviews = TokenReviews {
        client,
        url: format!("{api}/apis/authentication.k8s.io/v1/tokenreviews"),
        own_token: config.token_file.clone(),
        audience: config.audience.clone(),
    };
    let allowed = config.allow.iter().map(|AllowedAccount { pool, namespace, service_account }| Allowed {
        pool: pool.clone(),
        namespace: namespace.clone(),
        service_account: service_account.clone(),
    });
    Ok(Workloads { verifier: Arc::new(reviews), allowed: allowed.collect() })
}

struct TokenReviews {
    client: Rooted,
    url: String,
    /// Read for every question: it is rotated.
    own_token: PathBuf,
    audience: String,
}

#[derive(Deserialize)]
struct Review {
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    authenticated: bool,
    user: User,
    audiences: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct User {
    username: String,
    extra: serde_json::Map<String, Value>,
}

impl WorkloadVerifier for TokenReviews {
    fn verify<'a>(&'a self, token: &'a Secret) -> Verified<'a> {
        Box::pin(async move {
            let review = self.ask(token).await?;
            self.judge(&review.status)
        })
    }
}

impl TokenReviews {
    async fn ask(&self, token: &Secret) -> Result<Review, NotVerified> {
        let own = tokio::fs::read_to_string(&self.own_token)
            .await
            .map_err(|error| NotVerified::Away(format!("control_plane.kubernetes.token_file: {error}")))?;
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token.expose(), "audiences": [self.audience]},
        });
        let away = |what: &str| NotVerified::Away(what.to_owned());
        let answer = self.client.client().post(&self.url).bearer_auth(own.trim()).json(&review).send().await;
        let answer = answer.map_err(|_| away("the API server cannot be reached"))?;
        match answer.status() {
            StatusCode::OK | StatusCode::CREATED => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(away("the API server does not let this control plane make token reviews"));
            }
            status => return Err(NotVerified::Away(format!("the API server answered {status}"))),
        }
        answer.json().await.map_err(|_| away("the API server's answer is no token review"))
    }

    /// A server that knows nothing of audiences leaves them out: its word counts for nothing here.
    fn judge(&self, status: &Status) -> Result<Workload, NotVerified> {
        let ours = status.audiences.contains(&self.audience);
        if !status.authenticated || !ours {
            return Err(NotVerified::Refused);
        }
        let account = status.user.username.strip_prefix("system:serviceaccount:");
        let (namespace, service_account) =
            account.and_then(|account| account.split_once(':')).ok_or(NotVerified::Refused)?;
        let uid = status.user.extra.get(POD_UID).and_then(|values| values.get(0)).and_then(Value::as_str);
        Ok(Workload {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            pod_uid: uid.map(str::to_owned),
        })
    }
}
