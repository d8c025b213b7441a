//! Callers that bring a signed token (OIDC, Kubernetes service account) in place of a virtual key.
//!
//! Checked in memory against the trust rules and the issuers' keys that the control plane pushed. Exactly
//! one rule must fit; a key that is not known is asked for beside the request's way. Tokens are not kept.

use tidegate_policy::View;
use tidegate_secrets::caller_token::{self, CallerToken, TokenFault};
use tidegate_types::Timestamp;
use tidegate_types::resource::TrustRule;
use tidegate_types::usage::RefusalCause;

use crate::gateway::Gateway;
use crate::refusal::{Refusal, Refused};

/// The tag that tells principals apart in usage and budgets.
pub(crate) const PRINCIPAL: &str = "principal";

/// Most rules whose keys a token is tried with.
const MOST_TRIED: usize = 8;

/// The key as which the bearer acts, and whose token it is.
pub(crate) fn bearer(gateway: &Gateway, text: &str, now: Timestamp) -> Result<(View, Box<str>), Refused> {
    let token = caller_token::read(text).map_err(refused)?;
    let mut fault = None;
    let mut found = None;
    let mut tried = 0;
    for audience in token.audiences().map_err(refused)? {
        for rule in gateway.config.trusting(token.issuer().map_err(refused)?, audience) {
            if !token.fits(&rule) {
                continue;
            }
            tried += 1;
            if tried > MOST_TRIED {
                return Err(unfit());
            }
            match verify(gateway, &token, &rule, now) {
                Ok(principal) if found.is_none() => found = Some((rule, principal)),
                // The control plane refuses such rules where claims tell it; lists of values may not.
                Ok(_) => return Err(ambiguous()),
                Err(other) => fault = Some(other),
            }
        }
    }
    let (rule, principal) = found.ok_or_else(|| fault.map_or_else(unfit, refused))?;
    let view = gateway.config.view(rule.key_id).ok_or_else(unfit)?;
    // A rule speaks for keys of its own organization only, whatever it names.
    if view.organization_id() != rule.organization_id { Err(unfit()) } else { Ok((view, principal.into())) }
}

fn verify(
    gateway: &Gateway,
    token: &CallerToken<'_>,
    rule: &TrustRule,
    now: Timestamp,
) -> Result<String, TokenFault> {
    token.verify(rule, now).inspect_err(|fault| {
        if *fault == TokenFault::UnknownKey && rule.discovered {
            gateway.questions.want_issuer_keys(rule.organization_id, rule.id);
        }
    })?;
    token.principal(rule.principal_claim.as_deref())
}

fn refused(fault: TokenFault) -> Refused {
    let code = match fault {
        TokenFault::Expired => "token_expired",
        TokenFault::UnknownKey => "token_key_unknown",
        _ => "invalid_token",
    };
    Refusal::new(RefusalCause::Unauthenticated, fault.to_string()).code(code)
}

fn unfit() -> Refused {
    let message = "no trust rule fits this token's issuer, audience and claims";
    Refusal::new(RefusalCause::Unauthenticated, message).code("token_not_trusted")
}

fn ambiguous() -> Refused {
    let message = "several trust rules fit this token; nobody can say as whom its bearer acts";
    Refusal::new(RefusalCause::Unauthenticated, message).code("token_ambiguous")
}
