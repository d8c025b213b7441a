//! Zero data retention: facts decide, unknown ones count as retaining.

use tidegate_policy::{CallFacts, Filter};
use tidegate_types::resource::*;
use tidegate_types::usage::RefusalCause;

use crate::fixtures::*;

const TIERS: [ZdrTier; 4] =
    [ZdrTier::None, ZdrTier::NoTraining, ZdrTier::ZdrWithSafetyRetention, ZdrTier::Zdr];

fn served(facts: Option<&DataHandling>, demanded: ZdrTier) -> bool {
    let mut feed = Feed::standard();
    for (id, provider) in [(1, "openai"), (2, "azure")] {
        let mut source = offering(SYSTEM, id, "openai/gpt-5", provider, 1);
        source.data_handling = facts.cloned();
        feed.send_one(Resource::Offering(source));
    }
    let call = CallFacts { zdr_asked: demanded, ..CallFacts::of_model("gpt-5") };
    match feed.plan(&call) {
        Ok(_) => true,
        Err(refusal) => {
            assert_eq!(refusal.cause(), RefusalCause::NoProvider);
            assert!(matches!(refusal.removed[0].filter, Filter::Zdr { .. }));
            false
        }
    }
}

#[test]
fn only_known_facts_meet_a_demand() {
    let cases = [
        (handling(Retention::None, Training::Never), 3),
        (handling(Retention::SafetyOnly, Training::Never), 2),
        (handling(Retention::Retains, Training::Never), 1),
        (handling(Retention::None, Training::May), 0),
    ];
    for (facts, most) in cases {
        for (rank, tier) in TIERS.into_iter().enumerate() {
            assert_eq!(served(Some(&facts), tier), rank <= most, "{facts:?} for {tier:?}");
        }
    }
    assert!(served(None, ZdrTier::None));
    assert!(!served(None, ZdrTier::NoTraining));
}

#[test]
fn expired_facts_are_unknown() {
    let expired = DataHandling { expires_at: now(), ..handling(Retention::None, Training::Never) };
    assert!(!served(Some(&expired), ZdrTier::NoTraining));
    let valid = DataHandling { expires_at: now().plus_millis(1), ..expired };
    assert!(served(Some(&valid), ZdrTier::Zdr));
}

#[test]
fn a_request_only_tightens() {
    let mut feed = Feed::standard();
    feed.send_one(Resource::Policy(Policy {
        privacy: Privacy::of_tier(ZdrTier::ZdrWithSafetyRetention),
        ..policy(1, PolicyScope::Organization)
    }));
    let plan_zdr = |asked| {
        let facts = CallFacts { zdr_asked: asked, ..CallFacts::of_model("gpt-5") };
        feed.plan(&facts).unwrap().policy.zdr
    };
    assert_eq!(plan_zdr(ZdrTier::None), ZdrTier::ZdrWithSafetyRetention);
    assert_eq!(plan_zdr(ZdrTier::Zdr), ZdrTier::Zdr);
}

#[test]
fn an_own_credential_has_no_part_in_the_operators_terms() {
    let mut feed = Feed::standard();
    feed.send_one(Resource::Credential(credential(ORG, 21, "openai", CredentialScope::Organization)));
    let facts = CallFacts { zdr_asked: ZdrTier::Zdr, ..CallFacts::of_model("gpt-5") };
    let plan = feed.plan(&facts).unwrap();
    assert_eq!(summary(&plan), ["openai openai/gpt-5 cred1", "azure openai/gpt-5 cred2"]);
    assert_eq!(plan.removed[0].filter, Filter::Unattested);
    let facts = CallFacts { zdr_asked: ZdrTier::NoTraining, ..CallFacts::of_model("gpt-5") };
    assert_eq!(summary(&feed.plan(&facts).unwrap())[0], "openai openai/gpt-5 cred21");
}

#[test]
fn fallbacks_pass_the_same_filter() {
    let mut feed = Feed::standard();
    for (id, provider) in [(3, "anthropic"), (4, "bedrock")] {
        let mut source = offering(SYSTEM, id, "anthropic/claude-sonnet-4.5", provider, 1);
        source.data_handling = None;
        feed.send_one(Resource::Offering(source));
    }
    let fallbacks = vec![target("anthropic/claude-sonnet-4.5", 1)];
    feed.send_one(Resource::Route(route(1, "mix", vec![target("openai/gpt-5", 1)], fallbacks)));
    let facts = CallFacts { zdr_asked: ZdrTier::Zdr, ..CallFacts::of_model("mix") };
    let plan = feed.plan(&facts).unwrap();
    assert!(plan.candidates.iter().all(|candidate| candidate.model.name.creator() == "openai"));
    assert_eq!(plan.removed.len(), 2);
}
