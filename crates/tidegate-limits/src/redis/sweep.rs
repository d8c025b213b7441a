//! Overdue holds: found by deadline, turned into unresolved by the script, one by one.

use std::time::Duration;

use redis::{Pipeline, Value};
use smallvec::SmallVec;
use tidegate_types::OrganizationId;
use tokio_util::sync::CancellationToken;

use super::RedisStore;
use super::command;
use super::link::Link;
use super::names::{Name, Names};
use super::shard::Shard;

/// Organizations looked at, and holds turned, in one trip.
const BATCH: usize = 100;
/// Longest time for one trip.
const TRIP: Duration = Duration::from_secs(2);

impl RedisStore {
    pub(super) async fn sweep_until(&self, stop: CancellationToken) {
        let mut every = tokio::time::interval(self.timing.sweep);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = every.tick() => {}
            }
            self.denied.forget();
            self.shares.forget(|organization| {
                let breaker = &self.route.of(organization).breaker;
                breaker.is_closed().then(|| breaker.now().as_micros())
            });
            self.sweep().await;
        }
    }

    /// Turns every overdue hold of the organizations seen.
    pub(crate) async fn sweep(&self) {
        self.grants.sweep(self.now());
        let organizations: Vec<OrganizationId> = self.seen.iter().map(|id| *id).collect();
        for (shard, organizations) in self.route.parts(organizations) {
            for some in organizations.chunks(BATCH) {
                // A lost trip is made up for by the next sweep.
                if self.sweep_some(&shard, some).await.is_none() {
                    break;
                }
            }
        }
    }

    async fn sweep_some(&self, shard: &Shard, organizations: &[OrganizationId]) -> Option<()> {
        let link = shard.breaker.back()?;
        let overdue = self.overdue(shard, &link, organizations).await?;
        for holds in overdue.chunks(BATCH) {
            self.turn(shard, &link, holds).await?;
        }
        Some(())
    }

    async fn overdue(
        &self,
        shard: &Shard,
        link: &Link,
        organizations: &[OrganizationId],
    ) -> Option<Vec<(OrganizationId, Name)>> {
        let latest = shard.breaker.now().as_micros().saturating_sub(self.grace_micros()).div_euclid(1000);
        let mut pipeline = Pipeline::with_capacity(organizations.len());
        for organization in organizations {
            let key = Names::of(*organization).deadlines();
            pipeline
                .cmd("ZRANGEBYSCORE")
                .arg(key.as_slice())
                .arg("-inf")
                .arg(latest)
                .arg("LIMIT")
                .arg(0)
                .arg(1000);
        }
        let replies = shard.breaker.ask_many(link, &pipeline, TRIP).await.ok()?;
        let found = organizations.iter().zip(&replies).flat_map(|(organization, reply)| {
            texts(reply).map(|member| (*organization, Name::from_slice(member)))
        });
        Some(found.collect())
    }

    async fn turn(&self, shard: &Shard, link: &Link, holds: &[(OrganizationId, Name)]) -> Option<()> {
        let mut fields_of = Pipeline::with_capacity(holds.len());
        for (organization, member) in holds {
            fields_of.cmd("HKEYS").arg(Names::of(*organization).hold(member).as_slice());
        }
        let replies = shard.breaker.ask_many(link, &fields_of, TRIP).await.ok()?;
        let mut turning = Pipeline::with_capacity(holds.len());
        for ((organization, member), reply) in holds.iter().zip(&replies) {
            // Its slot is on its way: which budgets it is held on is not known now.
            let Value::Array(_) = reply else { continue };
            // Budgets are `<ulid>:<start>`; the hold's own fields are single letters.
            let fields: SmallVec<[Name; 4]> =
                texts(reply).filter(|field| field.len() > 1).map(Name::from_slice).collect();
            let (scripts, grace) = (&self.scripts, self.grace_micros());
            turning.add_command(command::overdue(
                scripts,
                link.run_id(),
                *organization,
                member,
                &fields,
                grace,
            ));
        }
        if turning.is_empty() {
            return Some(());
        }
        shard.breaker.ask_many(link, &turning, TRIP).await.ok().map(|_| ())
    }
}

pub(super) fn texts(reply: &Value) -> impl Iterator<Item = &[u8]> {
    let items = match reply {
        Value::Array(items) => items.as_slice(),
        _ => &[],
    };
    items.iter().filter_map(|item| match item {
        Value::BulkString(bytes) => Some(bytes.as_slice()),
        _ => None,
    })
}
