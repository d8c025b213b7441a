//! Three nodes, many clients, one dollar, and `kill -9` of everything in random order: the provider's own bill
//! judges the books. A seed replays the choices: `CHAOS_SEED=… cargo nextest run -p tidegate chaos`.

mod books;
mod hosts;
mod judge;
mod load;
mod planted;
mod random;
mod redis;
mod storm;
mod world;

use crate::support::{full, install, reclaiming};

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) clients: usize,
    pub(crate) kills: usize,
    /// The cap, USD.
    pub(crate) limit: &'static str,
}

impl Size {
    fn of_this_run() -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let usual = if full() { (500, 1_000) } else { (60, 50) };
        Self {
            clients: number("CHAOS_CLIENTS").unwrap_or(usual.0),
            kills: number("CHAOS_KILLS").unwrap_or(usual.1),
            limit: "1",
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dollar_survives_random_kills_of_everything_and_every_book_agrees_with_the_bill() {
    let size = Size::of_this_run();
    let seed = random::seed();
    println!("seed {seed}, {size:?}");
    let mut world = world::World::prepare(install(reclaiming(3)).await, size, seed).await;

    let seen = storm::rage(&mut world, size, seed).await;
    println!("{seen}");
    assert!(
        seen.completed.len() >= size.kills * storm::CALLS_PER_KILL,
        "{} calls are no load",
        seen.completed.len()
    );

    world.come_to_rest().await;
    let books = books::read(&world, &seen.completed).await;
    println!("{books}");
    assert_eq!(judge::after_the_storm(&books), [], "seed {seed}");
    assert!(books.unresolved > 0 && books.spent > 0, "a storm that left no doubt is no storm");
    world.use_the_rest_to_the_last_token().await;

    world.reconcile().await;
    let books = books::read(&world, &seen.completed).await;
    println!("{books}");
    assert_eq!(judge::reconciled(&books), [], "seed {seed}");
    let again = world.reconcile().await;
    assert!(again.iter().all(|report| report["charged"] == 0 && report["voided"] == 0), "{again:?}");
    let twice = books::read(&world, &seen.completed).await;
    assert_eq!(judge::reconciled(&twice), [], "seed {seed}");

    planted::assert_each_is_caught(&world, &seen.completed).await;
}
