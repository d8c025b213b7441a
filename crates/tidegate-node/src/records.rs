//! The request's path writes to the journal through this.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tidegate_proxy::{JournalFull, Record, Records, Staged};
use tidegate_types::usage::{BillingEvent, CallRecord, EventKind};

use crate::journal::{Entry, Journal, JournalError};

/// The journal as the request's path knows it.
pub(crate) struct JournalRecords {
    journal: Arc<Journal>,
    /// Attempts that have begun and not ended.
    in_flight: AtomicU32,
    answers: AtomicU64,
    failed: AtomicU64,
}

impl JournalRecords {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self { journal, in_flight: AtomicU32::new(0), answers: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }

    /// Calls that were answered, and how many of them with 5xx.
    pub(crate) fn answers(&self) -> (u64, u64) {
        (self.answers.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    fn answered(&self, call: &CallRecord) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        if call.status >= 500 {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Attempts under way.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn write(&self, entries: &[Entry]) -> Result<(), JournalFull> {
        self.journal.append_entries(entries).map_err(refused)
    }

    fn count(&self, record: Record<'_>) {
        match record {
            Record::Event(event) if event.kind == EventKind::Intent && event.step == 0 => {
                self.in_flight.fetch_add(1, Ordering::Relaxed);
            }
            Record::Event(event) if event.kind == EventKind::Final => {
                // A final without an intent is legal: never below zero.
                let less = |n: u32| Some(n.saturating_sub(1));
                let _ = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            }
            Record::Event(_) => {}
            Record::Call(call) => self.answered(call),
        }
    }
}

impl Records for JournalRecords {
    fn append(&self, record: Record<'_>) -> Result<(), JournalFull> {
        self.write(&[entry(record)])?;
        self.count(record);
        Ok(())
    }

    fn stage(&self, intent: &BillingEvent) -> Result<Staged, JournalFull> {
        let (lane, ticket) = self.journal.stage(Entry::event(intent)).map_err(refused)?;
        Ok(Staged { lane, ticket })
    }

    fn land(&self, staged: Staged) -> Result<(), JournalFull> {
        self.journal.land(staged.lane, staged.ticket).map_err(refused)?;
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn append_last(&self, event: &BillingEvent, call: &CallRecord) -> Result<(), JournalFull> {
        self.write(&[Entry::event(event), Entry::call(call)])?;
        self.count(Record::Event(event));
        self.answered(call);
        Ok(())
    }
}

fn refused(error: JournalError) -> JournalFull {
    if let JournalError::Io(error) = error {
        tracing::error!(%error, "a record could not be written to the journal");
    }
    JournalFull
}

fn entry(record: Record<'_>) -> Entry {
    match record {
        Record::Event(event) => Entry::event(event),
        Record::Call(call) => Entry::call(call),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_proto::usage as wire;
    use tidegate_telemetry::SystemClock;

    use super::*;
    use crate::journal::JournalSettings;

    fn intent(call: u128) -> BillingEvent {
        let id = vec![1; 16];
        let event = wire::BillingEvent {
            call_id: call.to_be_bytes().to_vec(),
            kind: wire::EventKind::Intent.into(),
            organization_id: id.clone(),
            team_id: id.clone(),
            key_id: id.clone(),
            model_id: id.clone(),
            provider_id: id.clone(),
            offering_id: id,
            credential_type: wire::CredentialType::System.into(),
            outcome: wire::Outcome::Open.into(),
            method: wire::MeterMethod::Nothing.into(),
            usage: Some(wire::Usage::default()),
            ..wire::BillingEvent::default()
        };
        BillingEvent::try_from(&event).unwrap()
    }

    #[test]
    fn a_staged_intent_is_in_the_journal_and_under_way_once_it_has_landed() {
        let folder = tempfile::TempDir::new().unwrap();
        let settings = JournalSettings::new(folder.path().to_owned());
        let journal = Arc::new(Journal::open(&settings, Arc::new(SystemClock)).unwrap().0);
        let records = JournalRecords::new(journal.clone());
        let written = || journal.read(&mut journal.reader(), 10).unwrap().len();
        let staged = records.stage(&intent(1)).unwrap();
        assert_eq!((written(), records.in_flight()), (0, 0));
        records.land(staged).unwrap();
        assert_eq!((written(), records.in_flight()), (1, 1));
    }
}
