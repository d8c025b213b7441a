//! `PATCH /trust-rules/{id}`

use axum::extract::State;
use tidegate_store::trust_rules;
use tidegate_types::TrustRuleId;
use tidegate_types::resource::{Resource, TrustRule};

use super::{TrustRuleSpec, TrustRuleView, bound_issuers, name_principals, refuse_overlap, view};
use crate::actor::Caller;
use crate::body::Path;
use crate::etag::IfMatch;
use crate::patch::MergePatch;
use crate::state::App;
use crate::tightens::unchanged;
use crate::write::{Done, Write};

/// Changes a trust rule: merge patch. Its issuer is fixed; `"jwks": null` has the keys fetched from it again.
#[utoipa::path(patch, path = "/trust-rules/{id}", tag = "trust-rules", operation_id = "trust_rules_update",
    request_body = TrustRuleSpec, params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "The rule as it is now", body = TrustRuleView)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TrustRuleId>,
    if_match: IfMatch,
    patch: MergePatch,
) -> Done<TrustRuleView> {
    let mut write = Write::begin(&app, &caller).await?;
    let stored = trust_rules::get(&mut write, id).await?;
    if_match.check(stored.version)?;
    let shown = view(&mut write, &stored).await?;
    let before = &stored.value;
    let after = patch.apply(&TrustRuleSpec::from(before))?.put_into(before)?;
    unchanged("issuer", &before.issuer, &after.issuer)?;
    write.compile(&Resource::TrustRule(after.clone())).await?;
    refuse_overlap(&mut write, &after).await?;
    name_principals(&mut write, &after).await?;
    // Any change but that of the name may take something away.
    let tightens = TrustRule { name: after.name.clone(), ..before.clone() } != after;
    trust_rules::update(&mut write, &after, Some(stored.version), tightens).await?;
    let view = TrustRuleView {
        spec: (&after).into(),
        needs_organization_header: !after.is_bound(&bound_issuers(&mut write).await?),
        keys: after.keys.iter().map(Into::into).collect(),
        ..shown.clone()
    };
    write.updated("trust_rule.update", id.to_string(), &shown, view, stored.version).await
}
