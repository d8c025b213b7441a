//! Sign-in at a provider. Header values are made once per credential and marked sensitive.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tidegate_types::Secret;
use tidegate_types::resource::AuthScheme;

use crate::headers::{ANTHROPIC_VERSION, DEFAULT_ANTHROPIC_VERSION};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// An opened credential, ready to be put on requests. Debug prints nothing of it.
#[derive(Clone)]
pub struct SignIn {
    bearer: HeaderValue,
    api_key: HeaderValue,
}

/// A secret that cannot stand in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret holds characters that no header can carry")]
pub struct BadSecret;

impl SignIn {
    /// From an API key.
    ///
    /// # Errors
    /// [`BadSecret`] when it is empty or holds control characters.
    pub fn api_key(secret: &Secret) -> Result<Self, BadSecret> {
        let key = secret.expose();
        if key.is_empty() {
            return Err(BadSecret);
        }
        let mut api_key = HeaderValue::from_str(key).map_err(|_| BadSecret)?;
        let mut bearer = HeaderValue::try_from(["Bearer ", key].concat()).map_err(|_| BadSecret)?;
        api_key.set_sensitive(true);
        bearer.set_sensitive(true);
        Ok(Self { bearer, api_key })
    }

    /// Puts the sign-in that `scheme` wants on a request.
    pub fn apply(&self, scheme: AuthScheme, headers: &mut HeaderMap) {
        match scheme {
            AuthScheme::Bearer => {
                headers.insert(header::AUTHORIZATION, self.bearer.clone());
            }
            AuthScheme::XApiKey => {
                headers.insert(X_API_KEY, self.api_key.clone());
                headers.entry(ANTHROPIC_VERSION).or_insert(DEFAULT_ANTHROPIC_VERSION);
            }
            AuthScheme::None => {}
        }
    }
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignIn([secret])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_puts_its_own_headers_and_prints_none() {
        let sign_in = SignIn::api_key(&Secret::new("sk-canary")).unwrap();
        let mut headers = HeaderMap::new();
        sign_in.apply(AuthScheme::Bearer, &mut headers);
        assert_eq!(headers[header::AUTHORIZATION], "Bearer sk-canary");
        let mut headers = HeaderMap::new();
        sign_in.apply(AuthScheme::XApiKey, &mut headers);
        assert_eq!((&headers[X_API_KEY], headers.len()), (&HeaderValue::from_static("sk-canary"), 2));
        headers.insert(ANTHROPIC_VERSION, HeaderValue::from_static("2026-10-21"));
        sign_in.apply(AuthScheme::XApiKey, &mut headers);
        assert_eq!(headers[ANTHROPIC_VERSION], "2026-10-21");
        assert!(!format!("{sign_in:?}{headers:?}").contains("canary"));
        let mut headers = HeaderMap::new();
        sign_in.apply(AuthScheme::None, &mut headers);
        assert!(headers.is_empty());
        assert!(SignIn::api_key(&Secret::new("a\r\nb")).is_err());
        assert!(SignIn::api_key(&Secret::new("")).is_err());
    }
}
