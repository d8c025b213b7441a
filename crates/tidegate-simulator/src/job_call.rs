//! Questions about jobs that make videos: how they stand, and their files. Free.

use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::Either;
use serde_json::json;

use crate::delivery::whole;
use crate::reply::{Answer, json_answer, plain_answer, presented_key};
use crate::state::State;
use crate::tasks::video::{MP4, Query};

/// Answers a question about a job.
pub(crate) fn job_call(state: &State, query: &Query<'_>, headers: &HeaderMap) -> Answer {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = match header("x-goog-api-key") {
        "" => presented_key(headers),
        key => key,
    };
    if !matches!(query, Query::Public) && !state.accepts(key) {
        return plain_answer(
            401,
            json!({"error": {"message": "Incorrect API key provided."}}).to_string().into(),
        );
    }
    match query {
        Query::Status(name) => match state.ask_job(name, header("host")) {
            Some(status) => json_answer(&status),
            None => plain_answer(404, json!({"error": {"message": "No such video."}}).to_string().into()),
        },
        Query::Content(name) if !state.has_job(name) => {
            plain_answer(404, json!({"error": {"message": "No such video."}}).to_string().into())
        }
        Query::Public | Query::File | Query::Content(_) => {
            let mut answer = Response::new(Either::Left(whole(MP4.to_vec())));
            answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("video/mp4"));
            answer
        }
        Query::Moved(name) => {
            let mut answer = plain_answer(302, Vec::new());
            *answer.status_mut() = StatusCode::FOUND;
            let place = format!("http://{}/gemini/download/v1beta/files/{name}?alt=media", header("host"));
            if let Ok(place) = header::HeaderValue::from_str(&place) {
                answer.headers_mut().insert(header::LOCATION, place);
            }
            answer
        }
    }
}
