//! Sign-in at a provider: one opened credential, put on requests the way a provider wants it.
//! Header values are made once per credential where that is possible, and marked sensitive.

use std::borrow::Cow;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tidegate_types::resource::{AuthScheme, PlaceError, SecretForm, fill_base_url};
use tidegate_types::{Secret, Timestamp};

use crate::endpoint::Endpoint;
use crate::google::{ServiceAccount, TokenError};
use crate::headers::{ANTHROPIC_VERSION, DEFAULT_ANTHROPIC_VERSION};
use crate::secret::{Form, Places, read};
use crate::send::Upstreams;
use crate::sigv4::{Keys, Subject};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const BEDROCK: &str = "bedrock";

/// An opened credential, ready to be put on requests. Debug prints nothing of it.
///
/// Keep one for as long as the credential is the same: access tokens are kept in it.
pub struct SignIn {
    kind: Kind,
    places: Places,
}

enum Kind {
    ApiKey { bearer: HeaderValue, plain: HeaderValue },
    Aws(Keys),
    Google(Box<ServiceAccount>),
}

/// A secret that is not of its form, or cannot stand in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is not of its form, or holds characters that no header can carry")]
pub struct BadSecret;

/// Why a request could not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// The provider's way of signing in has no use for a credential of this form.
    #[error("a credential of this form cannot sign in at this provider")]
    Form,
    /// No access token.
    #[error("{0}")]
    Token(#[from] TokenError),
}

impl SignInError {
    /// Whether it may go away by itself: the token service was not reached, or is not well.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        match self {
            Self::Token(TokenError::Refused(status)) => status >= 500 || status == 429,
            Self::Token(TokenError::Unreachable | TokenError::Garbled) => true,
            Self::Token(TokenError::Key) | Self::Form => false,
        }
    }
}

/// A request that is about to be sent; a POST.
#[derive(Debug, Clone, Copy)]
pub struct Unsigned<'a> {
    /// Where it goes.
    pub endpoint: &'a Endpoint,
    /// Path and query, as sent.
    pub path: &'a PathAndQuery,
    /// Its whole body.
    pub body: &'a [u8],
}

/// What signing needs from outside.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// The way out, for access tokens.
    pub upstreams: &'a Upstreams,
    /// Where Google gives access tokens; [`crate::GOOGLE_TOKEN_URL`] unless the process is
    /// configured otherwise.
    pub google_token_url: &'a str,
    /// The time.
    pub now: Timestamp,
}

impl SignIn {
    /// From an opened secret: the JSON of its form.
    ///
    /// # Errors
    /// [`BadSecret`] when it lacks a field of the form, or has one that cannot be used.
    pub fn open(form: SecretForm, secret: &Secret) -> Result<Self, BadSecret> {
        let (form, places) = read(form, secret)?;
        let kind = match form {
            Form::ApiKey(key) => Kind::api_key(&key)?,
            Form::Aws(keys) => Kind::Aws(keys),
            Form::Google(account) => Kind::Google(account),
        };
        Ok(Self { kind, places })
    }

    /// From an API key.
    ///
    /// # Errors
    /// [`BadSecret`] when it is empty or holds control characters.
    pub fn api_key(secret: &Secret) -> Result<Self, BadSecret> {
        Ok(Self { kind: Kind::api_key(secret)?, places: Places::default() })
    }

    /// Whether a text holds the API key: then nobody may be shown it.
    #[must_use]
    pub fn is_repeated_in(&self, text: &[u8]) -> bool {
        match &self.kind {
            Kind::ApiKey { plain, .. } => memchr::memmem::find(text, plain.as_bytes()).is_some(),
            Kind::Aws(_) | Kind::Google(_) => false,
        }
    }

    /// A provider's base URL, its places filled with the credential's fields.
    ///
    /// # Errors
    /// [`PlaceError`] when a field is missing or may not stand there.
    pub fn base_url<'t>(&self, template: &'t str) -> Result<Cow<'t, str>, PlaceError> {
        fill_base_url(template, |place| self.places.get(place))
    }

    /// Puts the sign-in that `scheme` wants on a request. Do it last, and just before sending:
    /// a signature covers path, headers and body, and ages. Waits only for an access token that
    /// is not there yet.
    ///
    /// # Errors
    /// [`SignInError`] when the form does not fit or no access token was given.
    pub async fn apply(
        &self,
        scheme: AuthScheme,
        request: Unsigned<'_>,
        headers: &mut HeaderMap,
        means: Means<'_>,
    ) -> Result<(), SignInError> {
        use AuthScheme::{ApiKey, AwsSigV4, Bearer, GoogleApiKey, GoogleServiceAccount, XApiKey};
        let (name, value) = match (scheme, &self.kind) {
            (AuthScheme::None, _) => return Ok(()),
            (Bearer | AwsSigV4, Kind::ApiKey { bearer, .. }) => (header::AUTHORIZATION, bearer.clone()),
            (XApiKey, Kind::ApiKey { plain, .. }) => {
                headers.entry(ANTHROPIC_VERSION).or_insert(DEFAULT_ANTHROPIC_VERSION);
                (X_API_KEY, plain.clone())
            }
            (ApiKey, Kind::ApiKey { plain, .. }) => (API_KEY, plain.clone()),
            (GoogleApiKey | GoogleServiceAccount, Kind::ApiKey { plain, .. }) => {
                (X_GOOG_API_KEY, plain.clone())
            }
            (Bearer | GoogleServiceAccount, Kind::Google(account)) => {
                (header::AUTHORIZATION, account.token(&means).await?)
            }
            (AwsSigV4, Kind::Aws(keys)) => {
                let Unsigned { endpoint, path, body } = request;
                let method = Method::POST;
                let subject = Subject { method: method.as_str(), host: &endpoint.host_header, path, body };
                keys.sign(BEDROCK, subject, headers, means.now);
                return Ok(());
            }
            (_, Kind::Aws(_) | Kind::Google(_)) => return Err(SignInError::Form),
        };
        headers.insert(name, value);
        Ok(())
    }
}

impl Kind {
    fn api_key(secret: &Secret) -> Result<Self, BadSecret> {
        let key = secret.expose();
        if key.is_empty() {
            return Err(BadSecret);
        }
        let mut plain = HeaderValue::from_str(key).map_err(|_| BadSecret)?;
        let mut bearer = HeaderValue::try_from(["Bearer ", key].concat()).map_err(|_| BadSecret)?;
        plain.set_sensitive(true);
        bearer.set_sensitive(true);
        Ok(Self::ApiKey { bearer, plain })
    }
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignIn([secret])")
    }
}
