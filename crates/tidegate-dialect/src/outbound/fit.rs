//! Fields that a provider does not take: some are left out, others cannot be obeyed and refuse the
//! call. Looks at top-level members of the outgoing body only; other bytes stay as they are.

use bytes::Bytes;

use crate::RequestError;
use crate::json::{Splices, Value};
use crate::read::removals;

/// The body without the members named in `drops`. Members that are null count as absent.
///
/// # Errors
/// [`RequestError::Untranslatable`] naming the first member that `refuses` names.
pub fn fit(body: Bytes, drops: &[String], refuses: &[String]) -> Result<Bytes, RequestError> {
    if drops.is_empty() && refuses.is_empty() {
        return Ok(body);
    }
    // What is no JSON object (a form with a file) has no such members.
    let Ok(root) = Value::parse(&body) else { return Ok(body) };
    let named = |names: &[String], key: &str| names.iter().any(|name| name == key);
    let mut marked = Vec::new();
    for member in root.members() {
        let refused = named(refuses, &member.key);
        if refused && !member.value.is_null() {
            let why = "it does not know this field";
            return Err(RequestError::Untranslatable { field: member.key.into_owned(), why });
        }
        let leave_out = refused || named(drops, &member.key);
        marked.push((leave_out, member.start, member.value.span().end));
    }
    let mut splices = Splices::default();
    removals(&marked).into_iter().for_each(|span| splices.remove(span));
    Ok(splices.apply(&body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(body: &'static str, drops: &[&str], refuses: &[&str]) -> Result<String, String> {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let fitted = fit(Bytes::from_static(body.as_bytes()), &owned(drops), &owned(refuses));
        fitted.map(|body| String::from_utf8(body.to_vec()).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_left_out_and_all_else_stays() {
        let body = r#"{"user": "u", "n":1.50 , "x":{"user":2},"seed":3}"#;
        assert_eq!(fitted(body, &["user"], &[]).unwrap(), r#"{"n":1.50 , "x":{"user":2},"seed":3}"#);
        assert_eq!(fitted(body, &["seed", "user"], &[]).unwrap(), r#"{"n":1.50 , "x":{"user":2}}"#);
        assert_eq!(fitted(body, &["n", "x"], &[]).unwrap(), r#"{"user": "u","seed":3}"#);
        assert_eq!(fitted(r#"{"us\u0065r":1}"#, &["user"], &[]).unwrap(), "{}");
        assert_eq!(fitted(body, &["other"], &["another"]).unwrap(), body);
        for other in ["--form\r\n", "[1]", "", "7"] {
            assert_eq!(fitted(other, &["user"], &["user"]).unwrap(), other);
        }
    }

    #[test]
    fn a_field_that_cannot_be_obeyed_refuses_the_call_by_name() {
        let error = fitted(r#"{"a":1,"logit_bias":{"1":2}}"#, &[], &["logit_bias"]).unwrap_err();
        assert!(error.contains("`logit_bias`"), "{error}");
        assert_eq!(fitted(r#"{"a":1,"logit_bias":null}"#, &[], &["logit_bias"]).unwrap(), r#"{"a":1}"#);
    }
}
