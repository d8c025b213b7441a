//! Any billing event and call record.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use tidegate_types::resource::{Area, Areas, Location, Operation, ZdrTier};
use tidegate_types::revision::{Revision, Shard};
use tidegate_types::usage::*;
use tidegate_types::{NanoUsd, TraceParent};

use crate::resource_strategies::{id, label, time};

fn usage() -> impl Strategy<Value = Usage> {
    any::<[u64; 16]>().prop_map(Usage::from_counts)
}

fn revision() -> impl Strategy<Value = Revision> {
    (0u8..65, any::<u64>()).prop_map(|(shard, n)| Revision { shard: Shard::new(shard).unwrap(), n })
}

fn credential_type() -> impl Strategy<Value = CredentialType> {
    prop_oneof![Just(CredentialType::System), Just(CredentialType::Byok), Just(CredentialType::Client)]
}

pub(crate) fn event() -> impl Strategy<Value = BillingEvent> {
    let kind = prop_oneof![Just(EventKind::Intent), Just(EventKind::Final), Just(EventKind::Correction)];
    let outcome = prop_oneof![
        Just(Outcome::Open),
        Just(Outcome::Completed),
        Just(Outcome::Refused),
        Just(Outcome::NotSent),
        Just(Outcome::Interrupted),
        Just(Outcome::Unresolved),
    ];
    let method = prop_oneof![
        Just(MeterMethod::Reported),
        Just(MeterMethod::Counted),
        Just(MeterMethod::Held),
        Just(MeterMethod::Nothing),
    ];
    let held =
        (id(), time(), time(), any::<i64>()).prop_map(|(budget_id, window_start, window_end, amount)| {
            HeldBudget { budget_id, window_start, window_end, amount: NanoUsd::new(amount) }
        });
    let who = (id(), (any::<u16>(), any::<u16>()), kind, time(), id(), id(), id(), id(), id());
    let how = (id(), of(id()), credential_type(), of(id()), of(any::<i64>()), any::<u64>(), vec(held, 0..3));
    let end = (
        time(),
        outcome,
        method,
        usage(),
        any::<i64>(),
        revision(),
        of(label()),
        vec(label(), 0..3),
        (of(any::<u8>()), any::<bool>()),
    );
    (who, how, end).prop_map(|(who, how, end)| BillingEvent {
        call_id: who.0,
        attempt: who.1.0,
        step: who.1.1,
        kind: who.2,
        at: who.3,
        organization_id: who.4,
        team_id: who.5,
        key_id: who.6,
        model_id: who.7,
        provider_id: who.8,
        offering_id: how.0,
        credential_id: how.1,
        credential_type: how.2,
        price_id: how.3,
        ceiling_pico: how.4,
        epoch: how.5,
        holds: how.6,
        deadline: end.0,
        outcome: end.1,
        method: end.2,
        usage: end.3,
        cost: NanoUsd::new(end.4),
        revision: end.5,
        end_user: end.6,
        tags: end.7,
        cached_percent: end.8.0,
        in_advance: end.8.1,
    })
}

fn refusal_cause() -> impl Strategy<Value = RefusalCause> {
    proptest::sample::select(vec![
        RefusalCause::Unauthenticated,
        RefusalCause::NotAllowed,
        RefusalCause::UnknownModel,
        RefusalCause::NotPriced,
        RefusalCause::BadRequest,
        RefusalCause::NoProvider,
        RefusalCause::Budget,
        RefusalCause::RateLimit,
        RefusalCause::TooLarge,
        RefusalCause::Unavailable,
        RefusalCause::Timeout,
        RefusalCause::UpstreamFailed,
    ])
}

pub(crate) fn call() -> impl Strategy<Value = CallRecord> {
    let outcome = prop_oneof![
        Just(CallOutcome::Answered),
        Just(CallOutcome::Disconnected),
        Just(CallOutcome::Broken),
        Just(CallOutcome::UpstreamError),
        (refusal_cause(), of(id())).prop_map(|(cause, budget_id)| CallOutcome::Refused { cause, budget_id }),
    ];
    let attempt = attempt();
    let surface = prop_oneof![Just(Surface::OpenaiChat), Just(Surface::AnthropicMessages)];
    let who = (id(), time(), id(), id(), id(), surface, any::<bool>(), of(id()), of(id()));
    let how = (any::<u16>(), outcome, vec(attempt, 0..3), usage(), any::<i64>());
    let times = (of(any::<u32>()), any::<u32>(), any::<u32>());
    let labels = (
        of(label()),
        of(label()),
        of(label()),
        vec(label(), 0..3),
        (revision(), zdr_tier(), of(plan()), of(trace()), of(id()), of(areas())),
    );
    (who, how, times, labels).prop_map(|(who, how, times, labels)| CallRecord {
        call_id: who.0,
        at: who.1,
        organization_id: who.2,
        team_id: who.3,
        key_id: who.4,
        surface: who.5,
        stream: who.6,
        model_id: who.7,
        route_id: who.8,
        status: how.0,
        outcome: how.1,
        attempts: how.2,
        usage: how.3,
        cost: NanoUsd::new(how.4),
        ttft_ms: times.0,
        duration_ms: times.1,
        overhead_us: times.2,
        end_user: labels.0,
        session: labels.1,
        app: labels.2,
        tags: labels.3,
        revision: labels.4.0,
        zdr: labels.4.1,
        plan: labels.4.2.map(Box::new),
        trace: labels.4.3,
        cached_from: labels.4.4,
        inference_regions: labels.4.5,
    })
}

fn trace() -> impl Strategy<Value = TraceParent> {
    (1..=u128::MAX, 1..=u64::MAX, any::<bool>()).prop_map(|(trace, span, sampled)| TraceParent {
        trace_id: trace.to_be_bytes(),
        span_id: span.to_be_bytes(),
        sampled,
    })
}

fn attempt_end() -> impl Strategy<Value = Outcome> {
    let ends = [Outcome::Completed, Outcome::Refused, Outcome::NotSent, Outcome::Unresolved];
    proptest::sample::select(ends.to_vec())
}

fn plan() -> impl Strategy<Value = PlanRecord> {
    let role = prop_oneof![
        Just(PlannedRole::Named),
        (any::<u32>(), any::<u64>()).prop_map(|(weight, of)| PlannedRole::Drawn { weight, of }),
        Just(PlannedRole::Undrawn),
        any::<u32>().prop_map(|number| PlannedRole::Fallback { number }),
        any::<u32>().prop_map(|number| PlannedRole::Wished { number }),
    ];
    let standings = [Standing::Fine, Standing::Degraded, Standing::Down, Standing::Cooling];
    let standing = proptest::sample::select(standings.to_vec());
    let share = (any::<u32>(), any::<u64>()).prop_map(|(weight, of)| CallShare { weight, of });
    let standing = (standing, any::<bool>(), of(share), of(any::<u8>()));
    let candidate = (id(), of(id()), credential_type(), role, of(any::<u16>()), standing).prop_map(
        |(
            offering_id,
            credential_id,
            credential_type,
            role,
            place,
            (standing, ejected, share, quota_tenths),
        )| PlannedCandidate {
            offering_id,
            credential_id,
            credential_type,
            role,
            place,
            standing,
            ejected,
            share,
            quota_tenths,
        },
    );
    let filter = proptest::sample::select(FilterName::ALL.to_vec());
    let removed =
        (of(id()), of(id()), of(id()), filter).prop_map(|(offering_id, model_id, credential_id, filter)| {
            RemovedCandidate { offering_id, model_id, credential_id, filter }
        });
    (vec(candidate, 0..3), vec(removed, 0..3), any::<u32>(), any::<u32>()).prop_map(
        |(candidates, removed, more_candidates, more_removed)| PlanRecord {
            candidates,
            removed,
            more_candidates,
            more_removed,
        },
    )
}

fn zdr_tier() -> impl Strategy<Value = ZdrTier> {
    let tiers = [ZdrTier::None, ZdrTier::NoTraining, ZdrTier::ZdrWithSafetyRetention, ZdrTier::Zdr];
    proptest::sample::select(tiers.to_vec())
}

pub(crate) fn areas() -> impl Strategy<Value = Areas> {
    vec(proptest::sample::select(Area::ALL.to_vec()), 0..3).prop_map(|areas| areas.into_iter().collect())
}

pub(crate) fn location() -> impl Strategy<Value = Location> {
    let operation = proptest::sample::select(vec![Operation::Language, Operation::Embedding]);
    let place = (of(operation), of("[ -~]{0,20}"), areas(), any::<bool>());
    (place, "[ -~]{0,20}", time(), time()).prop_map(
        |((operation, region, areas, regional), source, read_at, expires_at)| Location {
            operation,
            region,
            areas,
            regional,
            source,
            read_at,
            expires_at,
        },
    )
}

fn attempt() -> impl Strategy<Value = AttemptRecord> {
    let evidence = (of("[a-z]{0,20}"), zdr_tier(), areas(), "[ -~]{0,200}", time(), time()).prop_map(
        |(feature, tier, areas, source, read_at, expires_at)| Evidence {
            feature,
            tier,
            areas,
            source,
            read_at,
            expires_at,
        },
    );
    let times = (any::<u32>(), any::<u32>(), of(attempt_end()));
    (id(), id(), of(id()), credential_type(), any::<u16>(), times, vec(evidence, 0..3)).prop_map(
        |(provider_id, offering_id, credential_id, credential_type, status, times, evidence)| {
            let (started_ms, duration_ms, outcome) = times;
            AttemptRecord {
                provider_id,
                offering_id,
                credential_id,
                credential_type,
                status,
                started_ms,
                duration_ms,
                outcome,
                evidence,
            }
        },
    )
}
