//! Callers that bring a signed token (OIDC, Kubernetes service account) in place of a virtual key.
//!
//! The caller says whose it is: by the audience that its token was made for, which ends with the organization's
//! id, or by a header. For one that says nothing, the operator may have bound its issuer to an organization. That
//! organization's rules are asked and nobody else's, in memory, with the issuers' keys that the control plane
//! pushed. Exactly one rule must fit; a key that is not known is asked for beside the request's way. Who did not
//! prove to have a signature of an issuer learns nothing of the rules, nor of what is bound.

use http::{HeaderMap, HeaderName};
use tidegate_policy::View;
use tidegate_secrets::caller_token::{self, CallerToken, TokenFault};
use tidegate_types::resource::{TrustRule, bound_organization};
use tidegate_types::usage::RefusalCause;
use tidegate_types::{OrganizationId, Timestamp};

use crate::gateway::Gateway;
use crate::refusal::{Refusal, Refused};

/// The tag that tells principals apart in usage and budgets.
pub(crate) const PRINCIPAL: &str = "principal";

/// Most rules whose keys a token is tried with.
const MOST_TRIED: usize = 8;

/// The header that names the organization for tokens whose audience cannot.
pub(crate) const ORGANIZATION: HeaderName = HeaderName::from_static("x-tidegate-organization");

/// The key as which the bearer acts, and whose token it is.
pub(crate) fn bearer(
    gateway: &Gateway,
    text: &str,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<(View, Box<str>), Refused> {
    let token = caller_token::read(text).map_err(refused)?;
    let issuer = token.issuer().map_err(refused)?;
    let named = named(headers)?;
    let audiences = token.audiences().map_err(refused)?;
    let (meant, stranger) = meant(gateway, issuer, &audiences, named);
    let (mut found, mut fault, mut tried) = (None, None, 0);
    for (organization, audience) in meant {
        for rule in gateway.config.trusting(organization, issuer, audience) {
            if !token.fits(&rule) {
                continue;
            }
            tried += 1;
            if tried > MOST_TRIED {
                return Err(stranger());
            }
            match verify(gateway, &token, &rule, now) {
                Ok(principal) if found.is_none() => found = Some((rule, principal)),
                // The control plane refuses such rules where claims tell it; lists of values may not.
                Ok(_) => return Err(ambiguous()),
                Err(other) => fault = Some(other),
            }
        }
    }
    if tried == 0 {
        token.matches_nobody();
    }
    let fault = fault.filter(|fault: &TokenFault| !fault.is_of_stranger());
    let (rule, principal) = found.ok_or_else(|| fault.map_or_else(stranger, refused))?;
    let view = gateway.config.view(rule.key_id).ok_or_else(unfit)?;
    // A rule speaks for keys of its own organization only, whatever it names.
    if view.organization_id() != rule.organization_id { Err(unfit()) } else { Ok((view, principal.into())) }
}

/// What a bearer is told whose signature is not proven.
type Stranger = fn() -> Refused;

/// Whose rules are asked, and for which audience. The caller's own word goes first: an issuer that is bound to one
/// organization changes nothing for the callers of another. Who says nothing is told the same whether or not the
/// issuer is bound.
fn meant<'a>(
    gateway: &Gateway,
    issuer: &str,
    audiences: &[&'a str],
    named: Option<OrganizationId>,
) -> (Vec<(OrganizationId, &'a str)>, Stranger) {
    let said = audiences.iter().filter_map(|audience| {
        let organization = named.or_else(|| bound_organization(audience))?;
        Some((organization, *audience))
    });
    let said = said.collect::<Vec<_>>();
    if !said.is_empty() {
        return (said, unfit);
    }
    let bound = gateway.config.bound_to(issuer, audiences);
    let bound =
        bound.into_iter().flat_map(|organization| audiences.iter().map(move |one| (organization, *one)));
    (bound.collect(), unbound_token)
}

/// The organization that a header names.
fn named(headers: &HeaderMap) -> Result<Option<OrganizationId>, Refused> {
    let mut values = headers.get_all(ORGANIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    match (id, values.next()) {
        (Some(id), None) => Ok(Some(id)),
        _ => Err(unbound("`x-tidegate-organization` is no organization's id")),
    }
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
    if fault.is_of_stranger() {
        return unfit();
    }
    let code = match fault {
        TokenFault::Expired => "token_expired",
        _ => "invalid_token",
    };
    Refusal::new(RefusalCause::Unauthenticated, fault.to_string()).code(code)
}

fn unfit() -> Refused {
    let message = "no trust rule of the organization fits this token's issuer, audience, claims and signature; \
                   a key that its issuer has just begun to sign with is known here in some seconds";
    Refusal::new(RefusalCause::Unauthenticated, message).code("token_not_trusted")
}

fn unbound_token() -> Refused {
    unbound(
        "neither this token's audience nor its issuer names an organization of this gateway that trusts it",
    )
}

fn unbound(what: &str) -> Refused {
    let message = format!(
        "{what}; have tokens made for an audience that ends with the organization's id (`org_…`), or send \
         that id as `x-tidegate-organization`"
    );
    Refusal::new(RefusalCause::Unauthenticated, message).code("token_unbound")
}

fn ambiguous() -> Refused {
    let message = "several trust rules fit this token; nobody can say as whom its bearer acts";
    Refusal::new(RefusalCause::Unauthenticated, message).code("token_ambiguous")
}
