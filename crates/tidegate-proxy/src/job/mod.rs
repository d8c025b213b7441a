//! Jobs that make videos: what has become of one, asked once or until it is done. Free: what a job costs
//! is charged when the provider takes it on.

mod ask;
mod watch;

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, request};
use http_body::Body;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidegate_dialect::video::job::State;
use tidegate_types::usage::RefusalCause;

use crate::account::Arrival;
use crate::authenticate::enter;
use crate::gateway::Gateway;
use crate::headers::JSON;
use crate::known_limits::KnownLimits;
use crate::read_call::collect;
use crate::refusal::{Refusal, Refused};
use crate::ticket::Ticket;

pub(crate) use watch::watch;

#[derive(Deserialize)]
struct Question {
    operation: String,
}

/// Answers `…/video-model/status`.
pub(crate) async fn status<B>(
    gateway: &Arc<Gateway>,
    arrival: Arrival,
    head: &request::Parts,
    body: B,
    known: &mut KnownLimits,
) -> Result<Response<Bytes>, Refused>
where
    B: Body<Data = Bytes> + Unpin,
{
    let caller = enter(gateway, arrival, &head.headers, known)?;
    let body = collect(&gateway.settings, &head.headers, body).await?;
    let question: Question = serde_json::from_slice(&body).map_err(|_| {
        let message = "the body must be an object with `operation`, as it was given when the job began";
        Refusal::new(RefusalCause::BadRequest, message).param("operation")
    })?;
    let ticket = Ticket::open(&caller.view, &question.operation)?;
    let written = match ask::ask(gateway, &caller.view, &ticket).await? {
        State::Pending => br#"{"status":"pending","warnings":[]}"#.to_vec(),
        State::Failed(said) => {
            let error = serde_json::to_string(said.expose()).unwrap_or_default();
            format!(r#"{{"status":"error","error":{error}}}"#).into_bytes()
        }
        State::Done(clips) => {
            let videos = ask::videos(&clips)?;
            [br#"{"status":"completed","videos":"#, videos.get().as_bytes(), br#","warnings":[]}"#].concat()
        }
    };
    let mut response = Response::new(Bytes::from(written));
    response.headers_mut().insert(http::header::CONTENT_TYPE, JSON);
    Ok(response)
}

/// What the beginning of a job says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Beginning {
    operation: String,
    warnings: Option<Box<RawValue>>,
    provider_metadata: Option<Box<RawValue>>,
}
