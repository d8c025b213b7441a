//! What a book does when an exchange's answer never comes: pure, so that no server has to be broken in time.

use tidegate_types::window::Window;
use tidegate_types::{BudgetId, CallId, NanoUsd, OrganizationId, Timestamp};

use super::super::book::{Aim, Book, Granted};
use crate::budget::{BudgetHold, End, Hold};
use crate::settings::GrantSettings;

const GRACE: i64 = 1_000_000;

fn hold(call: u128) -> Hold {
    let window = Window { start: Timestamp::from_seconds(1), end: Timestamp::from_seconds(4_000_000_000) };
    let part = BudgetHold {
        budget_id: BudgetId::from_u128(1),
        window,
        limit: NanoUsd::new(1_000_000),
        limit_revision: 1,
        amount: NanoUsd::new(100),
        hard: true,
    };
    Hold {
        call_id: CallId::from_u128(call),
        attempt: 0,
        step: 0,
        epoch: 1,
        deadline: Timestamp::from_seconds(1_000),
        budgets: [part].into_iter().collect(),
    }
}

fn granted(granted: i64) -> Granted {
    Granted { granted, spent: 0, held: 0, unresolved: 0, out: granted, limit: 1_000_000, recalled: false }
}

#[test]
fn a_grant_whose_answer_was_lost_is_asked_about_again_until_the_store_has_it_back() {
    let settings = GrantSettings { often: 1, ..GrantSettings::default() };
    let mut book = Book::new(1, 50);
    // Nothing is here yet: the store decides this call, and money is asked for.
    let _ = book.place(&hold(1), 1_000_000, GRACE).unwrap();
    let asked = book.exchange(Aim::Usual, 1_010_000, 2, &settings).unwrap();
    assert!(asked.rows.iter().all(|row| row.want > 0), "{asked:?}");
    // The store granted it, and nobody heard.
    assert!(book.is_due(), "what was granted is out until the store is told otherwise");
    let later = 1_010_000 + 2 * i64::try_from(settings.idle.as_micros()).unwrap();
    let again = book.exchange(Aim::Usual, later, 2, &settings).unwrap();
    assert_eq!((again.number, again.rows[0].keep, again.rows[0].want), (asked.number + 1, 0, 0));
    book.answered(&again, &[granted(0)], later);
    assert!(!book.is_due(), "both know that nothing is out");
    assert!(book.exchange(Aim::Usual, later + 1, 2, &settings).is_none());
}

#[test]
fn an_answer_that_comes_after_a_newer_question_is_not_used() {
    let settings = GrantSettings { often: 1, ..GrantSettings::default() };
    let mut book = Book::new(1, 50);
    let _ = book.place(&hold(1), 1_000_000, GRACE).unwrap();
    let old = book.exchange(Aim::Usual, 1_010_000, 2, &settings).unwrap();
    let new = book.exchange(Aim::Return, 1_020_000, 2, &settings).unwrap();
    book.answered(&old, &[granted(10_000)], 1_030_000);
    assert_eq!(book.free(), 0, "the store may have it back already");
    book.answered(&new, &[granted(0)], 1_040_000);
    // Control: the newest answer is.
    let _ = book.place(&hold(2), 1_050_000, GRACE).unwrap();
    let newest = book.exchange(Aim::Usual, 1_060_000, 2, &settings).unwrap();
    book.answered(&newest, &[granted(10_000)], 1_070_000);
    assert_eq!(book.free(), 10_000);
    let hold = hold(3);
    let _ = book.place(&hold, 1_080_000, GRACE).unwrap();
    let end = hold.settlement(OrganizationId::from_u128(1), 1, End::Void);
    assert!(book.settle(&end, 1_090_000), "it was placed here");
}
