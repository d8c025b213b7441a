//! What is written of an attempt before its provider is asked. Knows no journal.

use tidegate_limits::Hold;
use tidegate_policy::Candidate;
use tidegate_types::usage::{
    BillingEvent, CredentialType, EventKind, HeldBudget, MeterMethod, Outcome, Usage,
};
use tidegate_types::{LabelHash, NanoUsd, Timestamp};

use crate::account::Account;
use crate::settle::Whose;

/// The first event of an attempt.
pub(crate) fn intent(
    account: &Account,
    whose: Whose<'_>,
    candidate: &Candidate,
    attempt: u16,
    hold: Option<&Hold>,
    epoch: u64,
    deadline: Timestamp,
) -> BillingEvent {
    let view = &whose.caller.view;
    let tags: &[LabelHash] = &whose.labels.tags;
    let holds = hold.into_iter().flat_map(|hold| &hold.budgets).map(|part| HeldBudget {
        budget_id: part.budget_id,
        window_start: part.window.start,
        window_end: part.window.end,
        amount: part.amount,
    });
    BillingEvent {
        call_id: account.arrival.call_id,
        attempt,
        kind: EventKind::Intent,
        step: 0,
        at: account.arrival.at,
        organization_id: view.organization_id(),
        team_id: view.team_id(),
        key_id: view.key_id(),
        model_id: candidate.model.id,
        provider_id: candidate.provider.id,
        offering_id: candidate.offering.id,
        // One of the request's own is nobody's but that request's.
        credential_id: candidate
            .credential
            .as_ref()
            .filter(|_| candidate.credential_type != CredentialType::Client)
            .map(|credential| credential.id),
        credential_type: candidate.credential_type,
        price_id: candidate.tariff.price_id(),
        ceiling_pico: candidate.tariff.ceiling_pico(),
        epoch,
        holds: holds.collect(),
        deadline,
        outcome: Outcome::Open,
        method: MeterMethod::Nothing,
        usage: Usage::default(),
        cost: NanoUsd::ZERO,
        revision: view.revision(),
        end_user: whose.labels.end_user,
        tags: tags.to_vec(),
        cached_percent: None,
        in_advance: false,
    }
}
