//! What budgets had left when they were last asked: the least of the hard ones, by both stores alike.

use tidegate_types::NanoUsd;

use crate::support::{ORGANIZATION, call, hard, on_both, soft};

#[tokio::test]
pub(crate) async fn the_least_that_hard_budgets_have_left_is_known_after_each_hold() {
    on_both(async |bench| {
        bench.open(1).await;
        let mut hold = bench.hold(call(), 0, &[hard(1, 1000, 300), hard(2, 5000, 300), soft(3, 1, 300)]);
        bench.place(&hold).await.unwrap();
        // What is granted to processes in advance is not left for others.
        let is_left = |room: Option<NanoUsd>, left: i64| {
            room == Some(NanoUsd::new(left)) || (bench.granted && room.is_none_or(|room| room.get() <= left))
        };
        let room = bench.limiter.room(ORGANIZATION, &hold.budgets);
        assert!(is_left(room, 700), "{room:?}");
        hold.step = 1;
        bench.limiter.hold(ORGANIZATION, &hold).await.unwrap();
        let room = bench.limiter.room(ORGANIZATION, &hold.budgets);
        assert!(bench.granted || is_left(room, 400), "{room:?}");
        // Soft ones refuse nobody.
        assert_eq!(bench.limiter.room(ORGANIZATION, &hold.budgets[2..]), None);
    })
    .await;
}
