//! `POST /trust-rules/{id}/refresh`

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use tidegate_store::trust_rules;
use tidegate_types::TrustRuleId;
use tidegate_types::resource::TrustRule;
use utoipa::ToSchema;

use super::{TrustRuleView, view};
use crate::etag::IfMatch;
use crate::idempotency::PostedTo;
use crate::state::App;
use crate::write::{Done, Write, note};

/// An issuer is asked again at most this often.
const PAUSE_MS: i64 = 5_000;

/// How to refresh.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Refresh {
    /// Refuse at once what is signed with a key that the issuer withdrew (after a key leaked).
    drop_withdrawn: bool,
}

/// Has the issuer's keys fetched within a few seconds, beside the regular fetching.
#[utoipa::path(post, path = "/trust-rules/{id}/refresh", tag = "trust-rules", operation_id = "trust_rules_refresh",
    params(("id" = String, Path, description = "Its id")), request_body = Option<Refresh>,
    responses((status = OK, description = "The rule as it is now", body = TrustRuleView)))]
pub(super) async fn refresh(
    State(app): State<App>,
    if_match: IfMatch,
    PostedTo { id, posted }: PostedTo<TrustRuleId, Refresh>,
) -> Done<TrustRuleView> {
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let stored = trust_rules::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    let before = view(&mut write, &stored).await?;
    let mut version = stored.version;
    let mut after = before.clone();
    if posted.body.drop_withdrawn {
        let keys = stored.value.keys.iter().filter(|key| key.until.is_none()).cloned().collect();
        let rule = TrustRule { keys, ..stored.value };
        trust_rules::update(&mut write, &rule, Some(stored.version), true).await?;
        after.keys = rule.keys.iter().map(Into::into).collect();
        version += 1;
    }
    trust_rules::hasten(&mut write, id, PAUSE_MS).await?;
    let note = note("trust_rule.refresh", id.to_string(), Some(&before), Some(&after))?;
    write.finish(note, after, StatusCode::OK, Some(version)).await
}
