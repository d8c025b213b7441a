//! What decoders of requests share: every member is taken, or accounted for by the registry.

use crate::json::Value;
use crate::read::{Fields, Path};
use crate::registry::{self, Carriage, Effect};
use crate::{Dialect, RequestError};

/// A refusal that names the field.
pub(crate) fn refuse(path: Path<'_>, why: &'static str) -> RequestError {
    RequestError::Untranslatable { field: path.to_string(), why }
}

pub(crate) const UNKNOWN: &str = "the gateway does not know how to carry it over";

/// Accounts for the top-level members that were not taken.
pub(crate) fn rest_of_body(dialect: Dialect, fields: &Fields<'_>) -> Result<(), RequestError> {
    for member in fields.iter().filter(|member| !member.value.is_null()) {
        let path = Path::Root.key(&member.key);
        let Some(field) = registry::find(dialect, &member.key) else { return Err(refuse(path, UNKNOWN)) };
        if field.effect != Effect::Gateway
            && !field.harmless.contains(&member.value.raw())
            && let Carriage::Refused(why) = field.carriage
        {
            return Err(refuse(path, why));
        }
    }
    Ok(())
}

/// Accounts for the members of a nested object that were not taken. `pattern` is its path with `[]`.
pub(crate) fn rest_of(
    dialect: Dialect,
    pattern: &str,
    path: Path<'_>,
    fields: &Fields<'_>,
) -> Result<(), RequestError> {
    for member in fields.iter().filter(|member| !member.value.is_null()) {
        let path = path.key(&member.key);
        let same = |name: &str| {
            let rest = name.strip_prefix(pattern);
            rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.') == Some(&*member.key))
        };
        let field = registry::nested(dialect).iter().find(|field| same(field.name));
        match field.map(|field| (field.carriage, field.harmless)) {
            Some((_, harmless)) if harmless.contains(&member.value.raw()) => {}
            Some((Carriage::Refused(why), _)) => return Err(refuse(path, why)),
            Some(_) => {}
            None => return Err(refuse(path, UNKNOWN)),
        }
    }
    Ok(())
}

/// A member that must be there.
pub(crate) fn need<'a>(
    fields: &mut Fields<'a>,
    key: &str,
    path: Path<'_>,
) -> Result<Value<'a>, RequestError> {
    fields.take(key).ok_or_else(|| RequestError::Missing { path: path.key(key).to_string() })
}

/// A string that must be there.
pub(crate) fn need_text(fields: &mut Fields<'_>, key: &str, path: Path<'_>) -> Result<String, RequestError> {
    let value = need(fields, key, path)?;
    crate::read::text(&value, path.key(key)).map(std::borrow::Cow::into_owned)
}
