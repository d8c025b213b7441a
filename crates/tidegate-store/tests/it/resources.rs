//! Every kind of resource: added, read, listed, changed, deleted.

use tidegate_store::{
    StoreError, budgets, credentials, keys, labels, models, offerings, policies, providers, routes, teams,
};
use tidegate_store::{SystemActor, wrapped};
use tidegate_types::resource::{KeyStatus, ResourceKind};
use tidegate_types::window::{True, WindowSpec};
use tidegate_types::{LabelHash, OrganizationId};

use crate::fixture::{Fixture, NOW, commit, new_id};
use crate::samples::{budget, credential, insert_all, key, model, offering, policy, price, provider, route};

#[tokio::test]
async fn everything_that_is_written_is_read_back_whole() {
    let f = Fixture::new().await;
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    let added = insert_all(&mut change, &f.acme).await;
    let revision = commit(change).await.revision.unwrap();
    assert_eq!(revision.n, 10, "organization, team and eight more");
    let own = f.acme.organization.id;
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    assert_eq!(keys::get(&mut tx, added.id).await.unwrap().value, added);
    assert_eq!(keys::list_of_team(&mut tx, f.acme.team.id, None, 9).await.unwrap().data.len(), 1);
    assert_eq!(keys::list_of_team(&mut tx, new_id(), None, 9).await.unwrap().data.len(), 0);
    assert_eq!(providers::list(&mut tx, own, None, 9).await.unwrap().data.len(), 1);
    assert_eq!(models::list(&mut tx, own, None, 9).await.unwrap().data.len(), 1);
    assert_eq!(offerings::list(&mut tx, own, None, 9).await.unwrap().data.len(), 1);
    assert_eq!(routes::list(&mut tx, None, 9).await.unwrap().data.len(), 1);
    assert_eq!(policies::list(&mut tx, None, 9).await.unwrap().data.len(), 1);
    assert_eq!(budgets::list(&mut tx, None, 9).await.unwrap().data.len(), 1);
    let stored = credentials::list(&mut tx, None, 9).await.unwrap().data;
    assert_eq!(credentials::envelope(&mut tx, stored[0].value.id).await.unwrap().ciphertext, vec![2; 40]);
    let hash = LabelHash::from_bytes([3; 16]);
    assert_eq!(labels::texts(&mut tx, &[hash]).await.unwrap()[&hash], "ada");
    assert_eq!(wrapped::data_keys(&mut tx).await.unwrap().len(), 1);
    assert_eq!(tidegate_store::resources(&mut tx, &ResourceKind::ALL).await.unwrap().len(), 10);
}

#[tokio::test]
async fn everything_can_be_changed_and_what_may_be_deleted_is_gone() {
    let f = Fixture::new().await;
    let (own, team) = (f.acme.organization.id, f.acme.team.id);
    let mut c = f.store.change(&f.acme.actor, NOW).await.unwrap();
    let (mut k, (mut cred, mut envelope)) = (key(own, team, "a"), credential(own));
    let (mut p, mut m, mut o) = (provider(own), model(own), offering(own));
    let (mut r, mut pol, mut b) = (route(own), policy(own, team), budget(own, team));
    keys::insert(&mut c, &k).await.unwrap();
    credentials::insert(&mut c, &cred, &envelope).await.unwrap();
    providers::insert(&mut c, &p).await.unwrap();
    models::insert(&mut c, &m).await.unwrap();
    offerings::insert(&mut c, &o).await.unwrap();
    routes::insert(&mut c, &r).await.unwrap();
    policies::insert(&mut c, &pol).await.unwrap();
    budgets::insert(&mut c, &b).await.unwrap();
    commit(c).await;

    let mut c = f.store.change(&f.acme.actor, NOW).await.unwrap();
    (k.status, k.name) = (KeyStatus::Revoked, "b".to_owned());
    keys::update(&mut c, &k, Some(1), true).await.unwrap();
    envelope.secret_version = 2;
    cred.enabled = false;
    credentials::update(&mut c, &cred, Some(&envelope), Some(1), true).await.unwrap();
    p.enabled = false;
    providers::update(&mut c, &p, Some(1), true).await.unwrap();
    m.aliases.push("gpt5".to_owned());
    models::update(&mut c, &m, Some(1), false).await.unwrap();
    o.prices.push(price(2000));
    offerings::update(&mut c, &o, Some(1), false).await.unwrap();
    r.name = "slow".to_owned();
    routes::update(&mut c, &r, Some(1), false).await.unwrap();
    pol.allow_models.clear();
    policies::update(&mut c, &pol, Some(1), false).await.unwrap();
    b.window = WindowSpec::Lifetime { lifetime: True };
    budgets::update(&mut c, &b, Some(1), true).await.unwrap();
    commit(c).await;

    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    assert_eq!((keys::get(&mut tx, k.id).await.unwrap().value, 2), (k, 2));
    assert_eq!(credentials::get(&mut tx, cred.id).await.unwrap().value, cred);
    assert_eq!(credentials::envelope(&mut tx, cred.id).await.unwrap().secret_version, 2);
    assert_eq!(offerings::get(&mut tx, own, o.id).await.unwrap().value, o);
    assert_eq!(budgets::get(&mut tx, b.id).await.unwrap().value, b);
    let ids: Vec<_> = o.prices.iter().map(|price| price.id).chain([new_id()]).collect();
    assert_eq!(offerings::prices(&f.store, &ids).await.unwrap().len(), 2);

    let mut c = f.store.change(&f.acme.actor, NOW).await.unwrap();
    credentials::delete(&mut c, cred.id, None).await.unwrap();
    providers::delete(&mut c, p.id, None).await.unwrap();
    models::delete(&mut c, m.id, None).await.unwrap();
    offerings::delete(&mut c, o.id, None).await.unwrap();
    routes::delete(&mut c, r.id, None).await.unwrap();
    policies::delete(&mut c, pol.id, None).await.unwrap();
    budgets::delete(&mut c, b.id, Some(2)).await.unwrap();
    commit(c).await;
    assert_eq!(offerings::prices(&f.store, &ids).await.unwrap().len(), 2, "events name prices for ever");
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    let left = tidegate_store::resources(&mut tx, &ResourceKind::ALL).await.unwrap();
    assert_eq!(left.len(), 3, "organization, team, revoked key: {left:?}");
}

#[tokio::test]
async fn prices_are_written_once_and_for_ever() {
    let f = Fixture::new().await;
    let mut offered = offering(f.acme.organization.id);
    let mut c = f.store.change(&f.acme.actor, NOW).await.unwrap();
    offerings::insert(&mut c, &offered).await.unwrap();
    commit(c).await;
    let before = offered.prices.clone();
    for forged in [vec![], {
        let mut other = before.clone();
        other[0].source = "elsewhere".to_owned();
        other
    }] {
        offered.prices = forged;
        let mut c = f.store.change(&f.acme.actor, NOW).await.unwrap();
        let refused = offerings::update(&mut c, &offered, None, false).await;
        assert!(matches!(refused, Err(StoreError::Immutable("price"))), "{refused:?}");
    }
}

#[tokio::test]
async fn the_shared_catalogue_is_read_by_every_tenant_and_written_by_none() {
    let f = Fixture::new().await;
    let system = SystemActor::new("test").acting_for(OrganizationId::SYSTEM);
    let shared = provider(OrganizationId::SYSTEM);
    let mut c = f.store.change(&system, NOW).await.unwrap();
    providers::insert(&mut c, &shared).await.unwrap();
    let (secret, envelope) = credential(OrganizationId::SYSTEM);
    credentials::insert(&mut c, &secret, &envelope).await.unwrap();
    commit(c).await;
    let mut tx = f.store.begin(&f.acme.actor).await.unwrap();
    assert_eq!(providers::get(&mut tx, OrganizationId::SYSTEM, shared.id).await.unwrap().value, shared);
    let kinds = tidegate_store::resources(&mut tx, &ResourceKind::ALL).await.unwrap();
    assert!(kinds.iter().all(|resource| resource.key().kind != ResourceKind::Credential));
    drop(tx);
    let mut c = f.store.change(&f.acme.actor, NOW).await.unwrap();
    assert!(matches!(providers::update(&mut c, &shared, None, false).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn references_are_kept_whole() {
    let f = Fixture::new().await;
    let own = f.acme.organization.id;
    let mut c = f.store.change(&f.acme.actor, NOW).await.unwrap();
    let foreign = keys::insert(&mut c, &key(own, f.umbrella.team.id, "x")).await;
    assert!(
        matches!(&foreign, Err(StoreError::Dangling(name)) if name == "virtual_keys_team"),
        "{foreign:?}"
    );
    drop(c);
    let mut c = f.store.change(&f.acme.actor, NOW).await.unwrap();
    keys::insert(&mut c, &key(own, f.acme.team.id, "x")).await.unwrap();
    commit(c).await;
    let mut c = f.store.change(&f.acme.actor, NOW).await.unwrap();
    let used = teams::delete(&mut c, f.acme.team.id, None).await;
    assert!(matches!(&used, Err(StoreError::InUse(name)) if name == "virtual_keys_team"), "{used:?}");
}
