//! The wire of shipping: reports are put together from records as they lie in the journal, which are
//! neither decoded nor encoded again.

use bytes::BufMut;
use http::uri::PathAndQuery;
use prost::Message;
use tidegate_proto::usage::{DecisionSeal, LanePosition, ReportRequest, ReportResponse};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::{ProstCodec, ProstDecoder};

/// Field 1 of a `ReportRequest`, of the kind that has a length.
const RECORD: u8 = 1 << 3 | 2;

/// An encoded `ReportRequest`.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<u8>);

impl Report {
    /// The first of a call: what is still held of each lane.
    pub(crate) fn opening(oldest_held: Vec<LanePosition>, sealing_boot: u64) -> Self {
        Self(ReportRequest { oldest_held, sealing_boot, ..Default::default() }.encode_to_vec())
    }

    /// Adds the signature over the decisions of its calls.
    pub(crate) fn sealed(mut self, seal: DecisionSeal) -> Self {
        let rest = ReportRequest { seal: Some(seal), ..Default::default() };
        self.0.extend_from_slice(&rest.encode_to_vec());
        self
    }

    /// Adds one record.
    pub(crate) fn push(&mut self, payload: &[u8]) {
        self.0.push(RECORD);
        // A vector grows on demand: encoding has no reason to fail.
        let _ = prost::encode_length_delimiter(payload.len(), &mut self.0);
        self.0.extend_from_slice(payload);
    }
}

/// Calls `UsageService.Report`.
pub(crate) async fn report(
    channel: Channel,
    reports: ReceiverStream<Report>,
) -> Result<Streaming<ReportResponse>, Status> {
    let mut client =
        tonic::client::Grpc::new(channel).max_decoding_message_size(tidegate_proto::MAX_MESSAGE_BYTES);
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let path = PathAndQuery::from_static("/tidegate.usage.v1.UsageService/Report");
    Ok(client.streaming(Request::new(reports), path, Reports).await?.into_inner())
}

/// Sends reports as they are, reads answers as usual.
struct Reports;

impl Codec for Reports {
    type Encode = Report;
    type Decode = ReportResponse;
    type Encoder = AsTheyAre;
    type Decoder = ProstDecoder<ReportResponse>;

    fn encoder(&mut self) -> AsTheyAre {
        AsTheyAre
    }

    fn decoder(&mut self) -> ProstDecoder<ReportResponse> {
        ProstCodec::<ReportRequest, ReportResponse>::default().decoder()
    }
}

struct AsTheyAre;

impl Encoder for AsTheyAre {
    type Item = Report;
    type Error = Status;

    fn encode(&mut self, report: Report, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(report.0.len());
        out.put_slice(&report.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tidegate_proto::usage::{BillingEvent, JournalRecord, journal_record::Record};

    use super::*;

    #[test]
    fn a_report_of_payloads_is_the_report_of_their_records() {
        let record = |sequence, tags| JournalRecord {
            boot: 7,
            lane: 1,
            sequence,
            record: Some(Record::Event(BillingEvent { tags: vec![vec![9; 16]; tags], ..Default::default() })),
        };
        let records = vec![record(1, 0), record(2, 20), record(3, 2_000)];
        let mut report = Report::default();
        records.iter().for_each(|record| report.push(&record.encode_to_vec()));
        let seal = DecisionSeal { number: 3, signature: vec![1; 70], ..Default::default() };
        let whole = ReportRequest { records, seal: Some(seal.clone()), ..Default::default() };
        assert_eq!(report.sealed(seal).0, whole.encode_to_vec());
    }
}
