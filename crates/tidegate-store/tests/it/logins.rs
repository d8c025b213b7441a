//! Which database logins the control plane agrees to use.

use tidegate_store::{Store, StoreError, migrate};

use crate::fixture::Fixture;

#[tokio::test]
async fn superuser_owner_and_swapped_logins_are_refused() {
    let f = Fixture::new().await;
    let d = &f.database;
    for (app, feed, why) in [
        (&d.superuser_url, &d.feed_url, "superuser"),
        (&d.app_url, &d.superuser_url, "superuser"),
        (&d.owner_url, &d.feed_url, "owns tables"),
        (&d.feed_url, &d.app_url, "not a member of tidegate_app"),
        (&d.app_url, &d.app_url, "not a member of tidegate_feed"),
    ] {
        let refused = Store::connect(app, feed).await.unwrap_err();
        assert!(matches!(&refused, StoreError::UnsafeLogin(said) if said.contains(why)), "{why}: {refused}");
    }
}

#[tokio::test]
async fn migrating_twice_and_at_once_is_harmless() {
    let f = Fixture::new().await;
    let (first, second) = tokio::join!(migrate(&f.database.owner_url), migrate(&f.database.owner_url));
    first.unwrap();
    second.unwrap();
    assert!(f.store.is_alive().await);
}

#[tokio::test]
async fn a_program_from_before_the_schema_leaves_it_and_works_on_it() {
    let f = Fixture::new().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999999, 'of a later release', true, '\\x00', 0)";
    let psql = tidegate_testkit::binaries::find("psql").unwrap();
    let done =
        std::process::Command::new(psql).args(["-qc", newer, &f.database.superuser_url]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    migrate(&f.database.owner_url).await.unwrap();
    let store = Store::connect(&f.database.app_url, &f.database.feed_url).await.unwrap();
    assert!(store.is_alive().await);
}
