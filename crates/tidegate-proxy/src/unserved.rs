//! What clients know of other services and is not served here: told by name, so that nobody looks for a
//! mistake of their own. Answered at once, with a status that no SDK tries again.

use http::{HeaderMap, header};
use tidegate_types::usage::RefusalCause;

use crate::refusal::{Refusal, Refused};

const BATCHES: &str = "batches and files are not served; send the requests one by one";
const SOCKETS: &str =
    "WebSockets and realtime sessions are not served; ask by POST, with `stream` where pieces are wanted";
const VARIATIONS: &str = "variations of images are not served: the last model that made them is retired; \
                          /v1/images/edits is served";
const VIDEOS: &str = "videos are made at the AI SDK's paths (/v4/ai/video-model) only";
const DECISIONS: &str = "decision models are not served";

/// Paths, without the version before them, that are refused by name; those that end with a slash with all
/// that lies below them.
const PATHS: [(&str, &str); 14] = [
    ("batches", BATCHES),
    ("batches/", BATCHES),
    ("batch/", BATCHES),
    ("files", BATCHES),
    ("files/", BATCHES),
    ("messages/batches", BATCHES),
    ("messages/batches/", BATCHES),
    ("realtime", SOCKETS),
    ("realtime/", SOCKETS),
    ("realtime-model", SOCKETS),
    ("images/variations", VARIATIONS),
    ("videos", VIDEOS),
    ("videos/", VIDEOS),
    ("decision-model", DECISIONS),
];

/// What is said of a path that nothing serves, if it is a known one.
pub(crate) fn find(path: &str) -> Option<&'static str> {
    let below = ["/v1/ai/", "/v3/ai/", "/v4/ai/", "/gateway/openai/v1/", "/v1/"];
    let bare = below.iter().find_map(|base| path.strip_prefix(base))?;
    let known = |name: &str| bare == name || (name.ends_with('/') && bare.starts_with(name));
    PATHS.iter().find(|(name, _)| known(name)).map(|(_, what)| *what)
}

/// What is said of a connection that is to become something else.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<&'static str> {
    let asks = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    headers.get_all(header::UPGRADE).iter().any(asks).then_some(SOCKETS)
}

/// The refusal.
pub(crate) fn refusal(what: &'static str) -> Refused {
    Refusal::new(RefusalCause::BadRequest, what).status(404).code("not_supported").closing()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_paths_are_told_by_name_and_others_are_not() {
        for path in ["/v1/batches", "/v1/batches/b_1/cancel", "/v4/ai/batch/start", "/v1/messages/batches"] {
            assert_eq!(find(path), Some(BATCHES), "{path}");
        }
        for path in ["/v1/realtime", "/v1/realtime/client-secrets", "/v4/ai/realtime-model"] {
            assert_eq!(find(path), Some(SOCKETS), "{path}");
        }
        for path in ["/v1/batchesx", "/batches", "/v1/", "/v1/chat/completions", "/v2/batches"] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
