//! Identities for nodes that cannot enrol, made ahead.

use std::sync::Arc;

use prost::Message as _;
use tidegate_proto::enroll::EnrollResponse;
use tidegate_secrets::ca::NodeKey;
use tidegate_secrets::copy::{Record, Reserve};
use tidegate_secrets::sealing::SealingKeyPair;
use tidegate_store::fleet::Enrolment;
use tidegate_store::reserves;
use tidegate_telemetry::entropy;
use tidegate_types::{NodeId, Timestamp};

use super::Publisher;
use crate::PushError;

/// Another takes its place then: whoever takes it has most of the certificate's time left.
const FRESH_MILLIS: i64 = 24 * 3_600_000;

/// A reserve that nobody has claimed, as far as is known.
pub(crate) struct Spare {
    node_id: NodeId,
    reserve: Arc<Reserve>,
}

impl Publisher {
    /// A pool's reserves. In the place of those that have joined the fleet, or grow old, there are new ones.
    pub(super) async fn spares(&mut self, pool: &str, now: Timestamp) -> Result<Vec<Record>, PushError> {
        let free = reserves::of_pool(&self.store, pool).await?;
        let mut spares = self.spares.remove(pool).unwrap_or_default();
        spares.retain(|spare| {
            free.contains(&spare.node_id) && now.millis_since(spare.reserve.obtained) < FRESH_MILLIS
        });
        while spares.len() < self.settings.reserves {
            spares.push(self.spare(pool, now).await?);
        }
        let records = spares.iter().map(|spare| Record::Reserve(Arc::clone(&spare.reserve))).collect();
        self.spares.insert(pool.to_owned(), spares);
        Ok(records)
    }

    async fn spare(&self, pool: &str, now: Timestamp) -> Result<Spare, PushError> {
        let (key, sealing) = (NodeKey::generate()?, SealingKeyPair::generate()?);
        let node_id = entropy::new_id(now);
        let signed = self.material.authority.sign_node(&key.certificate_request()?, node_id, pool, now)?;
        let enrolment = Enrolment {
            node_id,
            pool,
            name: "",
            certificate_serial: &signed.serial,
            certificate_expires_at: signed.not_after,
            sealing_key: *sealing.public(),
        };
        reserves::insert(&self.store, &enrolment).await?;
        let answer = EnrollResponse {
            node_id: node_id.to_string(),
            pool: pool.to_owned(),
            certificate_chain: signed.chain.iter().map(|certificate| certificate.to_vec()).collect(),
            trust_roots: self.material.roots.iter().map(|root| root.to_vec()).collect(),
            not_after_micros: signed.not_after.as_micros(),
        };
        let reserve = Reserve { key, sealing, obtained: now, answer: answer.encode_to_vec() };
        Ok(Spare { node_id, reserve: Arc::new(reserve) })
    }
}
