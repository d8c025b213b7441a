//! A running API with a database of its own, and callers with roles.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tidegate_admin::App;
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_store::Store;
use tidegate_store::testing::TestDatabase;
use tidegate_telemetry::SystemClock;
use tower::ServiceExt as _;

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The API, its database and the platform administrator's token.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) app: App,
    pub(crate) store: Store,
    pub(crate) database: TestDatabase,
    pub(crate) root: String,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

/// An organization with its owner's token and a team.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) team: String,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::over(TestDatabase::create().await.unwrap()).await
    }

    /// Over a database of the test's own.
    pub(crate) async fn over(database: TestDatabase) -> Self {
        let store = database.store().await.unwrap();
        let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).unwrap();
        let app = App::open(store, kek, Arc::new(SystemClock), "http://control.test").await.unwrap();
        Self::over_app(database, app).await
    }

    /// Over an API of the test's own.
    pub(crate) async fn over_app(database: TestDatabase, app: App) -> Self {
        let store = database.store().await.unwrap();
        let link = tidegate_admin::bootstrap(&app, "root@example.com").await.unwrap();
        let router = tidegate_admin::router(app.clone());
        let mut world = Self { router, app, store, database, root: String::new() };
        world.root = world.redeem(link.expose()).await;
        world
    }

    /// Over an API that has its administrator already; nobody is signed in.
    pub(crate) async fn above(database: TestDatabase, app: App) -> Self {
        let store = database.store().await.unwrap();
        Self { router: tidegate_admin::router(app.clone()), app, store, database, root: String::new() }
    }

    /// Uses a sign-in link; answers the session's token.
    pub(crate) async fn redeem(&self, link: &str) -> String {
        let token = link.rsplit('#').next().unwrap();
        let body = json!({"token": token, "password": PASSWORD});
        let answer = self.post("", "/sessions/link", &body).await.expect(StatusCode::CREATED);
        answer.str("/token")
    }

    /// An organization named `slug` with an owner and a team.
    pub(crate) async fn tenant(&self, slug: &str) -> Tenant {
        let root = &self.root;
        let made =
            self.post(root, "/organizations", &json!({"slug": slug})).await.expect(StatusCode::CREATED);
        let id = made.str("/id");
        let owner = self.member(&id, &format!("owner@{slug}.example.com"), "owner").await;
        let team = self.post(&owner, "/teams", &json!({"name": "core"})).await.expect(StatusCode::CREATED);
        Tenant { id, owner, team: team.str("/id") }
    }

    /// A new member of an organization; answers a session's token.
    pub(crate) async fn member(&self, organization: &str, email: &str, role: &str) -> String {
        let path = format!("/members?organization={organization}");
        let made = self.post(&self.root, &path, &json!({"email": email, "role": role})).await;
        self.redeem(&made.expect(StatusCode::CREATED).str("/sign_in_link")).await
    }

    /// A provider, a model and an offering with a price; answers the offering's id.
    pub(crate) async fn catalogue(&self) -> String {
        let root = &self.root;
        let provider = json!({"slug": "openai", "name": "OpenAI", "base_url": "https://api.openai.com/v1",
            "dialect": "openai_chat", "auth": "bearer"});
        self.post(root, "/providers", &provider).await.expect(StatusCode::CREATED);
        let model = json!({"name": "openai/gpt-5", "context_window": 400_000, "max_output_tokens": 128_000});
        self.post(root, "/models", &model).await.expect(StatusCode::CREATED);
        let offering = json!({"model": "openai/gpt-5", "provider": "openai", "upstream_name": "gpt-5"});
        let offering = self.post(root, "/offerings", &offering).await.expect(StatusCode::CREATED).str("/id");
        let price = json!({"offering_id": offering, "tiers": [{"from_input_tokens": 0, "prices": [
            {"unit": "input_token", "price": "0.00000125"}, {"unit": "output_token", "price": "0.00001"}]}]});
        self.post(root, "/prices", &price).await.expect(StatusCode::CREATED);
        offering
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(Method::GET, token, path, &[], None).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, token, path, &[], Some(body.to_string())).await
    }

    pub(crate) async fn patch(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, token, path, &[], Some(body.to_string())).await
    }

    pub(crate) async fn delete(&self, token: &str, path: &str) -> Answer {
        self.send(Method::DELETE, token, path, &[], None).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        token: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.raw(request.body(body.map_or_else(Body::empty, Body::from)).unwrap()).await
    }

    pub(crate) async fn raw(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body, text }
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Refused with this status and code, as a problem document with the request's id.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["request_id"].as_str(), self.headers["x-request-id"].to_str().ok());
        self
    }

    #[track_caller]
    pub(crate) fn str(&self, pointer: &str) -> String {
        let found = self.body.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer} in {}", self.text)).to_owned()
    }

    #[track_caller]
    pub(crate) fn rows(&self) -> &[Value] {
        self.body["data"].as_array().unwrap_or_else(|| panic!("no rows in {}", self.text))
    }

    /// Fields that the refusal names.
    pub(crate) fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        errors.iter().filter_map(|error| error["field"].as_str()).collect()
    }

    #[track_caller]
    pub(crate) fn etag(&self) -> String {
        self.headers["etag"].to_str().unwrap().to_owned()
    }
}
