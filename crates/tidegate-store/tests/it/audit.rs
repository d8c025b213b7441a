//! The audit: its chain in the database, and its export.

use serde_json::json;
use tidegate_store::{AuditNote, audit, teams};
use tidegate_types::audit::{Fault, Walk};

use crate::fixture::{Fixture, NOW, new_id, team};

/// Three entries behind the fixture's one.
async fn three_entries(f: &Fixture) {
    for round in 0..3 {
        let mut change = f.store.change(&f.acme.actor, NOW).await.unwrap();
        teams::insert(&mut change, &team(f.acme.organization.id, &format!("t{round}"))).await.unwrap();
        let said = AuditNote {
            action: "team.create",
            object: new_id::<tidegate_types::id::kind::Team>().to_string(),
            before: (round == 1).then_some(serde_json::Value::Null),
            after: Some(json!({ "money": "1.10", "name": "a \"b\"\n", "big": 12345678901234567890u64 })),
        };
        change.commit(said).await.unwrap();
    }
}

/// The export's lines behind place `after`.
async fn exported(f: &Fixture, after: u64) -> Vec<String> {
    let mut tx = f.store.begin_snapshot(&f.acme.actor).await.unwrap();
    let lines = audit::lines(&mut tx, after, 100).await.unwrap();
    let mut text: Vec<_> = lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    text.push(serde_json::to_string(&audit::end(&mut tx).await.unwrap()).unwrap());
    text
}

/// Walks over files.
fn walked(files: &[&[String]]) -> Result<Walk, Fault> {
    let mut walk = Walk::default();
    for file in files {
        file.iter().try_for_each(|line| walk.line(line))?;
        walk.file_ends()?;
    }
    Ok(walk)
}

#[tokio::test]
async fn an_edited_cut_or_reordered_audit_is_noticed() {
    let f = Fixture::new().await;
    three_entries(&f).await;
    let verify = async || {
        let mut tx = f.store.begin_snapshot(&f.acme.actor).await.unwrap();
        audit::verify(&mut tx).await.unwrap()
    };
    assert_eq!(verify().await, audit::Verdict::Whole(4));
    // Only a superuser gets past the triggers.
    let pool = sqlx::PgPool::connect(&f.database.superuser_url).await.unwrap();
    let tamper = async |statement: &'static str| {
        let mut tx = pool.begin().await.unwrap();
        sqlx::query("SET LOCAL session_replication_role = replica").execute(&mut *tx).await.unwrap();
        sqlx::query(statement).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    tamper("UPDATE audit SET previous_hash = decode(repeat('00', 32), 'hex') WHERE n = 4 AND action = 'team.create'").await;
    assert_eq!(verify().await, audit::Verdict::BrokenAt(4));
    tamper("UPDATE audit SET after = '{\"money\":\"9.99\"}' WHERE n = 3 AND action = 'team.create'").await;
    assert_eq!(verify().await, audit::Verdict::BrokenAt(3));
    tamper("DELETE FROM audit WHERE n >= 3").await;
    assert_eq!(verify().await, audit::Verdict::BrokenAt(3));
    tamper("DELETE FROM audit WHERE n = 1").await;
    assert_eq!(verify().await, audit::Verdict::BrokenAt(1));
}

#[tokio::test]
async fn what_is_appended_while_a_chain_is_checked_is_no_fault() {
    let f = Fixture::new().await;
    let mut tx = f.store.begin_snapshot(&f.acme.actor).await.unwrap();
    assert_eq!(audit::end(&mut tx).await.unwrap().entries, 1);
    three_entries(&f).await;
    assert_eq!(audit::verify(&mut tx).await.unwrap(), audit::Verdict::Whole(1));
    assert_eq!(audit::lines(&mut tx, 0, 100).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_export_is_checked_without_the_database_and_goes_on_in_a_later_one() {
    let f = Fixture::new().await;
    let early = exported(&f, 0).await;
    three_entries(&f).await;
    let (whole, late) = (exported(&f, 0).await, exported(&f, 1).await);
    let walk = walked(&[&whole]).unwrap();
    assert_eq!(walk.first().unwrap().0, 1);
    assert_eq!(walk.last().unwrap().0, 4);
    assert_eq!(walk.organization(), Some(f.acme.organization.id));
    assert_eq!(walked(&[&early, &late]), Ok(walk));
    // A later one alone says what it follows; nothing new is no fault either.
    assert_eq!(walked(&[&late]).unwrap().first().unwrap().1, walked(&[&early]).unwrap().last().unwrap().1);
    assert_eq!(walked(&[&whole, &exported(&f, 4).await]), Ok(walk));
    assert_eq!(walked(&[&early, &exported(&f, 2).await]), Err(Fault::Misplaced { expected: 2, found: 3 }));
}

#[tokio::test]
async fn whatever_is_changed_in_an_export_is_noticed() {
    let f = Fixture::new().await;
    three_entries(&f).await;
    let whole = exported(&f, 0).await;
    for (at, line) in whole.iter().enumerate() {
        // The head tells whose chain it is, which no hash covers.
        let from = if at + 1 < whole.len() { 0 } else { line.find("\"entries\"").unwrap() };
        for place in (from..line.len()).filter(|place| line.is_char_boundary(*place)) {
            let mut edited = line.clone().into_bytes();
            edited[place] = if edited[place] == b'1' { b'2' } else { b'1' };
            let mut lines = whole.clone();
            lines[at] = String::from_utf8(edited).unwrap();
            assert!(walked(&[&lines]).is_err(), "line {at}, byte {place}: {}", lines[at]);
        }
        let mut without = whole.clone();
        without.remove(at);
        // Without its first line it is one from the second on, and says so.
        let begins = walked(&[&without]).map(|walk| walk.first().unwrap().0);
        assert!(begins.is_err() || (at, begins.clone()) == (0, Ok(2)), "without line {at}: {begins:?}");
    }
    let mut exchanged = whole.clone();
    exchanged.swap(1, 2);
    assert_eq!(walked(&[&exchanged]), Err(Fault::Misplaced { expected: 2, found: 3 }));
    // A member that is null is another one than none at all.
    let absent = whole[2].replace("\"before\":null,", "");
    assert_ne!(absent, whole[2]);
    let lines = [whole[0].clone(), whole[1].clone(), absent];
    assert_eq!(walked(&[&lines]), Err(Fault::Edited(3)));
}
