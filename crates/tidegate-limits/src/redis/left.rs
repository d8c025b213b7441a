//! Finds holds that dead processes left, by the deadlines of an organization and the mark of who
//! placed each. Only reads; whoever knows how they ended settles them.

use std::time::Duration;

use redis::{Pipeline, Value};
use smallvec::SmallVec;
use tidegate_types::id::{Id, IdKind};
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, OrganizationId, Timestamp};

use super::RedisStore;
use super::breaker::Breaker;
use super::link::{Link, elsewhere};
use super::names::{Name, Names};
use super::sweep::texts;
use crate::error::LimitError;
use crate::left::{Ended, LeftHold, Process};

/// Organizations or holds looked at in one trip.
const BATCH: usize = 200;
/// Most open holds of an organization that are looked at.
const MOST: usize = 100_000;
/// Longest time for one trip.
const TRIP: Duration = Duration::from_secs(2);

/// How a hold names who placed it: `<node>:<boot>`.
pub(super) fn mark(process: Process) -> Name {
    let mut mark = Name::from_slice(&process.node_id.ulid_bytes());
    mark.push(b':');
    mark.extend_from_slice(itoa::Buffer::new().format(process.boot).as_bytes());
    mark
}

fn placed_by(mark: &[u8]) -> Option<Process> {
    let (node, boot) = std::str::from_utf8(mark).ok()?.split_once(':')?;
    Some(Process { node_id: id(node)?, boot: boot.parse().ok()? })
}

/// An id of which the kind is known.
fn id<K: IdKind>(ulid: &str) -> Option<Id<K>> {
    format!("{}_{ulid}", K::PREFIX).parse().ok()
}

/// An organization's open epoch and its nonce.
pub(super) fn open_epoch(marker: &Value, run_id: &str) -> Option<(u64, Vec<u8>)> {
    let Value::BulkString(text) = marker else { return None };
    let mut parts = std::str::from_utf8(text).ok()?.split(' ');
    let epoch = parts.next()?.parse().ok()?;
    (parts.next()? == run_id).then_some(())?;
    Some((epoch, parts.next()?.as_bytes().to_vec()))
}

/// A hold's place among those that are looked at.
struct Seen {
    organization: OrganizationId,
    member: Name,
    epoch: u64,
    placed_by: Process,
}

impl RedisStore {
    /// These organizations, by the servers that count for them.
    pub(crate) fn apart(&self, organizations: Vec<OrganizationId>) -> Vec<Vec<OrganizationId>> {
        self.route.parts(organizations).into_iter().map(|(_, organizations)| organizations).collect()
    }

    /// Holds of ended processes that nobody has ended.
    pub(crate) async fn left_holds(
        &self,
        organizations: &[OrganizationId],
        ended: Ended,
    ) -> Result<Vec<LeftHold>, LimitError> {
        let mut found = Vec::new();
        for (shard, organizations) in self.route.parts(organizations.to_vec()) {
            let link = shard.breaker.back().ok_or(LimitError::Away)?;
            let look = Look { breaker: &shard.breaker, link: &link };
            for some in organizations.chunks(BATCH) {
                for (organization, epoch, nonce, members) in look.unended(some).await? {
                    for members in members.chunks(BATCH) {
                        let seen = look.of_ended(organization, (epoch, &nonce), members, ended).await?;
                        found.extend(look.with_budgets(seen).await?);
                    }
                }
            }
        }
        Ok(found)
    }
}

/// One server that is looked through.
struct Look<'a> {
    breaker: &'a Breaker,
    link: &'a Link,
}

impl Look<'_> {
    /// What is of a slot that is elsewhere, or on its way, is answered with an error: nothing is open there, or will
    /// be, and it keeps nobody else's holds from their end.
    async fn trip(&self, pipeline: &Pipeline) -> Result<Vec<Value>, LimitError> {
        let replies = self.breaker.ask_many(self.link, pipeline, TRIP).await.map_err(|_| LimitError::Away)?;
        let refused = replies
            .iter()
            .any(|reply| matches!(reply, Value::ServerError(error) if elsewhere(error).is_none()));
        if refused { Err(LimitError::Away) } else { Ok(replies) }
    }

    /// The open epoch and the members of every organization that has holds.
    async fn unended(
        &self,
        organizations: &[OrganizationId],
    ) -> Result<Vec<(OrganizationId, u64, Vec<u8>, Vec<Name>)>, LimitError> {
        let mut pipeline = Pipeline::with_capacity(2 * organizations.len());
        for organization in organizations {
            let names = Names::of(*organization);
            pipeline.cmd("GET").arg(names.epoch().as_slice());
            let deadlines = names.deadlines();
            let range = pipeline.cmd("ZRANGEBYSCORE").arg(deadlines.as_slice());
            range.arg("-inf").arg("+inf").arg("LIMIT").arg(0).arg(MOST);
        }
        let replies = self.trip(&pipeline).await?;
        let pairs = organizations.iter().zip(replies.chunks_exact(2));
        let held = pairs.filter_map(|(organization, pair)| {
            let [marker, members] = pair else { return None };
            let (epoch, nonce) = open_epoch(marker, self.link.run_id())?;
            let members: Vec<Name> = texts(members).map(Name::from_slice).collect();
            (!members.is_empty()).then_some((*organization, epoch, nonce, members))
        });
        Ok(held.collect())
    }

    /// Those of the members that an ended process placed under this epoch, and nobody has ended.
    async fn of_ended(
        &self,
        organization: OrganizationId,
        (epoch, nonce): (u64, &[u8]),
        members: &[Name],
        ended: Ended,
    ) -> Result<Vec<Seen>, LimitError> {
        let names = Names::of(organization);
        let mut pipeline = Pipeline::with_capacity(members.len());
        for member in members {
            pipeline.cmd("HMGET").arg(names.hold(member).as_slice()).arg("n").arg("x").arg("w");
        }
        let replies = self.trip(&pipeline).await?;
        let seen = members.iter().zip(&replies).filter_map(|(member, reply)| {
            let fields: SmallVec<[&[u8]; 3]> = texts(reply).collect();
            let [held_under, state, mark] = fields.as_slice() else { return None };
            let placed_by = placed_by(mark).filter(|process| ended.covers(*process))?;
            let unended = *held_under == nonce && (*state == b"o" || *state == b"u");
            unended.then(|| Seen { organization, member: member.clone(), epoch, placed_by })
        });
        Ok(seen.collect())
    }

    async fn with_budgets(&self, seen: Vec<Seen>) -> Result<Vec<LeftHold>, LimitError> {
        if seen.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(seen.len());
        for one in &seen {
            pipeline.cmd("HKEYS").arg(Names::of(one.organization).hold(&one.member).as_slice());
        }
        let replies = self.trip(&pipeline).await?;
        Ok(seen.iter().zip(&replies).filter_map(|(one, reply)| left(one, reply)).collect())
    }
}

fn left(seen: &Seen, fields: &Value) -> Option<LeftHold> {
    let Value::Array(_) = fields else { return None };
    let (call, attempt) = std::str::from_utf8(&seen.member).ok()?.split_once(':')?;
    Some(LeftHold {
        organization_id: seen.organization,
        call_id: id(call)?,
        attempt: attempt.parse().ok()?,
        placed_by: seen.placed_by,
        epoch: seen.epoch,
        // The hold's own fields are single letters.
        budgets: texts(fields).filter(|field| field.len() > 1).filter_map(budget).collect(),
    })
}

/// A budget and the start of its window; where it ends plays no part in a settlement of a hold.
fn budget(field: &[u8]) -> Option<(BudgetId, Window)> {
    let (budget, start) = std::str::from_utf8(field).ok()?.split_once(':')?;
    let start = Timestamp::from_micros(start.parse().ok()?);
    let budget: BudgetId = id(budget)?;
    Some((budget, Window { start, end: Timestamp::from_micros(i64::MAX) }))
}
