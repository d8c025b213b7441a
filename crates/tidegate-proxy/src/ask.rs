//! `/v1/credits`, `/v1/generation` and `/v1/report`: asked of the control plane for the caller's
//! organization, told in the shapes that the AI SDK's clients check.

use bytes::Bytes;
use http::{Response, request};
use serde_json::{Map, Value, json};
use tidegate_types::label::LabelKind;
use tidegate_types::usage::RefusalCause;
use tidegate_types::{CallId, LabelHash, NanoUsd, Timestamp};

use crate::account::Arrival;
use crate::authenticate::{Caller, enter};
use crate::edges::{Generation, NoAnswer, ReportQuery, ReportRow};
use crate::endpoint::Query;
use crate::gateway::Gateway;
use crate::known_limits::KnownLimits;
use crate::listing;
use crate::own_key;
use crate::read_call::{tag_parts, tag_text};
use crate::refusal::{Refusal, Refused};

/// Answers one of the questions.
pub(crate) async fn answer(
    gateway: &Gateway,
    arrival: Arrival,
    head: &request::Parts,
    query: Query,
    known: &mut KnownLimits,
) -> Result<Response<Bytes>, Refused> {
    let caller = enter(gateway, arrival, &head.headers, known)?;
    let asked = Asked::read(head.uri.query().unwrap_or_default());
    let document = match query {
        Query::Credits => credits(gateway, &caller).await?,
        Query::Generation => generation(gateway, &caller, &asked).await?,
        Query::Report => report(gateway, &caller, &asked, arrival.at).await?,
    };
    Ok(listing::json(&document))
}

/// The query string's members.
struct Asked(Vec<(String, String)>);

impl Asked {
    fn read(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn one_of(&self, name: &'static str, allowed: &[&str], default: &str) -> Result<String, Refused> {
        let value = self.get(name).unwrap_or(default);
        if allowed.contains(&value) || (value.is_empty() && default.is_empty()) {
            return Ok(value.to_owned());
        }
        Err(wrong(name, format!("`{name}` must be one of: {}", allowed.join(", "))))
    }
}

/// What may still be spent under the tightest hard budget of this key, and what was ever charged.
async fn credits(gateway: &Gateway, caller: &Caller) -> Result<Value, Refused> {
    let organization = caller.view.organization_id();
    let used = gateway.questions.charged_ever(organization).await.map_err(no_answer)?;
    let balance = match own_key::tightest(gateway, &caller.view).await {
        Some(left) => left.to_string(),
        // No budget stands in the way: there is no end to it.
        None => "Infinity".to_owned(),
    };
    Ok(json!({"balance": balance, "total_used": used.to_string()}))
}

async fn generation(gateway: &Gateway, caller: &Caller, asked: &Asked) -> Result<Value, Refused> {
    let id = asked.get("id").ok_or_else(|| wrong("id", "`id` is required: a generation's id, `gen_…`"))?;
    let call: CallId = id.parse().map_err(|_| wrong("id", "`id` must be a generation's id, `gen_…`"))?;
    let found = gateway.questions.generation(caller.view.organization_id(), call).await;
    Ok(json!({"data": described(call, &found.map_err(no_answer)?)}))
}

fn described(call: CallId, found: &Generation) -> Value {
    let usage = &found.usage;
    let cost = dollars(found.cost);
    // Counted as on the hosted service: without what came from caches.
    let prompt = usage.input_tokens.saturating_sub(usage.cached_input_tokens);
    let to_first = found.ttft_ms.unwrap_or(found.duration_ms);
    json!({
        "id": call.to_string(),
        "total_cost": cost,
        "upstream_inference_cost": if found.byok { cost } else { 0.0 },
        "usage": if found.byok { 0.0 } else { cost },
        "created_at": found.created_at.to_string(),
        "model": found.model,
        "is_byok": found.byok,
        "provider_name": found.provider,
        "streamed": found.stream,
        "finish_reason": if found.outcome == "answered" { "stop" } else { &found.outcome },
        "latency": to_first,
        "generation_time": found.duration_ms,
        "tokens_prompt": usage.input_tokens,
        "tokens_completion": usage.output_tokens,
        "native_tokens_prompt": prompt,
        "native_tokens_completion": usage.output_tokens,
        "native_tokens_reasoning": usage.reasoning_tokens,
        "native_tokens_cached": usage.cached_input_tokens,
        "native_tokens_cache_creation": usage.cache_creation_input_tokens,
        "billable_web_search_calls": usage.searches,
        "routing": {
            "candidates": found.candidates,
            "removed": found.removed,
            "attempts": found.attempts,
        },
    })
}

async fn report(gateway: &Gateway, caller: &Caller, asked: &Asked, now: Timestamp) -> Result<Value, Refused> {
    const GROUPS: [&str; 7] = ["day", "user", "model", "tag", "provider", "credential_type", "api_key_name"];
    let key = &caller.view.organization().organization().label_key;
    let today = now.to_string().chars().take(10).collect::<String>();
    let tags = asked.get("tags").into_iter().flat_map(|tags| tags.split(',')).map(str::trim);
    let tag = |tag: &str| {
        let (name, value) = tag_parts(tag);
        LabelHash::of(key, LabelKind::Tag, &tag_text(name, value))
    };
    let group_by = asked.one_of("group_by", &GROUPS, "day")?;
    let query = ReportQuery {
        days: (day(asked, "start_date", &today)?, day(asked, "end_date", &today)?),
        date_part: asked.one_of("date_part", &["day", "hour"], "day")?,
        user: asked.get("user_id").map(|user| LabelHash::of(key, LabelKind::EndUser, user)),
        model: asked.get("model").unwrap_or_default().to_owned(),
        provider: asked.get("provider").unwrap_or_default().to_owned(),
        credential_type: asked.one_of("credential_type", &["byok", "system"], "")?,
        tags: tags.filter(|tag| !tag.is_empty()).map(tag).collect(),
        all_tags: asked.one_of("tags_match", &["any", "all"], "any")? == "all",
        group_by,
    };
    let name = if query.group_by == "day" && query.date_part == "hour" { "hour" } else { &query.group_by };
    let name = name.to_owned();
    let rows = gateway.questions.report(caller.view.organization_id(), query).await.map_err(no_answer)?;
    Ok(json!({"results": rows.iter().map(|row| result(&name, row)).collect::<Vec<_>>()}))
}

fn result(name: &str, row: &ReportRow) -> Value {
    let mut result = Map::new();
    if !(name == "credential_type" && row.key.is_empty()) {
        result.insert(name.to_owned(), row.key.clone().into());
    }
    for (key, value) in [
        ("input_tokens", row.usage.input_tokens),
        ("output_tokens", row.usage.output_tokens),
        ("cached_input_tokens", row.usage.cached_input_tokens),
        ("cache_creation_input_tokens", row.usage.cache_creation_input_tokens),
        ("reasoning_tokens", row.usage.reasoning_tokens),
        ("request_count", row.usage.requests),
    ] {
        result.insert(key.to_owned(), value.into());
    }
    result.insert("total_cost".to_owned(), dollars(row.cost).into());
    Value::Object(result)
}

/// A day as it was asked for; days without a sign of being one are refused by the control plane.
fn day(asked: &Asked, name: &'static str, today: &str) -> Result<String, Refused> {
    let text = asked.get(name).unwrap_or(today);
    let day = text.split('T').next().unwrap_or_default();
    if day.len() == 10 && day.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return Ok(day.to_owned());
    }
    Err(wrong(name, format!("`{name}` must be a day, YYYY-MM-DD")))
}

/// For people and plots: the exact amount is a decimal string elsewhere.
fn dollars(amount: NanoUsd) -> f64 {
    amount.get() as f64 / 1e9
}

fn wrong(name: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Refused {
    Refusal::new(RefusalCause::BadRequest, message).param(name)
}

fn no_answer(error: NoAnswer) -> Refused {
    match error {
        NoAnswer::Away => {
            Refusal::new(RefusalCause::Unavailable, "the control plane is away; calls of models go on")
                .code("control_plane_away")
                .retry_after(5_000)
        }
        NoAnswer::NotFound => Refusal::new(
            RefusalCause::BadRequest,
            "there is no such generation, or its record has not arrived yet; try again in some seconds",
        )
        .status(404)
        .code("not_found"),
        NoAnswer::Wrong(message) => Refusal::new(RefusalCause::BadRequest, message),
    }
}
