//! Fields of `providerOptions.gateway`: which have a function, and which are accepted until they get one.
//! Source: the AI SDK's types and the gateway's documentation, read November 2026.

use super::Carriage::{Carried, Dropped};
use super::Effect::Gateway;
use super::{Field, field};

/// Sorted by name. `Carried`: has its function; `Dropped`: checked, accepted, without effect yet, and
/// the caller is told so where its surface has a place for warnings.
pub const FIELDS: &[Field] = &[
    field("allowFallbackFromFast", Gateway, Dropped("comes with virtual models")),
    field("byok", Gateway, Carried("used instead of stored credentials; kept nowhere")),
    field("caching", Gateway, Carried("auto: cache markers are put in")),
    field("disallowPromptTraining", Gateway, Carried("only providers that do not train")),
    field("has", Gateway, Carried("only models that can do these")),
    field("headquarters", Gateway, Carried("only providers at home there")),
    field("idempotencyKey", Gateway, Dropped("comes with batches")),
    field("inferenceRegion", Gateway, Carried("only what is known to run there")),
    field("models", Gateway, Carried("tried after the main model")),
    field("only", Gateway, Carried("only these providers")),
    field("order", Gateway, Carried("these providers first")),
    field("providerTimeouts", Gateway, Carried("of attempts over own credentials, until the first event")),
    field("quotaEntityId", Gateway, Dropped("comes with quotas by name")),
    field("serviceTier", Gateway, Dropped("comes with service tiers")),
    field("sort", Gateway, Carried("providers by cost, ttft or tps")),
    field("speed", Gateway, Dropped("comes with virtual models")),
    field("tags", Gateway, Carried("labels of the call")),
    field("user", Gateway, Carried("the call's end user")),
    field("zeroDataRetention", Gateway, Carried("only providers that keep nothing")),
];

/// The field of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Field> {
    FIELDS.binary_search_by(|field| field.name.cmp(name)).ok().and_then(|at| FIELDS.get(at))
}
