//! Validates messages: who may say what after whom, and that results answer their calls.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::content::{self, Said};
use super::request::{Maker, only};
use crate::ask::{Ask, Invalid, text};

/// Reads `messages`.
pub(super) fn read(object: &Map<String, Value>, maker: Maker, ask: &mut Ask) -> Result<(), Invalid> {
    let messages = object.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let messages = messages.ok_or_else(|| {
        let message = "A conversation must start with a user message. Try again with a conversation that starts \
                       with a user message.";
        Invalid::new(message, "messages")
    })?;
    let mut open: BTreeSet<String> = BTreeSet::new();
    let mut before = None;
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages.{index}");
        let members =
            message.as_object().ok_or_else(|| Invalid::new(format!("{at} must be an object."), &*at))?;
        only(members, &["role", "content"], &at)?;
        let role = text(members.get("role"), &format!("{at}.role"))?;
        check_order(role, before, maker, &at)?;
        before = Some(role);
        let blocks = members.get("content").and_then(Value::as_array).filter(|blocks| !blocks.is_empty());
        let blocks = blocks.ok_or_else(|| {
            let message = format!(
                "The content field in the Message object at {at} is empty. Add a ContentBlock object to the \
                 content field and try again."
            );
            Invalid::new(message, &*at)
        })?;
        if role != "system" {
            ask.tool_result = None;
        }
        let mut said = Said::default();
        for (place, block) in blocks.iter().enumerate() {
            content::block(block, role, maker, &format!("{at}.content.{place}"), ask, &mut said)?;
        }
        if said.documents && said.text.is_empty() {
            let message = format!("A text block must be included in {at} with a document.");
            return Err(Invalid::new(message, at));
        }
        if role != "system" {
            check_tools(&open, &said, ask, &at)?;
            open = said.used;
            ask.last_text = said.text;
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    Err(unanswered(&open, "messages"))
}

fn check_order(role: &str, before: Option<&str>, maker: Maker, at: &str) -> Result<(), Invalid> {
    let refuse = |message: String| Err(Invalid::new(message, at));
    match (role, before) {
        ("user", None | Some("assistant" | "system")) | ("assistant", Some("user" | "system")) => Ok(()),
        ("system", Some("user")) if maker == Maker::Anthropic => Ok(()),
        ("assistant", None) => refuse(
            "A conversation must start with a user message. Try again with a conversation that starts with a user \
             message."
                .to_owned(),
        ),
        ("user" | "assistant", _) => refuse(
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates \
             between user and assistant roles and try again."
                .to_owned(),
        ),
        ("system", _) => refuse(format!("{at}: a system message is not possible here with this model.")),
        _ => refuse(format!("{at}.role must be one of: user, assistant.")),
    }
}

fn check_tools(open: &BTreeSet<String>, said: &Said, ask: &Ask, at: &str) -> Result<(), Invalid> {
    if (!said.used.is_empty() || !said.answered.is_empty()) && ask.tools.is_empty() {
        let message =
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.";
        return Err(Invalid::new(message, "toolConfig"));
    }
    if !said.answered.is_subset(open) {
        let message = format!(
            "The number of toolResult blocks at {at}.content exceeds the number of toolUse blocks of previous turn."
        );
        return Err(Invalid::new(message, at));
    }
    let missing: BTreeSet<String> = open.difference(&said.answered).cloned().collect();
    if missing.is_empty() { Ok(()) } else { Err(unanswered(&missing, at)) }
}

fn unanswered(ids: &BTreeSet<String>, at: &str) -> Invalid {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let message =
        format!("Expected toolResult blocks at {at}.content for the following Ids: {}", ids.join(", "));
    Invalid::new(message, at)
}
