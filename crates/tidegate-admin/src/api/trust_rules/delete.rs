//! `DELETE /trust-rules/{id}`

use axum::extract::State;
use tidegate_store::{keys, trust_rules};
use tidegate_types::TrustRuleId;
use tidegate_types::resource::{KeyStatus, VirtualKey};

use super::view;
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::state::App;
use crate::write::{Done, Gone, Write};

/// Removes a trust rule: its tokens are refused. A key without a text that no other rule names is revoked.
#[utoipa::path(delete, path = "/trust-rules/{id}", tag = "trust-rules", operation_id = "trust_rules_delete",
    params(("id" = String, Path, description = "Its id")),
    responses((status = NO_CONTENT, description = "Removed"), (status = OK, description = "Removed, with `wait=fleet`")))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TrustRuleId>,
    if_match: IfMatch,
) -> Done<Gone> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = trust_rules::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    let shown = view(&mut write, &stored).await?;
    trust_rules::delete(&mut write, id, Some(stored.version)).await?;
    let key = keys::get(&mut write, stored.value.key_id).await?;
    let unused = key.value.secrets.is_empty() && key.value.status != KeyStatus::Revoked;
    if unused && !trust_rules::shares_key(&mut write, id, key.value.id).await? {
        let revoked = VirtualKey { status: KeyStatus::Revoked, ..key.value };
        keys::update(&mut write, &revoked, Some(key.version), true).await?;
    }
    write.removed("trust_rule.delete", id.to_string(), &shown).await
}
