//! What one side says is what the other hears, through the encoded bytes.

use proptest::prelude::*;
use prost::Message;
use tidegate_proto::{config, decision_of, encode_call, encode_event, usage, versioned_from_wire};
use tidegate_types::resource::{Resource, Versioned, content_hash};
use tidegate_types::revision::{Revision, Shard};
use tidegate_types::usage::{BillingEvent, CallRecord, Decision};

use crate::{resource_strategies, usage_strategies};

/// Through the encoded bytes, as over a connection.
fn through_bytes<M: Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).unwrap()
}

proptest! {
    #[test]
    fn every_resource_survives_the_wire_with_its_hash(
        resource in resource_strategies::resource(), n in any::<u64>(), tightens in any::<bool>(), deleted in any::<bool>(),
    ) {
        let key = resource.key();
        let shard = Shard::of(key.organization_id);
        let hash = content_hash(&resource);
        let resource = (!deleted).then_some(resource);
        let version = Versioned { key, revision: Revision { shard, n }, tightens, resource };
        let message = config::VersionedResource::from(&version);
        prop_assert_eq!(message.content_hash.is_empty(), deleted);
        prop_assert!(deleted || message.content_hash == hash);
        let heard = versioned_from_wire(shard, through_bytes(&message)).unwrap();
        if let Some(resource) = &heard.resource {
            prop_assert_eq!(content_hash(resource), hash);
        }
        prop_assert_eq!(heard, version);
    }

    #[test]
    fn resources_survive_the_wire_and_their_json_form_alike(resource in resource_strategies::resource()) {
        // config_resources holds the JSON form; both must say the same to a node.
        let stored: Resource = serde_json::from_str(&serde_json::to_string(&resource).unwrap()).unwrap();
        prop_assert_eq!(stored, resource);
    }

    #[test]
    fn every_billing_event_survives_the_wire(event in usage_strategies::event()) {
        let heard = through_bytes(&usage::BillingEvent::from(&event));
        prop_assert_eq!(BillingEvent::try_from(&heard).unwrap(), event);
    }

    #[test]
    fn every_call_record_survives_the_wire(call in usage_strategies::call()) {
        let heard = through_bytes(&usage::CallRecord::from(&call));
        prop_assert_eq!(CallRecord::try_from(&heard).unwrap(), call);
    }

    #[test]
    fn records_written_at_once_are_those_of_the_message(event in usage_strategies::event(), call in usage_strategies::call()) {
        let at_once = |write: &dyn Fn(&mut Vec<u8>)| {
            // What lies before a record in the same buffer stays as it is.
            let mut bytes = vec![7];
            write(&mut bytes);
            bytes.split_off(1)
        };
        let message = |record| usage::JournalRecord { record: Some(record), ..Default::default() }.encode_to_vec();
        prop_assert_eq!(
            at_once(&|out| encode_event(&event, out)),
            message(usage::journal_record::Record::Event((&event).into()))
        );
        prop_assert_eq!(
            at_once(&|out| encode_call(&call, out)),
            message(usage::journal_record::Record::Call((&call).into()))
        );
    }

    #[test]
    fn a_decision_read_from_a_record_is_that_of_the_whole_call(event in usage_strategies::event(), call in usage_strategies::call()) {
        let record = |write: &dyn Fn(&mut Vec<u8>)| {
            let place = usage::JournalRecord { boot: 7, lane: 1, sequence: 300, record: None };
            let mut bytes = place.encode_to_vec();
            write(&mut bytes);
            bytes
        };
        let whole = record(&|out| encode_call(&call, out));
        prop_assert_eq!(decision_of(&whole), Some(Decision::from(&call)));
        prop_assert_eq!(decision_of(&whole[..whole.len() - 1]), None);
        prop_assert_eq!(decision_of(&record(&|out| encode_event(&event, out))), None);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(message) = config::VersionedResource::decode(bytes.as_slice()) {
            let _ = versioned_from_wire(Shard::SYSTEM, message);
        }
        let _ = decision_of(&bytes);
        if let Ok(message) = usage::BillingEvent::decode(bytes.as_slice()) {
            let _ = BillingEvent::try_from(&message);
        }
        if let Ok(message) = usage::CallRecord::decode(bytes.as_slice()) {
            let _ = CallRecord::try_from(&message);
        }
    }
}
