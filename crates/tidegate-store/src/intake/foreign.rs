//! Attempts of other nodes: a node ends its own attempts and nobody else's. What a node left whose
//! certificate has expired, or that was taken out, may be shipped by the one that has its journal now.

use std::collections::HashSet;

use sqlx::postgres::PgConnection;
use tidegate_types::usage::{BillingEvent, EventKind};
use tidegate_types::{CallId, NodeId, OrganizationId, Timestamp};
use uuid::Uuid;

use super::{Record, Shipped};
use crate::Result;
use crate::convert::time;

type Attempt = (OrganizationId, CallId, u16);

/// The batch's attempts that belong to other nodes.
#[derive(Debug, Default)]
pub(super) struct Foreign(HashSet<Attempt>);

fn events(batch: &[Shipped]) -> impl Iterator<Item = &BillingEvent> {
    batch.iter().filter_map(|shipped| match &shipped.record {
        Record::Event { event, .. } => Some(event),
        Record::Call(_) => None,
    })
}

const fn attempt(event: &BillingEvent) -> Attempt {
    (event.organization_id, event.call_id, event.attempt)
}

impl Foreign {
    /// Looks for the attempts that the batch ends and that somebody else began.
    pub(super) async fn of(
        connection: &mut PgConnection,
        node: NodeId,
        batch: &[Shipped],
        now: Timestamp,
    ) -> Result<Self> {
        let ends = events(batch).filter(|event| event.kind != EventKind::Intent || event.step > 0);
        let asked: HashSet<Attempt> = ends.map(attempt).collect();
        if asked.is_empty() {
            return Ok(Self::default());
        }
        let organizations: Vec<Uuid> = asked.iter().map(|(id, ..)| id.to_uuid()).collect();
        let calls: Vec<Uuid> = asked.iter().map(|(_, id, _)| id.to_uuid()).collect();
        let numbers: Vec<i32> = asked.iter().map(|(.., number)| i32::from(*number)).collect();
        let rows: Vec<(Uuid, Uuid, i32)> = sqlx::query_as(
            "SELECT o.organization_id, o.call_id, o.attempt
             FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS k (organization_id, call_id, attempt)
             JOIN open_attempts o USING (organization_id, call_id, attempt)
             JOIN nodes other ON other.node_id = o.node_id
             WHERE o.node_id <> $4 AND (
                 (other.state = 'enrolled' AND other.certificate_expires_at > $5)
                 OR other.pool <> (SELECT pool FROM nodes WHERE node_id = $4))",
        )
        .bind(&organizations)
        .bind(&calls)
        .bind(&numbers)
        .bind(node.to_uuid())
        .bind(time(now))
        .fetch_all(connection)
        .await?;
        let foreign = rows.into_iter().map(|(organization, call, number)| {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            (OrganizationId::from_uuid(organization), CallId::from_uuid(call), number)
        });
        Ok(Self(foreign.collect()))
    }

    /// What is wrong with a record that ends another node's attempt.
    pub(super) fn fault(&self, shipped: &Shipped) -> Option<&'static str> {
        match &shipped.record {
            Record::Event { event, .. } => {
                self.0.contains(&attempt(event)).then_some("another_nodes_attempt")
            }
            Record::Call(_) => None,
        }
    }
}
