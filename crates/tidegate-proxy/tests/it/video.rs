//! Videos end to end: the AI SDK's start, status and waiting requests, against the simulated services of
//! each family, and what we charge against what they bill.

use serde_json::{Value, json};
use tidegate_simulator::UnitPrices;
use tidegate_types::resource::Resource;
use tidegate_types::usage::CallOutcome;
use tidegate_types::{BudgetId, NanoUsd, TeamId};

use crate::stage::{Stage, strict};
use crate::world::{KEY, TEAM};

const MODELS: [&str; 4] = ["openai/film", "xai/film", "google/film", "vertex/film"];
const MP4: &str = "AAAAGGZ0eXBtcDQyAAAAAG1wNDJpc29t";

impl Stage {
    async fn start_video(&self, model: &str, body: &Value) -> (u16, Value) {
        let request = self.post("/v4/ai/video-model/start").header("ai-model-id", model).json(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn video_status(&self, operation: &Value) -> (u16, Value) {
        self.ask("/v4/ai/video-model/status", &json!({"operation": operation})).await
    }

    /// Asks until the job is over.
    async fn outcome(&self, operation: &Value) -> Value {
        for _ in 0..100 {
            let (status, answer) = self.video_status(operation).await;
            assert_eq!(status, 200, "{answer}");
            if answer["status"] != "pending" {
                return answer;
            }
        }
        panic!("never over");
    }

    /// The one event of a request that waits.
    async fn wait_for_video(&self, path: &str, model: &str, body: &Value) -> Value {
        let request = self.post(path).header("ai-model-id", model).header("accept", "text/event-stream");
        let answer = request.json(body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let text = answer.text().await.unwrap();
        let events: Vec<&str> = text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
        assert_eq!(events.len(), 1, "{text}");
        serde_json::from_str(events[0]).unwrap()
    }
}

fn prompt(seconds: u64) -> Value {
    json!({"prompt": "a tide", "n": 1, "duration": seconds, "providerOptions": {}})
}

#[tokio::test]
async fn a_video_is_begun_asked_for_and_charged_by_its_seconds_once() {
    let stage = Stage::start().await;
    strict(&stage, "10.00");
    for (calls, model) in MODELS.into_iter().enumerate() {
        let (status, begun) = stage.start_video(model, &prompt(8)).await;
        assert_eq!(status, 200, "{model}: {begun}");
        assert_eq!(begun["providerMetadata"]["gateway"]["cost"], "0.8", "{begun}");
        let (status, pending) = stage.video_status(&begun["operation"]).await;
        assert_eq!((status, &pending["status"]), (200, &json!("pending")), "{model}: {pending}");
        let done = stage.outcome(&begun["operation"]).await;
        assert_eq!(done["status"], "completed", "{model}: {done}");
        let video = &done["videos"][0];
        assert_eq!(video["mediaType"], "video/mp4");
        match model {
            // Anybody can fetch it there.
            "xai/film" => assert!(video["url"].as_str().unwrap().ends_with(".mp4"), "{done}"),
            _ => assert_eq!(video["data"], MP4, "{model}"),
        }
        // Asked again it costs nothing again.
        stage.outcome(&begun["operation"]).await;
        stage.assert_books_match(calls + 1).await;
        let event = stage.world.finals().pop().unwrap();
        assert_eq!((event.usage.video_seconds, event.cost.get()), (8, 8 * UnitPrices::VIDEO_SECOND / 1_000));
    }
    assert_eq!(stage.world.balance(BudgetId::from_u128(1)).await.held, NanoUsd::ZERO);
}

#[tokio::test]
async fn whoever_waits_gets_one_event_with_the_video() {
    let stage = Stage::start().await;
    strict(&stage, "10.00");
    for (calls, (path, model)) in
        [("/v3/ai/video-model", "openai/film"), ("/v4/ai/video-model", "google/film")].into_iter().enumerate()
    {
        let done = stage.wait_for_video(path, model, &prompt(4)).await;
        assert_eq!((&done["type"], &done["videos"][0]["data"]), (&json!("result"), &json!(MP4)), "{done}");
        assert_eq!(done["warnings"], json!([]));
        assert_eq!(done["providerMetadata"]["gateway"]["cost"], "0.4", "{done}");
        let call = stage.world.recorded(calls + 1).await;
        assert_eq!((call.status, call.outcome), (200, CallOutcome::Answered));
    }
    stage.assert_books_match(2).await;
}

#[tokio::test]
async fn several_videos_pictures_and_options_reach_veo_and_are_refused_by_name_elsewhere() {
    let stage = Stage::start().await;
    strict(&stage, "10.00");
    let picture = json!({"type": "file", "mediaType": "image/png", "data": "aGk="});
    let full = json!({"prompt": "a tide", "n": 2, "duration": 6, "aspectRatio": "16:9", "resolution": "1280x720",
        "seed": 7, "image": picture, "frameImages": [{"image": picture, "frameType": "first_frame"},
        {"image": picture, "frameType": "last_frame"}],
        "providerOptions": {"google": {"negativePrompt": "rain", "pollIntervalMs": 5}, "xai": {"odd": 1}}});
    let (status, begun) = stage.start_video("google/film", &full).await;
    assert_eq!(status, 200, "{begun}");
    let done = stage.outcome(&begun["operation"]).await;
    assert_eq!(done["videos"].as_array().unwrap().len(), 2, "{done}");
    assert_eq!(stage.world.finals()[0].usage.video_seconds, 12);
    let form = json!({"prompt": "a tide", "n": 1, "image": picture, "resolution": "1280x720", "providerOptions": {}});
    let (status, begun) = stage.start_video("openai/film", &form).await;
    assert_eq!(status, 200, "{begun}");
    assert_eq!(stage.world.finals()[1].usage.video_seconds, 4, "what the provider says that it makes");
    stage.assert_books_match(2).await;
    for (model, field, value) in [
        ("openai/film", "seed", json!(7)),
        ("xai/film", "n", json!(2)),
        ("openai/film", "aspectRatio", json!("16:9")),
        ("google/film", "fps", json!(24)),
        ("google/film", "generateAudio", json!(true)),
        ("vertex/film", "callbackUrl", json!("https://example.test/hook")),
        ("google/film", "image", json!({"type": "url", "url": "https://example.test/a.png"})),
    ] {
        let mut body = prompt(4);
        body[field] = value;
        let (status, answer) = stage.start_video(model, &body).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &json!(field)), "{model}: {answer}");
    }
    assert_eq!(stage.world.finals().iter().filter(|event| event.cost > NanoUsd::ZERO).count(), 2);
}

#[tokio::test]
async fn a_job_that_fails_says_so_and_a_refused_one_costs_nothing() {
    let stage = Stage::start().await;
    strict(&stage, "10.00");
    for model in MODELS {
        let body = json!({"prompt": "this will fail", "n": 1, "duration": 4, "providerOptions": {}});
        let (status, begun) = stage.start_video(model, &body).await;
        assert_eq!(status, 200, "{begun}");
        let failed = stage.outcome(&begun["operation"]).await;
        assert_eq!(failed["status"], "error", "{model}: {failed}");
        assert!(!failed["error"].as_str().unwrap().is_empty());
    }
    stage.assert_books_match(4).await;
    let body = json!({"prompt": "this will fail", "n": 1, "providerOptions": {}});
    let failed = stage.wait_for_video("/v4/ai/video-model", "openai/film", &body).await;
    assert_eq!((&failed["type"], &failed["statusCode"]), (&json!("error"), &json!(424)), "{failed}");
    assert!(failed["message"].as_str().unwrap().contains("moderation"), "{failed}");
    assert!(failed["errorType"].is_string() && failed.as_object().unwrap().contains_key("param"), "{failed}");
    // The provider takes 4, 8 or 12 seconds.
    let (status, answer) = stage.start_video("openai/film", &prompt(5)).await;
    assert_eq!(status, 400, "{answer}");
    let last = stage.world.finals().pop().unwrap();
    assert_eq!((last.cost, last.usage.video_seconds), (NanoUsd::ZERO, 0), "void");
    strict(&stage, "0.01");
    let (status, answer) = stage.start_video("openai/film", &prompt(4)).await;
    assert_eq!(status, 402, "forty cents are more than one: {answer}");
}

#[tokio::test]
async fn a_ticket_opens_nothing_for_others_and_cannot_be_made() {
    let stage = Stage::start().await;
    let (_, begun) = stage.start_video("openai/film", &prompt(4)).await;
    let ticket = begun["operation"].as_str().unwrap().to_owned();
    assert_eq!(stage.video_status(&json!(ticket)).await.0, 200, "the control");
    let (head, signature) = ticket.rsplit_once('.').unwrap();
    let (prefix, payload) = head.split_once('.').unwrap();
    let other = format!("{prefix}.{}x.{signature}", &payload[..payload.len() - 1]);
    for made_up in [other, head.to_owned(), format!("{ticket}.x"), String::new(), "video_1".into()] {
        let (status, answer) = stage.video_status(&json!(made_up)).await;
        assert_eq!((status, &answer["error"]["param"]), (404, &json!("operation")), "{made_up}: {answer}");
    }
    for body in [json!({}), json!({"operation": 7}), json!([])] {
        let (status, answer) = stage.ask("/v4/ai/video-model/status", &body).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &json!("operation")), "{answer}");
    }
    // The key moves to another team: the job is not that team's.
    let team = TeamId::from_u128(0x7EB);
    let Resource::Team(mut other) = crate::world::team(Default::default()) else { panic!() };
    assert_eq!(other.id, TEAM);
    other.id = team;
    let mut key = stage.world.virtual_key();
    assert_eq!(key.id, KEY);
    key.team_id = team;
    stage.world.put(vec![Resource::Team(other), Resource::Key(key)]);
    assert_eq!(stage.video_status(&json!(ticket)).await.0, 404);
    // So it is when the organization's key for such names is another one: nobody else can have signed it.
    stage.world.put(vec![Resource::Key(stage.world.virtual_key())]);
    assert_eq!(stage.video_status(&json!(ticket)).await.0, 200);
    let Resource::Organization(mut organization) = crate::world::organization() else { panic!() };
    organization.label_key = [8; 32];
    stage.world.put(vec![Resource::Organization(organization)]);
    assert_eq!(stage.video_status(&json!(ticket)).await.0, 404);
    let answer = stage
        .client
        .post(format!("http://{}/v4/ai/video-model/status", stage.world.address))
        .json(&json!({"operation": ticket}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 401, "nobody asks without a key");
}
