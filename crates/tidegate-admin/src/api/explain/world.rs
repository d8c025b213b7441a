//! The configuration as a node would hold it, of one organization only.

use std::collections::BTreeMap;

use tidegate_policy::{Config, Incoming, Part, View};
use tidegate_types::resource::{
    AllowList, KeyLimits, KeySecret, KeyStatus, Resource, Team, Versioned, VirtualKey,
};
use tidegate_types::{KeyId, OrganizationId, Revision, Shard, TeamId};

use crate::state::App;

/// What a request with this key would see.
pub(super) fn view(held: Vec<Resource>, key: KeyId) -> Option<View> {
    let config = Config::new("default");
    let mut shards: BTreeMap<usize, (Shard, Vec<Incoming>)> = BTreeMap::new();
    for resource in held {
        let key = resource.key();
        let shard = Shard::of(key.organization_id);
        let (_, changes) = shards.entry(shard.index()).or_insert_with(|| (shard, Vec::new()));
        let revision = Revision { shard, n: changes.len() as u64 + 1 };
        let version = Versioned { key, revision, tightens: false, resource: Some(resource) };
        changes.push(Incoming::from(version));
    }
    for (shard, changes) in shards.into_values() {
        config.apply(shard, changes, Part::Delta);
    }
    config.view(key)
}

/// A key of a team that exist nowhere: nothing but the organization's own rules holds for them.
pub(super) fn anybody(organization_id: OrganizationId, app: &App) -> (KeyId, Vec<Resource>) {
    let (id, team_id): (KeyId, TeamId) = (app.new_id(), app.new_id());
    let limits = KeyLimits::default();
    let team = Team { organization_id, id: team_id, name: "anybody".to_owned(), paused: false, limits };
    let key = VirtualKey {
        organization_id,
        id,
        team_id,
        name: "anybody".to_owned(),
        status: KeyStatus::Active,
        // No text has this hash; a key without any is not one.
        secrets: vec![KeySecret { pepper_version: 0, hmac: [0; 32], until: None }],
        expires_at: None,
        allow: AllowList::default(),
        limits,
        tags: BTreeMap::new(),
    };
    (id, vec![Resource::Team(team), Resource::Key(key)])
}
