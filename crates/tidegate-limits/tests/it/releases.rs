//! Nodes of earlier releases and of this one count in the same Redis while an installation is upgraded or taken back:
//! nobody passes a limit, nothing that was spent is forgotten, nothing stays held, and no epoch ends for it.

use tidegate_limits::{BudgetHold, End, Hold, LimitError, Limiter};
use tidegate_testkit::redis::Server;
use tidegate_types::{BudgetId, NanoUsd};
use tokio_util::sync::CancellationToken;

use crate::earlier::{Advance, Answer, Node, RELEASES, Release};
use crate::support::{
    self, ORGANIZATION, balance, connect, connect_granted, eventually, hard, place, refusal, spent, stored,
};

const LIMIT: i64 = 100_000;

/// A server, a node of this release that asks for every call, and one of an earlier release.
async fn beside<'a>(server: &'a Server, release: &'static Release) -> (Limiter, Node<'a>) {
    println!("beside {}", release.name);
    let limiter = connect(server, 100, &CancellationToken::new()).await;
    let run = limiter.store_run_id(ORGANIZATION).unwrap();
    (limiter, Node { release, server, run })
}

/// One that lasts longer than any of these tests.
fn hold(limiter: &Limiter, parts: &[BudgetHold]) -> Hold {
    Hold { deadline: limiter.now().plus_millis(600_000), ..support::hold(limiter, parts) }
}

/// The same hold under another epoch.
fn under(epoch: u64, hold: Hold) -> Hold {
    Hold { epoch, ..hold }
}

#[tokio::test]
async fn what_a_node_has_in_advance_is_not_there_for_a_node_of_an_earlier_release() {
    for release in &RELEASES {
        let server = Server::start().unwrap();
        let (other, earlier) = beside(&server, release).await;
        other.open_epoch(ORGANIZATION, 1, &[], &[]).await.unwrap();
        let granted = connect_granted(&server, 1, &CancellationToken::new()).await;
        granted.allow_grants(ORGANIZATION, 1, 100);
        let running = hold(&granted, &[hard(1, LIMIT, 1_000)]);
        assert!(place(&granted, &running).await.unwrap().in_advance);
        let unused = async || stored(&other, 1).await == (0, 1_000, 0);
        eventually("it keeps what it uses", unused).await;
        let all = hold(&other, &[hard(1, LIMIT, LIMIT - 1_000)]);
        assert_eq!(earlier.place(&all), Answer::Placed);
        let one = || hold(&other, &[hard(1, LIMIT, 1)]);
        assert!(matches!(earlier.place(&one()), Answer::Refused([0, _, 0, LIMIT])));
        assert!(earlier.settle(&all, End::Void));
        granted.settle(running.settlement(ORGANIZATION, 1, spent(700)));
        eventually("what is in advance comes back", async || stored(&other, 1).await == (700, 0, 0)).await;
        assert_eq!(earlier.place(&hold(&other, &[hard(1, LIMIT, LIMIT - 700)])), Answer::Placed);
        assert!(matches!(earlier.place(&one()), Answer::Refused(_)));
        refusal(place(&other, &one()).await);
    }
}

/// Every order in which two epochs are opened by nodes of an earlier release and of this one, and whose nodes use them.
#[tokio::test]
async fn windows_that_another_release_began_are_neither_zero_nor_lost() {
    for release in &RELEASES {
        let server = Server::start().unwrap();
        let (limiter, earlier) = beside(&server, release).await;
        let mut epoch = 0;
        for order in 0..16_u32 {
            let [opens, begins, ends, asks] = [0, 1, 2, 3].map(|bit| order >> bit & 1 == 1);
            epoch += 1;
            let balances = [balance(1, 90, 0)];
            if opens {
                earlier.open(epoch, &balances);
            } else {
                limiter.open_epoch(ORGANIZATION, epoch, &balances, &[]).await.unwrap();
            }
            // A window that the epoch had, and one that begins now.
            let first = under(epoch, hold(&limiter, &[hard(1, 100, 5), hard(2, 100, 60)]));
            if begins {
                assert_eq!(earlier.place(&first), Answer::Placed);
            } else {
                assert_eq!(place(&limiter, &first).await.map(|held| held.epoch), Ok(epoch));
            }
            if ends {
                assert!(earlier.settle(&first, spent(5)));
            } else {
                limiter.settle(first.settlement(ORGANIZATION, epoch, spent(5)));
            }
            let counted =
                async || stored(&limiter, 1).await == (95, 0, 0) && stored(&limiter, 2).await == (5, 0, 0);
            eventually("it is counted once", counted).await;
            let next = |budget, amount| under(epoch, hold(&limiter, &[hard(budget, 100, amount)]));
            if asks {
                assert_eq!(earlier.place(&next(1, 6)), Answer::Refused([95, 0, 0, 100]), "{order:b}");
                assert_eq!(earlier.place(&next(2, 96)), Answer::Refused([5, 0, 0, 100]), "{order:b}");
                assert_eq!(earlier.place(&next(1, 5)), Answer::Placed);
            } else {
                refusal(place(&limiter, &next(1, 6)).await);
                refusal(place(&limiter, &next(2, 96)).await);
                assert_eq!(place(&limiter, &next(1, 5)).await.map(|held| held.epoch), Ok(epoch));
            }
            assert_eq!(limiter.present_epoch(ORGANIZATION).await, Ok(epoch), "{order:b}");
        }
    }
}

/// xorshift, so that a run can be repeated by its seed.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Everybody at one budget, and the truth about it.
struct World<'a> {
    /// Of this release: one asks for every call, the other has money in advance.
    ours: [Limiter; 2],
    earlier: Node<'a>,
    /// What the earlier one has in advance, as its release counts it.
    advance: Advance,
    epoch: u64,
    spent: i64,
    open: Vec<(usize, Hold)>,
}

const BUDGET: BudgetId = BudgetId::from_u128(1);

impl World<'_> {
    fn held(&self) -> i64 {
        self.open.iter().map(|(_, hold)| hold.budgets[0].amount.get()).sum()
    }

    /// Somebody places a hold.
    async fn place(&mut self, who: usize, amount: i64) {
        let hold = under(self.epoch, hold(&self.ours[0], &[hard(1, LIMIT, amount)]));
        let kept = self.advance.granted - self.advance.spent;
        let placed = if let Some(limiter) = self.ours.get(who) {
            match place(limiter, &hold).await {
                Ok(held) => held.epoch == self.epoch,
                Err(LimitError::Refused(_)) => false,
                Err(error) => panic!("{error}"),
            }
        } else {
            match self.earlier.place(&hold) {
                Answer::Placed => true,
                Answer::Refused([spent, held, unresolved, limit]) => {
                    assert!(limit - spent - held - unresolved - kept < amount);
                    false
                }
                Answer::NoEpoch => panic!("the epoch is open"),
            }
        };
        if placed {
            self.open.push((who, hold));
        }
        let used = self.spent + self.held() + kept;
        assert!(used <= LIMIT, "{} spent, {} held, {kept} kept of {LIMIT}", self.spent, self.held());
    }

    fn end(&mut self, which: usize, void: bool) {
        let (who, hold) = self.open.swap_remove(which);
        let cost = if void { 0 } else { hold.budgets[0].amount.get() / 3 };
        let end = if void { End::Void } else { End::Spent(NanoUsd::new(cost)) };
        match self.ours.get(who) {
            Some(limiter) => limiter.settle(hold.settlement(ORGANIZATION, hold.epoch, end)),
            None => assert!(self.earlier.settle(&hold, end)),
        }
        self.spent += cost;
    }

    /// A node of a release that counts grants apart takes some and spends of it, or gives all back.
    fn advance(&mut self, spend: i64, keep: bool) {
        let spend = spend.min(self.advance.granted - self.advance.spent);
        (self.advance.spent, self.spent) = (self.advance.spent + spend, self.spent + spend);
        let keeps = if keep { self.advance.granted - self.advance.spent } else { 0 };
        let want = if keep { 5_000 } else { 0 };
        self.earlier.exchange(self.epoch, (BUDGET, LIMIT), &mut self.advance, keeps, want);
    }

    async fn quiet(&self) {
        let counted = async || stored(&self.ours[0], 1).await == (self.spent, 0, 0);
        eventually("all that was spent is counted and nothing is held", counted).await;
    }

    /// All ends, and the next epoch is opened by a node of this release or of the earlier one.
    async fn turn(&mut self, by_earlier: bool) {
        while !self.open.is_empty() {
            self.end(0, false);
        }
        if self.epoch > 0 {
            self.advance(0, false);
            self.quiet().await;
        }
        (self.epoch, self.advance, self.spent) = (self.epoch + 1, Advance::default(), self.spent / 2);
        let balances = [balance(1, self.spent, 0)];
        if by_earlier {
            self.earlier.open(self.epoch, &balances);
        } else {
            self.ours[0].open_epoch(ORGANIZATION, self.epoch, &balances, &[]).await.unwrap();
        }
        self.ours[1].allow_grants(ORGANIZATION, self.epoch, 100);
    }
}

async fn together(release: &'static Release) {
    let server = Server::start().unwrap();
    let (asking, earlier) = beside(&server, release).await;
    let granted = connect_granted(&server, 2, &CancellationToken::new()).await;
    let (ours, advance) = ([asking, granted], Advance::default());
    let mut world = World { ours, earlier, advance, epoch: 0, spent: 0, open: Vec::new() };
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |most: usize| usize::try_from(next(&mut random)).unwrap() % most;
    for by_earlier in [true, false, true] {
        world.turn(by_earlier).await;
        for _ in 0..120 {
            let (what, amount) = (below(10), i64::try_from(below(9_000) + 1).unwrap());
            match what {
                0..6 => world.place(below(3), amount).await,
                6..9 if !world.open.is_empty() => world.end(below(world.open.len()), what == 8),
                _ => world.advance(amount / 4, amount % 2 == 0),
            }
        }
    }
    assert!(world.spent > LIMIT / 3, "{} spent at last: it was no load", world.spent);
    world.turn(false).await;
    // What is left is there to the last of it, for nodes of either release.
    let rest = LIMIT - world.spent;
    for who in 0..3 {
        world.place(who, rest).await;
        assert_eq!(world.open.len(), 1, "{who} places {rest}");
        world.place((who + 1) % 3, 1).await;
        assert_eq!(world.open.len(), 1, "nothing is left for {}", (who + 1) % 3);
        world.end(0, true);
        world.quiet().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_two_releases_pass_no_limit_together_in_epochs_that_either_opened() {
    for release in &RELEASES {
        together(release).await;
    }
}
