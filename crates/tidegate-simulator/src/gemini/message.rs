//! Members of protobuf's JSON: each by its camel case or its snake case name, once, and no others.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ask::Invalid;

/// A message's members by their camel case names.
pub(super) struct Message<'a> {
    members: BTreeMap<String, &'a Value>,
    at: String,
}

fn camel(key: &str) -> String {
    let mut out = String::new();
    let mut raise = false;
    for c in key.chars() {
        match c {
            '_' if !out.is_empty() => raise = true,
            c if raise => {
                out.push(c.to_ascii_uppercase());
                raise = false;
            }
            c => out.push(c),
        }
    }
    out
}

impl<'a> Message<'a> {
    /// Refuses what is no object, unknown names and a field in two spellings.
    pub(super) fn read(value: &'a Value, known: &[&str], at: &str) -> Result<Self, Invalid> {
        let Some(object) = value.as_object() else {
            return Err(Invalid::new(format!("Invalid value at '{at}' (type.googleapis.com)"), at));
        };
        let mut members = BTreeMap::new();
        for (key, value) in object {
            let name = camel(key);
            if !known.contains(&name.as_str()) {
                let place = if at.is_empty() { String::new() } else { format!(" at '{at}'") };
                let message = format!(
                    "Invalid JSON payload received. Unknown name \"{key}\"{place}: Cannot find field."
                );
                return Err(Invalid::new(message, at));
            }
            if members.insert(name, value).is_some() {
                let message = format!("Invalid value at '{at}', oneof field '{key}' is already set.");
                return Err(Invalid::new(message, at));
            }
        }
        members.retain(|_, value| !value.is_null());
        Ok(Self { members, at: at.to_owned() })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).copied()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// The path of a member.
    pub(super) fn at(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Invalid> {
        let wrong =
            || Invalid::new(format!("Invalid value at '{}' (TYPE_STRING)", self.at(name)), self.at(name));
        self.get(name).map(|value| value.as_str().ok_or_else(wrong)).transpose()
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Invalid> {
        let wrong =
            || Invalid::new(format!("Invalid value at '{}' (TYPE_BOOL)", self.at(name)), self.at(name));
        self.get(name).map_or(Ok(false), |value| value.as_bool().ok_or_else(wrong))
    }

    /// A repeated field, with the path of each element.
    pub(super) fn each(&self, name: &str) -> Result<Vec<(&'a Value, String)>, Invalid> {
        let at = self.at(name);
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(all)) => {
                Ok(all.iter().enumerate().map(|(index, value)| (value, format!("{at}[{index}]"))).collect())
            }
            Some(one @ Value::Object(_)) => Ok(vec![(one, format!("{at}[0]"))]),
            Some(_) => Err(Invalid::new(format!("Invalid value at '{at}' (repeated)"), at)),
        }
    }

    /// A repeated field of strings.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Invalid> {
        let text = |(value, at): (&Value, String)| {
            let wrong = || Invalid::new(format!("Invalid value at '{at}' (TYPE_STRING)"), &*at);
            value.as_str().map(str::to_owned).ok_or_else(wrong)
        };
        self.each(name)?.into_iter().map(text).collect()
    }
}
