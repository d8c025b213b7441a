//! Unknown names, missing fields and contradictions are refused by name, never guessed.

use tidegate_proto::{
    ConvertError, Problem, config, digest_from_wire, positions_from_wire, positions_to_wire, usage,
    versioned_from_wire,
};
use tidegate_types::resource::{Area, Policy, PolicyScope, PoolState, Privacy, Resource, Team, Versioned};
use tidegate_types::revision::{Position, Revision, Shard};
use tidegate_types::usage::BillingEvent;
use tidegate_types::{OrganizationId, PolicyId, TeamId};

fn error(message: &'static str, field: &'static str, problem: Problem) -> ConvertError {
    ConvertError { message, field, problem }
}

fn policy() -> config::Policy {
    config::Policy::from(&Policy {
        organization_id: OrganizationId::from_u128(1),
        id: PolicyId::from_u128(2),
        name: "strict".into(),
        scope: PolicyScope::Team { team_id: TeamId::from_u128(3) },
        allow_models: vec![],
        allow_providers: vec![],
        privacy: Default::default(),
        default_max_output_tokens: None,
        ceiling_price: None,
        allow_system_credentials: None,
        allow_request_credentials: None,
        routes_may_shadow: None,
        max_attempts: Some(3),
        cache: Default::default(),
        prompt_cache_markers: None,
    })
}

#[test]
fn an_unknown_restriction_is_an_error_and_never_a_default() {
    let unknown = config::Policy { zdr: "zdr_on_tuesdays".into(), ..policy() };
    assert_eq!(Policy::try_from(unknown), Err(error("Policy", "zdr", Problem::UnknownName)));
    let empty = config::Policy { zdr: String::new(), ..policy() };
    assert_eq!(Policy::try_from(empty), Err(error("Policy", "zdr", Problem::UnknownName)));
}

#[test]
fn a_policy_that_says_where_demands_nodes_that_know_of_places() {
    let plain = Policy::try_from(policy()).unwrap();
    let requires = |privacy: Privacy| {
        let resource = Resource::Policy(Policy { privacy, ..plain.clone() });
        let message = config::Resource::from(&resource);
        assert_eq!(Resource::try_from(message.clone()), Ok(resource), "this version knows of them");
        message.requires
    };
    assert!(requires(Privacy::default()).is_empty());
    assert_eq!(requires(Privacy { inference_regions: Area::Eu.into(), ..Privacy::default() }), ["residency"]);
    assert_eq!(requires(Privacy { headquarters: vec!["DE".into()], ..Privacy::default() }), ["residency"]);
    let unknown = config::Policy { inference_regions: vec!["mars".into()], ..policy() };
    assert_eq!(Policy::try_from(unknown), Err(error("Policy", "inference_regions", Problem::UnknownName)));
}

#[test]
fn a_scope_that_contradicts_itself_is_refused() {
    let widened = config::Policy { scope: "organization".into(), ..policy() };
    assert_eq!(Policy::try_from(widened), Err(error("Policy", "scope", Problem::Contradiction)));
    let many = config::Policy { max_attempts: Some(256), ..policy() };
    assert_eq!(Policy::try_from(many), Err(error("Policy", "max_attempts", Problem::OutOfRange)));
}

#[test]
fn a_resource_that_demands_an_unknown_feature_is_refused() {
    let pool = Resource::Pool(PoolState { name: "default".into(), live_nodes: 1 });
    let message = config::Resource { requires: vec!["time-travel".into()], ..config::Resource::from(&pool) };
    assert_eq!(Resource::try_from(message), Err(error("Resource", "requires", Problem::UnsupportedFeature)));
    let of_another_age = config::Resource { requires: vec![], resource: None };
    assert_eq!(Resource::try_from(of_another_age), Err(error("Resource", "resource", Problem::Missing)));
}

#[test]
fn a_resource_under_a_foreign_key_or_shard_is_refused_with_its_key() {
    let organization_id = OrganizationId::from_u128(7);
    let team = Team {
        organization_id,
        id: TeamId::from_u128(8),
        name: "t".into(),
        paused: false,
        limits: Default::default(),
    };
    let team = Resource::Team(team);
    let shard = Shard::of(organization_id);
    let version = Versioned {
        key: team.key(),
        revision: Revision { shard, n: 1 },
        tightens: false,
        resource: Some(team),
    };
    let honest = config::VersionedResource::from(&version);
    assert!(versioned_from_wire(shard, honest.clone()).is_ok());

    let contradiction = error("VersionedResource", "key", Problem::Contradiction);
    let (key, found) = versioned_from_wire(Shard::SYSTEM, honest.clone()).unwrap_err();
    assert_eq!((key, found), (Some(version.key.clone()), contradiction.clone()));

    let mut renamed = honest.clone();
    renamed.key.as_mut().unwrap().id = TeamId::from_u128(9).to_string();
    assert_eq!(versioned_from_wire(shard, renamed).unwrap_err().1, contradiction);

    let nameless = config::VersionedResource { key: None, ..honest };
    assert_eq!(versioned_from_wire(shard, nameless).unwrap_err().0, None);
}

#[test]
fn an_event_with_an_unspecified_kind_or_short_id_is_refused() {
    let nothing = usage::BillingEvent::default();
    let short = error("BillingEvent", "call_id", Problem::Length { expected: 16, found: 0 });
    assert_eq!(BillingEvent::try_from(&nothing), Err(short));
    let unspecified = usage::BillingEvent { call_id: vec![0; 16], ..nothing };
    assert_eq!(
        BillingEvent::try_from(&unspecified),
        Err(error("BillingEvent", "kind", Problem::UnknownName))
    );
    let invented = usage::BillingEvent { kind: 77, ..unspecified };
    assert_eq!(BillingEvent::try_from(&invented), Err(error("BillingEvent", "kind", Problem::UnknownName)));
}

#[test]
fn positions_are_sparse_and_name_each_shard_once() {
    let mut position = Position::default();
    position.advance(Revision { shard: Shard::SYSTEM, n: 9 });
    position.advance(Revision { shard: Shard::new(3).unwrap(), n: 4 });
    let sparse = positions_to_wire(&position);
    assert_eq!(sparse.len(), 2);
    assert_eq!(positions_from_wire(&sparse).unwrap(), position);
    let twice = [sparse[0], sparse[0]];
    assert_eq!(positions_from_wire(&twice).unwrap_err().problem, Problem::Contradiction);
    let beyond = [config::ShardPosition { shard: 65, n: 1 }];
    assert_eq!(positions_from_wire(&beyond).unwrap_err().problem, Problem::OutOfRange);
    assert!(digest_from_wire(&[0; 15]).is_err() && digest_from_wire(&[0; 16]).is_ok());
}
