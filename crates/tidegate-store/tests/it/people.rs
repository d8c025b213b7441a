//! Members, sessions, tokens, links: who becomes which actor.

use tidegate_store::actor::PersonId;
use tidegate_store::sign_in::{self, NoActor};
use tidegate_store::{PlatformRole, Role, StoreError, SystemActor, Who, members, persons, service_tokens};
use tidegate_types::{OrganizationId, Timestamp};

use crate::fixture::{Fixture, NOW, Tenant, commit, new_id};

async fn join(
    f: &Fixture,
    tenant: &Tenant,
    email: &str,
    role: Role,
) -> (persons::SignIn, tidegate_types::MemberId) {
    let id = new_id();
    let mut change = f.store.change(&tenant.actor, NOW).await.unwrap();
    let person = persons::ensure(&mut change, new_id(), email, "Ada").await.unwrap();
    persons::set_password(&mut change, person, "$argon2id$x").await.unwrap();
    members::insert(&mut change, id, person, role).await.unwrap();
    commit(change).await;
    (persons::by_email(&f.store, email).await.unwrap().unwrap(), id)
}

/// Uses a link up.
async fn redeem(f: &Fixture, hash: u8, at: Timestamp) -> Option<PersonId> {
    let system = SystemActor::new("sign-in").acting_for(OrganizationId::SYSTEM);
    let mut change = f.store.change(&system, at).await.unwrap();
    let person = persons::redeem_link(&mut change, &[hash; 32]).await.unwrap();
    commit(change).await;
    person
}

#[tokio::test]
async fn a_session_acts_where_its_person_is_a_member_and_nowhere_else() {
    let f = Fixture::new().await;
    let (ada, member) = join(&f, &f.acme, "Ada@Example.com", Role::Admin).await;
    assert_eq!(ada.password_hash.as_deref(), Some("$argon2id$x"));
    let session = new_id();
    let end = NOW.plus_millis(1000);
    assert!(sign_in::start_session(&f.store, session, ada.person_id, NOW, end).await.unwrap());
    let signed_in = sign_in::by_session(&f.store, session, NOW).await.unwrap().unwrap();
    assert_eq!(signed_in.email(), Some("ada@example.com"));
    let actor = signed_in.actor(None).unwrap();
    assert_eq!((actor.organization_id(), actor.role()), (f.acme.organization.id, Some(Role::Admin)));
    assert_eq!(actor.who(), Who::Person { person_id: ada.person_id, member_id: Some(member) });
    assert_eq!(signed_in.actor(Some(f.umbrella.organization.id)), Err(NoActor::NotMember));
    assert!(signed_in.platform_actor().is_none() && actor.entering(OrganizationId::SYSTEM).is_none());

    join(&f, &f.umbrella, "ada@example.com", Role::Viewer).await;
    // Setting the password again ended the session.
    assert!(sign_in::by_session(&f.store, session, NOW).await.unwrap().is_none());
    let session = new_id();
    sign_in::start_session(&f.store, session, ada.person_id, NOW, end).await.unwrap();
    let signed_in = sign_in::by_session(&f.store, session, NOW).await.unwrap().unwrap();
    assert_eq!(signed_in.actor(None), Err(NoActor::OrganizationNeeded));
    assert_eq!(signed_in.actor(Some(f.umbrella.organization.id)).unwrap().role(), Some(Role::Viewer));
    assert!(sign_in::by_session(&f.store, session, end).await.unwrap().is_none(), "expired");
    sign_in::end_session(&f.store, session, NOW).await.unwrap();
    assert!(sign_in::by_session(&f.store, session, NOW).await.unwrap().is_none(), "ended");
}

#[tokio::test]
async fn tokens_work_until_revoked_and_only_with_their_secret() {
    let f = Fixture::new().await;
    let mut token = service_tokens::NewServiceToken {
        id: new_id(),
        name: "ci",
        role: Role::Member,
        platform_role: None,
        token_hash: [8; 32],
        expires_at: None,
    };
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    service_tokens::insert(&mut change, &token).await.unwrap();
    commit(change).await;
    let actor =
        sign_in::by_token(&f.store, token.id, &[8; 32], NOW).await.unwrap().unwrap().actor(None).unwrap();
    assert_eq!(
        (actor.organization_id(), actor.role(), actor.platform()),
        (f.acme.organization.id, Some(Role::Member), None)
    );
    assert!(sign_in::by_token(&f.store, token.id, &[9; 32], NOW).await.unwrap().is_none());

    // A mere member cannot give platform roles.
    (token.id, token.name, token.platform_role) = (new_id(), "root", Some(PlatformRole::PlatformAdmin));
    let mut change = f.store.change(&actor, NOW).await.unwrap();
    assert!(matches!(service_tokens::insert(&mut change, &token).await, Err(StoreError::NotFound)));
    drop(change);

    let listed =
        service_tokens::list(&mut f.store.begin(&f.acme.actor).await.unwrap(), None, 10).await.unwrap();
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    let wrong = service_tokens::revoke(&mut change, listed.data[0].id, Some(7)).await;
    assert!(matches!(wrong, Err(StoreError::VersionConflict { current: 1 })));
    service_tokens::revoke(&mut change, listed.data[0].id, Some(1)).await.unwrap();
    commit(change).await;
    assert!(sign_in::by_token(&f.store, listed.data[0].id, &[8; 32], NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn the_last_owner_stays_and_roles_change_only_under_the_seen_version() {
    let f = Fixture::new().await;
    let (_, owner) = join(&f, &f.acme, "owner@example.com", Role::Owner).await;
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    let demoted = members::update_role(&mut change, owner, Role::Viewer, Some(1)).await;
    assert!(matches!(demoted, Err(StoreError::Immutable("the last owner"))));
    drop(change);
    let (_, second) = join(&f, &f.acme, "second@example.com", Role::Owner).await;
    let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
    members::update_role(&mut change, owner, Role::Viewer, Some(1)).await.unwrap();
    let late = members::update_role(&mut change, owner, Role::Admin, Some(1)).await;
    assert!(matches!(late, Err(StoreError::VersionConflict { current: 2 })));
    assert!(matches!(members::delete(&mut change, second, None).await, Err(StoreError::Immutable(_))));
    drop(change);
    let mut tx = f.store.begin(&f.umbrella.actor).await.unwrap();
    assert!(members::list(&mut tx, None, 10).await.unwrap().data.is_empty());
    assert!(matches!(members::get(&mut tx, owner).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn links_work_once_and_the_platform_role_is_the_platforms_to_give() {
    let f = Fixture::new().await;
    assert!(!persons::platform_admin_exists(&f.store).await.unwrap());
    let system = SystemActor::new("bootstrap").acting_for(OrganizationId::SYSTEM);
    let mut change = f.store.change(&system, NOW).await.unwrap();
    let root = persons::ensure(&mut change, new_id(), "root@example.com", "Root").await.unwrap();
    persons::set_platform_role(&mut change, root, Some(PlatformRole::PlatformAdmin)).await.unwrap();
    persons::create_link(&mut change, root, &[6; 32], NOW.plus_millis(1000)).await.unwrap();
    commit(change).await;
    assert!(persons::platform_admin_exists(&f.store).await.unwrap());
    assert_eq!(redeem(&f, 6, NOW.plus_millis(2000)).await, None, "expired");
    let mut failed = f.store.change(&system, NOW).await.unwrap();
    assert_eq!(persons::redeem_link(&mut failed, &[6; 32]).await.unwrap(), Some(root));
    drop(failed);
    assert_eq!(redeem(&f, 6, NOW).await, Some(root), "a change that failed used nothing up");
    assert_eq!(redeem(&f, 6, NOW).await, None, "used");

    let session = new_id();
    sign_in::start_session(&f.store, session, root, NOW, NOW.plus_millis(1000)).await.unwrap();
    let signed_in = sign_in::by_session(&f.store, session, NOW).await.unwrap().unwrap();
    let entered = signed_in.actor(Some(f.acme.organization.id)).unwrap();
    assert_eq!((entered.role(), entered.platform()), (None, Some(PlatformRole::PlatformAdmin)));
    assert!(signed_in.platform_actor().is_some());

    let (ada, _) = join(&f, &f.acme, "ada@example.com", Role::Owner).await;
    let session = new_id();
    sign_in::start_session(&f.store, session, ada.person_id, NOW, NOW.plus_millis(1000)).await.unwrap();
    let actor = sign_in::by_session(&f.store, session, NOW).await.unwrap().unwrap().actor(None).unwrap();
    let mut change = f.store.change(&actor, NOW).await.unwrap();
    let role =
        persons::set_platform_role(&mut change, ada.person_id, Some(PlatformRole::PlatformAdmin)).await;
    assert!(matches!(role, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn a_link_ends_with_whatever_the_person_gains_after_it() {
    let f = Fixture::new().await;
    let invited = async |tenant: &Tenant, hash: u8| {
        let mut change = f.store.change(&tenant.actor, NOW).await.unwrap();
        let person = persons::ensure(&mut change, new_id(), "new@example.com", "New").await.unwrap();
        members::insert(&mut change, new_id(), person, Role::Viewer).await.unwrap();
        persons::create_link(&mut change, person, &[hash; 32], NOW.plus_millis(1000)).await.unwrap();
        commit(change).await;
    };
    invited(&f.acme, 1).await;
    invited(&f.umbrella, 2).await;
    assert_eq!(redeem(&f, 1, NOW).await, None, "it would open both");
    assert!(redeem(&f, 2, NOW).await.is_some());
}
