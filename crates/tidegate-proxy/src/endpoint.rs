//! Which operation a request asks for, by method and path. Query strings are not looked at.

use http::{HeaderMap, HeaderName, Method};
use tidegate_types::resource::DialectName;
use tidegate_types::usage::Surface;

/// An operation of the gateway's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    /// A call of a model.
    Call(Surface),
    /// Models that may be called.
    Models,
    /// One of them.
    Model(&'a str),
    /// What a key may do.
    Key,
    /// The process lives.
    Live,
    /// The node serves.
    Ready,
    /// Another method is meant.
    WrongMethod(&'static str),
    /// Nothing is here.
    Unknown,
}

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// The operation at `path`.
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Endpoint<'a> {
    let (endpoint, allowed) = match path {
        "/v1/chat/completions" | "/chat/completions" => (Endpoint::Call(Surface::OpenaiChat), "POST"),
        "/v1/messages" => (Endpoint::Call(Surface::AnthropicMessages), "POST"),
        "/v1/models" | "/models" => (Endpoint::Models, "GET"),
        "/v1/key" => (Endpoint::Key, "GET"),
        "/livez" => (Endpoint::Live, "GET"),
        "/readyz" => (Endpoint::Ready, "GET"),
        _ => match path.strip_prefix("/v1/models/") {
            Some(name) if !name.is_empty() => (Endpoint::Model(name), "GET"),
            _ => return Endpoint::Unknown,
        },
    };
    if method.as_str() == allowed { endpoint } else { Endpoint::WrongMethod(allowed) }
}

/// The dialect in which a request is answered, also when nothing is at its path.
pub(crate) fn dialect(path: &str, headers: &HeaderMap) -> DialectName {
    let anthropic = path.starts_with("/v1/messages")
        || (headers.contains_key(ANTHROPIC_VERSION) && !path.ends_with("/chat/completions"));
    if anthropic { DialectName::AnthropicMessages } else { DialectName::OpenaiChat }
}

/// The dialect of a surface.
pub(crate) const fn dialect_of(surface: Surface) -> DialectName {
    match surface {
        Surface::OpenaiChat => DialectName::OpenaiChat,
        Surface::AnthropicMessages => DialectName::AnthropicMessages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_operations_whatever_tricks_surround_them() {
        let post = |path| find(&Method::POST, path);
        assert_eq!(post("/v1/chat/completions"), Endpoint::Call(Surface::OpenaiChat));
        assert_eq!(post("/chat/completions"), Endpoint::Call(Surface::OpenaiChat));
        assert_eq!(post("/v1/messages"), Endpoint::Call(Surface::AnthropicMessages));
        assert_eq!(post("/v1/models"), Endpoint::WrongMethod("GET"));
        assert_eq!(find(&Method::GET, "/v1/messages"), Endpoint::WrongMethod("POST"));
        assert_eq!(find(&Method::GET, "/v1/models/openai/gpt-5"), Endpoint::Model("openai/gpt-5"));
        for path in
            ["/v1//messages", "/V1/messages", "/v1/messages/", "/v1/messages/../key", "/", "", "/v1/models/"]
        {
            assert_eq!(post(path), Endpoint::Unknown, "{path}");
        }
    }
}
