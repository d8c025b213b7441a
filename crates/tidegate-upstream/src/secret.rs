//! The opened secret of a credential: JSON, one shape for each form.

use serde::Deserialize;
use tidegate_types::Secret;
use tidegate_types::resource::{Place, SecretForm};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::auth::BadSecret;
use crate::google::ServiceAccount;
use crate::sigv4::Keys;

/// Every field that some form has. Wiped when dropped; no Debug.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Opened {
    api_key: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    resource: Option<String>,
    region: Option<String>,
    location: Option<String>,
    project: Option<String>,
}

/// The fields that fill the places of a base URL.
#[derive(Default)]
pub(crate) struct Places([Option<Box<str>>; 4]);

/// What signs in.
pub(crate) enum Form {
    ApiKey(Secret),
    Aws(Keys),
    Google(Box<ServiceAccount>),
}

impl Places {
    pub(crate) fn get(&self, place: Place) -> Option<&str> {
        self.0.get(place as usize).and_then(Option::as_deref)
    }
}

/// Reads the JSON of a form.
pub(crate) fn read(form: SecretForm, secret: &Secret) -> Result<(Form, Places), BadSecret> {
    let opened: Opened = serde_json::from_str(secret.expose()).map_err(|_| BadSecret)?;
    let has = |field: &Option<String>| field.as_deref().map(Box::<str>::from);
    let places = Places(Place::ALL.map(|place| match place {
        Place::Resource => has(&opened.resource),
        Place::Region => has(&opened.region),
        Place::Location => has(&opened.location),
        Place::Project => has(&opened.project),
    }));
    let form = match form {
        SecretForm::ApiKey => Form::ApiKey(Secret::new(needed(&opened.api_key)?)),
        SecretForm::Aws => Form::Aws(Keys::new(
            needed(&opened.access_key_id)?,
            needed(&opened.secret_access_key)?,
            opened.session_token.as_deref(),
            needed(&opened.region)?,
        )?),
        SecretForm::GoogleServiceAccount => Form::Google(Box::new(ServiceAccount::new(
            needed(&opened.client_email)?,
            needed(&opened.private_key)?,
            opened.private_key_id.as_deref(),
        )?)),
    };
    Ok((form, places))
}

fn needed(field: &Option<String>) -> Result<&str, BadSecret> {
    field.as_deref().ok_or(BadSecret)
}
