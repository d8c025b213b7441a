//! What a call's record keeps of its plan and attempts.

use tidegate_types::usage::{CredentialType, FilterName, Outcome, PlannedRole, Standing};

use crate::plain::{OPENAI_ANSWER, ask};
use crate::provider::{Provider, Step, json, whole};
use crate::world::{World, openai};

#[tokio::test]
async fn the_record_says_who_could_have_answered_and_how_each_attempt_ended() {
    let bad = Provider::start(vec![whole(429, "retry-after: 60\r\n", "{}")]).await;
    let good = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &bad), openai("b", &good)]).await;
    assert_eq!(world.chat(&ask()).await.status, 200);
    let record = world.recorded(1).await;
    let plan = record.plan.unwrap();
    let candidates: Vec<_> =
        plan.candidates.iter().map(|c| (c.role, c.credential_type, c.standing, c.place)).collect();
    let fine = (PlannedRole::Named, CredentialType::System, Standing::Fine, None);
    assert_eq!(candidates, [fine, fine]);
    assert!(plan.candidates.iter().all(|candidate| candidate.credential_id.is_some()));
    assert!(plan.removed.is_empty());
    let offerings: Vec<_> = plan.candidates.iter().map(|candidate| candidate.offering_id).collect();
    let tried: Vec<_> = record.attempts.iter().map(|attempt| attempt.offering_id).collect();
    assert_eq!(offerings, tried);
    let ends: Vec<_> = record.attempts.iter().map(|attempt| (attempt.status, attempt.outcome)).collect();
    assert_eq!(ends, [(429, Some(Outcome::Refused)), (200, Some(Outcome::Completed))]);
    // The next call passes over the one that asked for a pause, and says so.
    assert_eq!(world.chat(&ask()).await.status, 200);
    let record = world.recorded(2).await;
    let standings: Vec<_> = record.plan.unwrap().candidates.iter().map(|c| c.standing).collect();
    assert_eq!((standings, record.attempts.len()), (vec![Standing::Fine, Standing::Cooling], 1));
}

#[tokio::test]
async fn who_was_taken_out_is_kept_with_the_filter_also_when_nobody_is_left() {
    let good = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &good), openai("b", &good)]).await;
    let only = |slug: &str| {
        let options = format!(r#","providerOptions":{{"gateway":{{"only":["{slug}"]}}}}}}"#);
        ask().trim_end().trim_end_matches('}').to_owned() + &options
    };
    assert_eq!(world.chat(&only("b")).await.status, 200);
    let plan = world.recorded(1).await.plan.unwrap();
    assert_eq!((plan.candidates.len(), plan.removed.len()), (1, 1));
    assert_eq!(plan.removed[0].filter, FilterName::Only);
    assert!(plan.removed[0].offering_id.is_some());
    assert!(world.chat(&only("nobody")).await.status >= 400);
    let plan = world.recorded(2).await.plan.unwrap();
    let filters: Vec<_> = plan.removed.iter().map(|removed| removed.filter).collect();
    assert_eq!((plan.candidates.len(), filters), (0, vec![FilterName::Only, FilterName::Only]));
}

#[tokio::test]
async fn the_usual_plan_of_one_candidate_takes_no_room() {
    let good = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &good)]).await;
    assert_eq!(world.chat(&ask()).await.status, 200);
    assert_eq!(world.recorded(1).await.plan, None);
}

#[tokio::test]
async fn when_a_pause_is_over_one_call_probes_and_the_others_follow_its_answer() {
    let first = Provider::start(vec![whole(429, "retry-after-ms: 300\r\n", "{}"), json(OPENAI_ANSWER)]).await;
    let other = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &first), openai("b", &other)]).await;
    assert_eq!(world.chat(&ask()).await.status, 200);
    assert_eq!((first.count(), other.count()), (1, 1));
    let mut calls = 1;
    while first.count() < 2 {
        assert_eq!(world.chat(&ask()).await.status, 200);
        calls += 1;
        assert!(calls < 10_000, "it is never probed");
    }
    // The probe was answered: everybody is back.
    let before = first.count();
    for _ in 0..3 {
        assert_eq!(world.chat(&ask()).await.status, 200);
    }
    assert_eq!(first.count(), before + 3);
}

#[tokio::test]
async fn while_a_probe_is_under_way_nobody_else_goes_there() {
    let slow = vec![Step::Pause(std::time::Duration::from_millis(600)), json(OPENAI_ANSWER).remove(0)];
    let first = Provider::start(vec![whole(429, "retry-after-ms: 50\r\n", "{}"), slow]).await;
    let other = Provider::start(vec![json(OPENAI_ANSWER)]).await;
    let world = World::start(&[openai("a", &first), openai("b", &other)]).await;
    assert_eq!(world.chat(&ask()).await.status, 200);
    tokio::time::sleep(std::time::Duration::from_millis(80)).await;
    let body = ask();
    let replies = futures_util::future::join_all((0..8).map(|_| world.chat(&body))).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(first.count(), 2, "one refusal, one probe");
}

#[tokio::test]
async fn when_everybody_is_to_be_left_alone_everybody_is_tried() {
    let busy = whole(429, "retry-after: 60\r\n", "{}");
    let (a, b) = (Provider::start(vec![busy.clone()]).await, Provider::start(vec![busy]).await);
    let world = World::start(&[openai("a", &a), openai("b", &b)]).await;
    assert_eq!(world.chat(&ask()).await.status, 429);
    assert_eq!((a.count(), b.count()), (1, 1));
    // Both cool; one of them would answer by now.
    b.script(vec![json(OPENAI_ANSWER)]);
    assert_eq!(world.chat(&ask()).await.status, 200);
    assert_eq!((a.count(), b.count()), (2, 2));
    // Who answered is back, and the other one still waits for its time.
    assert_eq!(world.chat(&ask()).await.status, 200);
    assert_eq!((a.count(), b.count()), (2, 3));
}
