//! Intake: whatever a node sends in whatever order, the books are right.

use tidegate_proto::usage::{
    JournalRecord, LanePosition, ReportRequest, ReportResponse, journal_record::Record,
};
use tidegate_store::{budgets, intake, ledger, offerings};
use tidegate_types::usage::{BillingEvent, CallRecord};
use tidegate_types::{BudgetId, NanoUsd, OrganizationId, PriceId};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::fake_node::FakeNode;
use crate::plane::{DEADLINE, Plane, commit, now};
use crate::samples::{self, Attempt, COST, HELD};

pub(crate) struct Books {
    pub(crate) plane: Plane,
    pub(crate) organization: OrganizationId,
    pub(crate) attempt: Attempt,
}

/// An organization with a key and a budget, and a price.
pub(crate) async fn books() -> Books {
    books_over(Plane::start().await).await
}

pub(crate) async fn books_over(plane: Plane) -> Books {
    let (organization, team) = plane.organization("acme").await;
    let offering = samples::offering();
    let mut change = plane.change(OrganizationId::SYSTEM).await;
    offerings::insert(&mut change, &offering).await.unwrap();
    commit(change).await;
    let budget = samples::budget(organization);
    let mut change = plane.change(organization).await;
    budgets::insert(&mut change, &budget).await.unwrap();
    commit(change).await;
    let key = samples::key(organization, team, "one");
    let attempt = Attempt {
        organization_id: organization,
        team_id: team,
        key_id: key.id,
        price_id: Some(offering.prices[0].id),
        budget_id: budget.id,
        epoch: 1,
    };
    Books { plane, organization, attempt }
}

impl Books {
    pub(crate) async fn spent(&self) -> (NanoUsd, NanoUsd) {
        let actor = tidegate_store::SystemActor::new("test").acting_for(self.organization);
        let mut tx = self.plane.store.begin(&actor).await.unwrap();
        ledger::check(&mut tx).await.unwrap();
        let charged = ledger::charged(&mut tx).await.unwrap();
        let ids: [BudgetId; 1] = [self.attempt.budget_id];
        let spend = budgets::spend(&mut tx, &ids, now()).await.unwrap();
        let spent = spend.first().map_or(NanoUsd::ZERO, |spend| spend.spent);
        (charged, spent)
    }
}

pub(crate) fn event(sequence: u64, event: &BillingEvent) -> JournalRecord {
    JournalRecord { boot: 1, lane: 0, sequence, record: Some(Record::Event(event.into())) }
}

pub(crate) fn call(sequence: u64, call: &CallRecord) -> JournalRecord {
    JournalRecord { boot: 1, lane: 0, sequence, record: Some(Record::Call(call.into())) }
}

pub(crate) struct Reporter {
    pub(crate) say: mpsc::Sender<ReportRequest>,
    answers: Streaming<ReportResponse>,
}

impl Reporter {
    pub(crate) async fn open(node: &FakeNode) -> Self {
        let (say, said) = mpsc::channel(16);
        let answers = node.usage().report(ReceiverStream::new(said)).await.unwrap().into_inner();
        Self { say, answers }
    }

    /// Sends a batch and returns how far the lane is acknowledged then.
    pub(crate) async fn report(&mut self, records: Vec<JournalRecord>) -> Result<u64, Status> {
        self.say.send(ReportRequest { records, ..ReportRequest::default() }).await.unwrap();
        self.acknowledged().await
    }

    pub(crate) async fn acknowledged(&mut self) -> Result<u64, Status> {
        let answer =
            tokio::time::timeout(DEADLINE, self.answers.message()).await.expect("no acknowledgement");
        let answer = answer?.expect("the stream ended");
        Ok(answer.acknowledged.iter().map(|lane: &LanePosition| lane.sequence).max().unwrap_or(0))
    }
}

impl Reporter {
    /// Says where a lane begins that the node still holds, and returns where it goes on.
    pub(crate) async fn resume(&mut self, sequence: u64) -> Result<u64, Status> {
        let oldest_held = vec![LanePosition { boot: 1, lane: 0, sequence }];
        self.say.send(ReportRequest { oldest_held, ..ReportRequest::default() }).await.unwrap();
        self.acknowledged().await
    }
}

/// 20 attempts: intent, final, call record of each.
fn journal(attempt: &Attempt) -> Vec<JournalRecord> {
    let mut records = Vec::new();
    for _ in 0..20 {
        let intent = attempt.intent();
        let end = Attempt::end(&intent, COST);
        let next = records.len() as u64 + 1;
        records.push(event(next, &intent));
        records.push(event(next + 1, &end));
        records.push(call(next + 2, &Attempt::call(&end)));
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_stored_and_acknowledged_up_to_the_first_gap() {
    let books = books().await;
    let node = FakeNode::enrol(&books.plane).await;
    let mut reporter = Reporter::open(&node).await;
    let records = journal(&books.attempt);
    assert_eq!(reporter.report(records[..10].to_vec()).await.unwrap(), 10);
    assert_eq!(reporter.report(records[20..].to_vec()).await.unwrap(), 10, "11 to 20 are missing");
    assert_eq!(reporter.report(records[10..].to_vec()).await.unwrap(), 60);
    assert_eq!(books.spent().await, (NanoUsd::new(20 * COST.get()), NanoUsd::new(20 * COST.get())));
    assert_eq!(books.plane.metrics.cost_disagreements.get(), 0);
    // What is stored is said at once when a stream opens: nothing is shipped again.
    let mut again = Reporter::open(&node).await;
    assert_eq!(again.acknowledged().await.unwrap(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restored_database_a_lane_goes_on_behind_what_nobody_holds_and_the_fleet_shows_it() {
    let books = books().await;
    let node = FakeNode::enrol(&books.plane).await;
    let mut reporter = Reporter::open(&node).await;
    let records = journal(&books.attempt);
    assert_eq!(reporter.report(records[..6].to_vec()).await.unwrap(), 6);
    assert_eq!(reporter.resume(4).await.unwrap(), 6, "nothing is missing");
    assert_eq!(reporter.report(records[12..].to_vec()).await.unwrap(), 6, "the node has to say it first");
    assert_eq!(reporter.resume(13).await.unwrap(), 12);
    assert_eq!(reporter.report(records[12..].to_vec()).await.unwrap(), 60);
    assert_eq!(books.plane.fleet(node.id).await.missing_records, 6);
    assert_eq!(books.plane.metrics.missing.get(), 6);
    for bad in [0, u64::MAX] {
        let mut reporter = Reporter::open(&node).await;
        reporter.acknowledged().await.unwrap();
        assert_eq!(reporter.resume(bad).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicated_reordered_and_replayed_reports_leave_the_totals_equal() {
    let books = books().await;
    let node = FakeNode::enrol(&books.plane).await;
    let mut reporter = Reporter::open(&node).await;
    let records = journal(&books.attempt);
    let backwards: Vec<_> = records.iter().rev().cloned().collect();
    let twice: Vec<_> = records.iter().chain(&records).cloned().collect();
    let odd: Vec<_> = records.iter().skip(1).step_by(2).cloned().collect();
    for (round, batch) in [odd, backwards, twice, records.clone()].into_iter().enumerate() {
        for part in batch.chunks(7 + round) {
            reporter.report(part.to_vec()).await.unwrap();
        }
    }
    let total = NanoUsd::new(20 * COST.get());
    assert_eq!(books.spent().await, (total, total));
    // The whole journal three times more, over fresh streams, from the beginning.
    for _ in 0..3 {
        let mut replay = Reporter::open(&node).await;
        replay.acknowledged().await.unwrap();
        assert_eq!(replay.report(records.clone()).await.unwrap(), 60);
    }
    assert_eq!(books.spent().await, (total, total));
    assert_eq!(books.plane.metrics.records.get(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_plane_computes_every_cost_itself_and_counts_who_disagrees() {
    let books = books().await;
    let node = FakeNode::enrol(&books.plane).await;
    let mut reporter = Reporter::open(&node).await;
    let intent = books.attempt.intent();
    let lie = Attempt::end(&intent, NanoUsd::new(1));
    reporter.report(vec![event(1, &intent), event(2, &lie)]).await.unwrap();
    assert_eq!(books.spent().await, (COST, COST));
    assert_eq!(books.plane.metrics.cost_disagreements.get(), 1);

    // A price that the store does not have: the node's figure stands, and is counted.
    let unknown = Attempt { price_id: Some(PriceId::from_u128(99)), ..books.attempt.clone() };
    let intent = unknown.intent();
    reporter.report(vec![event(3, &intent), event(4, &Attempt::end(&intent, HELD))]).await.unwrap();
    assert_eq!(books.spent().await.0, COST + HELD);
    assert_eq!(books.plane.metrics.cost_disagreements.get(), 2);

    // Without a price the policy's ceiling counts, for every token.
    let mut intent = Attempt { price_id: None, ..books.attempt.clone() }.intent();
    intent.ceiling_pico = Some(2_000);
    reporter.report(vec![event(5, &Attempt::end(&intent, NanoUsd::new(300)))]).await.unwrap();
    assert_eq!(books.spent().await.0, COST + HELD + NanoUsd::new(300));
    assert_eq!(books.plane.metrics.cost_disagreements.get(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cannot_report_for_another() {
    let books = books().await;
    let (honest, hostile) = (FakeNode::enrol(&books.plane).await, FakeNode::enrol(&books.plane).await);
    let records = journal(&books.attempt);
    // The hostile node ships a journal that claims the honest node's boot and lane.
    assert_eq!(Reporter::open(&hostile).await.report(records.clone()).await.unwrap(), 60);
    let of_honest = intake::marks(&books.plane.store, honest.id).await.unwrap();
    assert!(of_honest.is_empty(), "nothing of it counts as the honest node's");
    assert_eq!(intake::marks(&books.plane.store, hostile.id).await.unwrap().len(), 1);
    // What it stored cannot be overwritten or doubled by anybody.
    let mut reporter = Reporter::open(&honest).await;
    assert_eq!(reporter.report(records).await.unwrap(), 60);
    assert_eq!(books.spent().await.0, NanoUsd::new(20 * COST.get()));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_cannot_be_read_end_the_stream_and_store_nothing_of_their_batch() {
    let books = books().await;
    let node = FakeNode::enrol(&books.plane).await;
    let good = event(1, &books.attempt.intent());
    let event_of = |record: &JournalRecord| match &record.record {
        Some(Record::Event(event)) => event.clone(),
        _ => unreachable!(),
    };
    let mut short_id = event_of(&good);
    short_id.call_id.pop();
    let mut unknown_kind = event_of(&good);
    unknown_kind.kind = 99;
    for bad in [
        JournalRecord { sequence: 2, record: None, ..good.clone() },
        JournalRecord { sequence: 2, lane: 70_000, ..good.clone() },
        JournalRecord { sequence: 0, ..good.clone() },
        JournalRecord { sequence: u64::MAX, ..good.clone() },
        JournalRecord { boot: u64::MAX, ..good.clone() },
        JournalRecord { sequence: 2, record: Some(Record::Event(short_id)), ..good.clone() },
        JournalRecord { sequence: 2, record: Some(Record::Event(unknown_kind)), ..good.clone() },
        JournalRecord { sequence: 2, record: Some(Record::Call(Default::default())), ..good.clone() },
    ] {
        let mut reporter = Reporter::open(&node).await;
        let refused = reporter.report(vec![good.clone(), bad]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    assert!(intake::marks(&books.plane.store, node.id).await.unwrap().is_empty());
    // An organization that does not exist is put aside: it must not stop the journal for ever.
    let stranger = Attempt { organization_id: OrganizationId::from_u128(9), ..books.attempt.clone() };
    let aside = event(1, &stranger.intent());
    let mut reporter = Reporter::open(&node).await;
    assert_eq!(reporter.report(vec![aside, event(2, &books.attempt.intent())]).await.unwrap(), 2);
}
