//! Videos: jobs that are begun, asked about and fetched. A job is ready when it is asked about the second
//! time; one whose prompt says `fail` makes nothing. Charged when it is begun, as it is at once work.

use serde_json::{Value, json};

use super::form::parts;
use super::{Answered, Made, Received, object, word};
use crate::ask::{Invalid, count, only_known, text};
use crate::complete::{Counts, Units};

/// How a job is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Openai,
    Xai,
    Studio,
    Vertex,
}

/// A job.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) name: String,
    manner: Manner,
    fails: bool,
    videos: u64,
    seconds: u64,
    asked: u64,
}

/// The head of an MP4 file.
pub(crate) const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";
/// The same in base64.
const MP4_BASE64: &str = "AAAAGGZ0eXBtcDQyAAAAAG1wNDJpc29t";

struct Wanted<'a> {
    model: &'a str,
    prompt: &'a str,
    videos: u64,
    seconds: u64,
}

fn made(manner: Manner, name: String, wanted: &Wanted<'_>, body: &Value) -> Made {
    let Wanted { model, prompt, videos, seconds } = *wanted;
    let units = Units { video_seconds: videos * seconds, ..Units::default() };
    let counts = Counts { units, ..Counts::default() };
    let job = Job { name, manner, fails: prompt.contains("fail"), videos, seconds, asked: 0 };
    Made { job: Some(job), ..Made::json(model, prompt, body, counts) }
}

/// `POST /videos`, a form.
pub(super) fn openai(received: &Received<'_>) -> Answered {
    const KNOWN: [&str; 5] = ["model", "prompt", "seconds", "size", "input_reference"];
    let parts = parts(received.content_type, received.body)?;
    if let Some(part) = parts.iter().find(|part| !KNOWN.contains(&part.name.as_str())) {
        return Err(Invalid::new(format!("Unknown parameter: '{}'.", part.name), &*part.name));
    }
    let get = |name: &str| parts.iter().find(|part| part.name == name);
    let said = |name: &str| get(name).map(super::form::Part::text).unwrap_or_default();
    let (model, prompt, size) = (said("model"), said("prompt"), said("size"));
    if model.is_empty() || prompt.is_empty() {
        return Err(Invalid::new("Missing required parameter: 'prompt'.", "prompt"));
    }
    let seconds = match said("seconds").as_str() {
        "" | "4" => 4,
        "8" => 8,
        "12" => 12,
        _ => return Err(Invalid::new("Invalid value. Supported values are: '4', '8', and '12'.", "seconds")),
    };
    if !matches!(size.as_str(), "" | "720x1280" | "1280x720" | "1024x1792" | "1792x1024") {
        return Err(Invalid::new("Invalid size.", "size"));
    }
    if get("input_reference").is_some_and(|part| part.file_name.is_none()) {
        return Err(Invalid::new("'input_reference' must be a file.", "input_reference"));
    }
    let name = format!("video_{:016x}", received.number);
    let wanted = Wanted { model: &model, prompt: &prompt, videos: 1, seconds };
    let body = json!({"id": name, "object": "video", "model": model, "status": "queued", "progress": 0,
        "created_at": 1_700_000_000, "seconds": seconds.to_string(), "size": if size.is_empty() { "720x1280" } else { &size }});
    Ok(made(Manner::Openai, name, &wanted, &body))
}

/// `POST /videos/generations`, as xAI has it.
pub(super) fn xai(received: &Received<'_>) -> Answered {
    let body = object(received.body)?;
    let known =
        ["model", "prompt", "duration", "aspect_ratio", "resolution", "image", "reference_images", "user"];
    only_known(&body, &known, "")?;
    let (model, prompt) = (text(body.get("model"), "model")?, text(body.get("prompt"), "prompt")?);
    let seconds = count(body.get("duration"), 1, "duration")?.unwrap_or(8);
    if seconds > 15 {
        return Err(Invalid::new("'duration' is at most 15.", "duration"));
    }
    word(body.get("resolution"), &["480p", "720p"], "resolution")?;
    word(body.get("aspect_ratio"), &["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3"], "aspect_ratio")?;
    let name = format!("{:08x}-0000-4000-8000-000000000000", received.number);
    let wanted = Wanted { model, prompt, videos: 1, seconds };
    Ok(made(Manner::Xai, name.clone(), &wanted, &json!({"request_id": name})))
}

/// The model of `…/models/{model}:predictLongRunning`, and whether it is Vertex AI's path.
pub(super) fn google_model<'p>(path: &'p str, ending: &str) -> Option<(&'p str, bool)> {
    let rest = path.strip_prefix("/gemini/")?.strip_suffix(ending)?;
    match rest.strip_prefix("v1beta/models/") {
        Some(model) => Some((model, false)),
        None => Some((rest.split_once("/publishers/google/models/")?.1, true)),
    }
    .filter(|(model, _)| !model.is_empty() && !model.contains('/'))
}

/// `:predictLongRunning`.
pub(super) fn google(received: &Received<'_>) -> Answered {
    let body = object(received.body)?;
    only_known(&body, &["instances", "parameters"], "")?;
    let (model, vertex) = google_model(received.path, ":predictLongRunning")
        .ok_or_else(|| Invalid::new("no model", "model"))?;
    let instance = body.get("instances").and_then(|list| list.get(0)).and_then(Value::as_object);
    let instance = instance.ok_or_else(|| Invalid::new("instances: one is needed.", "instances"))?;
    only_known(instance, &["prompt", "image", "lastFrame", "referenceImages"], "instances[0]")?;
    let prompt = text(instance.get("prompt"), "prompt")?;
    let nothing = serde_json::Map::new();
    let parameters = body.get("parameters").and_then(Value::as_object).unwrap_or(&nothing);
    let known = [
        "sampleCount",
        "durationSeconds",
        "aspectRatio",
        "resolution",
        "seed",
        "generateAudio",
        "negativePrompt",
        "personGeneration",
        "enhancePrompt",
    ];
    only_known(parameters, &known, "parameters")?;
    if !vertex && parameters.contains_key("generateAudio") {
        return Err(Invalid::new("`generateAudio` isn't supported by this model.", "generateAudio"));
    }
    word(parameters.get("aspectRatio"), &["16:9", "9:16"], "aspectRatio")?;
    word(parameters.get("resolution"), &["720p", "1080p", "4k"], "resolution")?;
    let videos = count(parameters.get("sampleCount"), 1, "sampleCount")?.unwrap_or(1);
    let seconds = count(parameters.get("durationSeconds"), 4, "durationSeconds")?.unwrap_or(8);
    if videos > 4 || seconds > 8 {
        return Err(Invalid::new(
            "The number value for `durationSeconds` is out of bound.",
            "durationSeconds",
        ));
    }
    let name = if vertex {
        format!("projects/p/locations/l/publishers/google/models/{model}/operations/{}", received.number)
    } else {
        format!("models/{model}/operations/op{:x}", received.number)
    };
    let manner = if vertex { Manner::Vertex } else { Manner::Studio };
    let wanted = Wanted { model, prompt, videos, seconds };
    Ok(made(manner, name.clone(), &wanted, &json!({"name": name})))
}

/// What a status asks for.
#[derive(Debug)]
pub(crate) enum Query<'p> {
    /// How it stands with this job.
    Status(std::borrow::Cow<'p, str>),
    /// The video of this job.
    Content(&'p str),
    /// A file of Google's.
    File,
    /// A file of Google's, which is elsewhere.
    Moved(&'p str),
    /// A file that anybody may fetch.
    Public,
}

/// The question at a path, if it is one about videos.
pub(crate) fn query<'p>(method: &http::Method, path: &'p str, body: &[u8]) -> Option<Query<'p>> {
    if method == http::Method::POST {
        google_model(path, ":fetchPredictOperation")?;
        let body: Value = serde_json::from_slice(body).ok()?;
        return Some(Query::Status(body.get("operationName")?.as_str()?.to_owned().into()));
    }
    if path.starts_with("/media/") {
        return Some(Query::Public);
    }
    if let Some(rest) = path.strip_prefix("/openai/v1/videos/") {
        return match rest.strip_suffix("/content") {
            Some(name) => Some(Query::Content(name)),
            None => Some(Query::Status(rest.into())),
        };
    }
    if let Some(name) = path.strip_prefix("/gemini/v1beta/files/") {
        return Some(Query::Moved(name));
    }
    if path.starts_with("/gemini/download/v1beta/files/") {
        return Some(Query::File);
    }
    let name = path.strip_prefix("/gemini/v1beta/")?;
    name.contains("/operations/").then(|| Query::Status(name.into()))
}

impl Job {
    /// How it stands, in the words of its service; `host` is where this is.
    pub(crate) fn status(&mut self, host: &str) -> Value {
        self.asked += 1;
        let ready = self.asked > 1;
        let name = &self.name;
        match self.manner {
            Manner::Openai => {
                let status = match (ready, self.fails) {
                    (false, _) => "in_progress",
                    (true, true) => "failed",
                    (true, false) => "completed",
                };
                let error = (status == "failed")
                    .then(|| json!({"code": "moderation_blocked", "message": "Blocked by our moderation."}));
                json!({"id": name, "object": "video", "status": status, "progress": if ready { 100 } else { 50 },
                    "seconds": self.seconds.to_string(), "error": error})
            }
            Manner::Xai if !ready => json!({"status": "pending"}),
            Manner::Xai if self.fails => json!({"status": "failed", "error": {"message": "It failed."}}),
            Manner::Xai => json!({"status": "done", "model": "simulated", "video":
                {"url": format!("http://{host}/media/{name}.mp4"), "duration": self.seconds, "respect_moderation": true}}),
            Manner::Studio | Manner::Vertex if !ready => json!({"name": name}),
            Manner::Studio | Manner::Vertex if self.fails => {
                json!({"name": name, "done": true, "error": {"code": 3, "message": "The prompt was blocked."}})
            }
            Manner::Studio => {
                let uri = format!("http://{host}/gemini/v1beta/files/f{}:download?alt=media", self.seconds);
                json!({"name": name, "done": true, "response": {"generateVideoResponse":
                    {"generatedSamples": vec![json!({"video": {"uri": uri}}); self.videos as usize]}}})
            }
            Manner::Vertex => json!({"name": name, "done": true, "response": {"videos":
                vec![json!({"bytesBase64Encoded": MP4_BASE64, "mimeType": "video/mp4"}); self.videos as usize]}}),
        }
    }
}
