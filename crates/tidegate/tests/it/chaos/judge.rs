//! Says what is wrong with a set of books, by name. Pure; its own planted faults are below.

use std::collections::BTreeSet;

use super::books::{Books, Charged};

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A call is charged more than its provider billed: counted twice, or made up.
    ChargedTooMuch(String),
    /// A call without doubt is charged less than was billed.
    ChargedTooLittle(String),
    /// A call that was billed, or whose answer a client has, is not on the books.
    Lost(String),
    /// A call has two records.
    RecordedTwice(String),
    /// Two clients got the same id.
    SameId(String),
    /// Something is held although nothing runs.
    HeldForNothing(i128),
    /// More was spent, or may have been, than the limit.
    OverTheLimit(i128),
    /// The provider billed more than what was spent and what is in doubt.
    BilledBeyondDoubt(i128),
    /// Two books that say the same differ.
    Differ(&'static str, i128, i128),
    /// After a usage file nothing is in doubt any more.
    StillInDoubt(i128),
}

use Fault::{
    BilledBeyondDoubt, ChargedTooLittle, ChargedTooMuch, Differ, HeldForNothing, Lost, OverTheLimit,
    RecordedTwice, SameId, StillInDoubt,
};

/// Every node is back, nothing runs.
pub(crate) fn after_the_storm(books: &Books) -> Vec<Fault> {
    let mut found = every_call(books);
    found.extend(the_sums(books));
    let doubt = books.spent + books.unresolved;
    if books.bill() > doubt {
        found.push(BilledBeyondDoubt(books.bill() - doubt));
    }
    if doubt > books.limit {
        found.push(OverTheLimit(doubt - books.limit));
    }
    found
}

/// The provider's usage file was brought.
pub(crate) fn reconciled(books: &Books) -> Vec<Fault> {
    let mut found = after_the_storm(books);
    if books.unresolved != 0 {
        found.push(StillInDoubt(books.unresolved));
    }
    if books.ledger != books.bill() {
        found.push(Differ("ledger and bill", books.ledger, books.bill()));
    }
    found
}

fn every_call(books: &Books) -> Vec<Fault> {
    let mut found = Vec::new();
    let ids: BTreeSet<&String> = books.charged.keys().chain(books.billed.keys()).collect();
    for id in ids {
        let billed = books.billed.get(id).copied().unwrap_or_default();
        let Some(Charged { cost, doubt, .. }) = books.charged.get(id) else {
            found.push(Lost(id.clone()));
            continue;
        };
        if *cost > billed {
            found.push(ChargedTooMuch(id.clone()));
        } else if billed > cost + doubt {
            found.push(ChargedTooLittle(id.clone()));
        }
    }
    let mut records = BTreeSet::new();
    for id in &books.records {
        if !records.insert(id) {
            found.push(RecordedTwice(id.clone()));
        }
    }
    let mut seen = BTreeSet::new();
    for id in &books.completed {
        if !seen.insert(id) {
            found.push(SameId(id.clone()));
        }
        let ended = books.charged.get(id).is_some_and(|call| call.ended > 0);
        if !records.contains(id) || !ended {
            found.push(Lost(id.clone()));
        }
    }
    found
}

fn the_sums(books: &Books) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut same = |what, ours: i128, theirs: i128| {
        if ours != theirs {
            found.push(Differ(what, ours, theirs));
        }
    };
    let events: i128 = books.charged.values().map(|call| call.cost).sum();
    let doubt: i128 = books.charged.values().map(|call| call.doubt).sum();
    same("budget's spend and events", books.spent, events);
    same("budget's doubt and events", books.unresolved, doubt);
    same("usage and events", books.usage, events);
    same("ledger and events", books.ledger, events);
    for counters in &books.counters {
        same("counters' spend and the budget's", counters.spent, books.spent);
        same("counters' doubt and the budget's", counters.unresolved, books.unresolved);
        same("counters' limit", counters.limit, books.limit);
    }
    let over = |counters: &&crate::support::OwnBudget| counters.spent + counters.unresolved > counters.limit;
    if let Some(counters) = books.counters.iter().find(over) {
        found.push(OverTheLimit(counters.spent + counters.unresolved - counters.limit));
    }
    if let Some(counters) = books.counters.iter().find(|counters| counters.held != 0) {
        found.push(HeldForNothing(counters.held));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::OwnBudget;

    /// Two calls that were completed for 10 and 20, and one in doubt: 30 held, billed 25.
    fn books() -> Books {
        let call = |cost, doubt| Charged { cost, doubt, ended: usize::from(doubt == 0) };
        let counters = OwnBudget { limit: 100, spent: 30, held: 0, unresolved: 30 };
        Books {
            limit: 100,
            counters: vec![counters; 3],
            spent: 30,
            unresolved: 30,
            usage: 30,
            ledger: 30,
            charged: [("a", call(10, 0)), ("b", call(20, 0)), ("c", call(0, 30))]
                .map(|(id, call)| (id.to_owned(), call))
                .into(),
            records: vec!["a".into(), "b".into()],
            billed: [("a", 10), ("b", 20), ("c", 25)].map(|(id, cost)| (id.to_owned(), cost)).into(),
            completed: vec!["a".into(), "b".into()],
        }
    }

    fn doctored(doctor: impl FnOnce(&mut Books)) -> Vec<Fault> {
        let mut books = books();
        doctor(&mut books);
        after_the_storm(&books)
    }

    fn everywhere(books: &mut Books, more: i128) {
        (books.spent, books.usage, books.ledger) =
            (books.spent + more, books.usage + more, books.ledger + more);
        books.counters.iter_mut().for_each(|counters| counters.spent += more);
    }

    #[test]
    fn right_books_are_right() {
        assert_eq!(doctored(|_| {}), []);
    }

    #[test]
    fn a_double_charge_is_found_though_every_sum_has_it() {
        let found = doctored(|books| {
            books.charged.get_mut("a").unwrap().cost *= 2;
            everywhere(books, 10);
        });
        assert_eq!(found, [ChargedTooMuch("a".into())]);
        let found = doctored(|books| books.records.push("a".into()));
        assert_eq!(found, [RecordedTwice("a".into())]);
    }

    #[test]
    fn a_lost_event_is_found_though_no_sum_has_it() {
        let found = doctored(|books| {
            books.charged.remove("b");
            everywhere(books, -20);
        });
        assert_eq!(found, [Lost("b".into()), Lost("b".into()), BilledBeyondDoubt(15)]);
        // One call too few and one too much are not even.
        let found = doctored(|books| {
            books.charged.get_mut("a").unwrap().cost += 5;
            books.charged.get_mut("b").unwrap().cost -= 5;
        });
        assert_eq!(found, [ChargedTooMuch("a".into()), ChargedTooLittle("b".into())]);
    }

    #[test]
    fn a_leaked_hold_is_found_at_any_node() {
        assert_eq!(doctored(|books| books.counters[2].held = 1), [HeldForNothing(1)]);
    }

    #[test]
    fn an_overspend_is_found_in_the_counters_and_on_the_bill() {
        let found = doctored(|books| books.counters.iter_mut().for_each(|counters| counters.spent = 71));
        assert!(found.contains(&OverTheLimit(1)), "{found:?}");
        let found = doctored(|books| {
            books.billed.insert("b".into(), 60);
            books.charged.get_mut("b").unwrap().cost = 60;
            everywhere(books, 40);
            books.limit = 99;
        });
        assert!(found.contains(&OverTheLimit(1)), "{found:?}");
        let found = doctored(|books| {
            books.billed.insert("c".into(), 31);
        });
        assert_eq!(found, [ChargedTooLittle("c".into()), BilledBeyondDoubt(1)]);
    }

    #[test]
    fn doubt_after_a_usage_file_is_found() {
        let found = reconciled(&books());
        assert_eq!(found, [StillInDoubt(30), Differ("ledger and bill", 30, 55)]);
    }
}
