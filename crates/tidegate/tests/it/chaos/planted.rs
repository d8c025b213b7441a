//! The judge's own test: faults planted into the running installation, each of which it must name.

use super::books::{self, Books};
use super::judge::{self, Fault};
use super::world::World;

/// Plants a double charge, a lost event, a leaked hold and an overspend, one after the other.
pub(crate) async fn assert_each_is_caught(world: &World, completed: &[String]) {
    let right = books::read(world, completed).await;
    let (doubled, lost) = (&completed[0], &completed[1]);

    // Past the guards that refuse this to everybody.
    let event = |id: &String| {
        let id: tidegate_types::CallId = id.parse().unwrap();
        format!("kind = 'final' AND call_id = '{:032x}'::uuid", id.to_u128())
    };
    sql(world, &format!("UPDATE billing_events SET cost = cost * 2 WHERE {}", event(doubled)));
    let found = judged(world, completed).await;
    assert!(found.contains(&Fault::ChargedTooMuch(doubled.clone())), "a double charge: {found:?}");

    let gone = event(lost).replace("kind = 'final' AND ", "");
    sql(world, &format!("DELETE FROM billing_events WHERE {gone}"));
    let found = judged(world, completed).await;
    assert!(found.contains(&Fault::Lost(lost.clone())), "a lost event: {found:?}");

    counter(world, "h", 12_345);
    let found = judged(world, completed).await;
    assert!(found.contains(&Fault::HeldForNothing(12_345)), "a leaked hold: {found:?}");

    let over = right.limit - right.spent - right.unresolved + 1;
    counter(world, "u", over);
    let found = judge::after_the_storm(&counters_of(world, &right).await);
    assert!(found.contains(&Fault::OverTheLimit(1)), "an overspend: {found:?}");
}

async fn judged(world: &World, completed: &[String]) -> Vec<Fault> {
    judge::reconciled(&books::read(world, completed).await)
}

/// The same books with what the nodes tell now.
async fn counters_of(world: &World, books: &Books) -> Books {
    let mut counters = Vec::new();
    for app in &world.apps {
        counters.push(super::world::own(app).await.unwrap());
    }
    Books { counters, ..books.clone() }
}

fn sql(world: &World, statement: &str) {
    world.installation.sql(&format!("SET session_replication_role = replica; {statement}")).unwrap();
}

/// Adds to a field of the budget's counters.
fn counter(world: &World, field: &str, more: i128) {
    let redis = world.installation.redis.as_ref().unwrap();
    let keys = redis.command(&["KEYS", "tg:*:b:*"]).unwrap();
    let key = keys.lines().next().expect("the budget has counters");
    redis.command(&["HINCRBY", key, field, &more.to_string()]).unwrap();
}
