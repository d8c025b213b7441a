//! Which operation a request asks for, by method and path. Query strings are not looked at.
//!
//! All surfaces lie side by side at the origin's root, each where its clients expect it.

use http::{HeaderMap, HeaderName, Method};
use tidegate_dialect::read::Way;
use tidegate_types::resource::DialectName;
use tidegate_types::usage::Surface;

use crate::face::{Face, Manner};
use crate::refusal::Voice;

/// An operation of the gateway's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    /// A call of a model.
    Call(Face<'a>),
    /// What has become of a job that makes videos.
    Job,
    /// Models that may be called.
    Models,
    /// One of them.
    Model(&'a str),
    /// Who offers one of them.
    ModelEndpoints(&'a str),
    /// Models as the AI SDK of this specification version lists them.
    Config(u8),
    /// What a key may do.
    Key,
    /// What is asked of the control plane.
    Query(Query),
    /// The process lives.
    Live,
    /// The node serves.
    Ready,
    /// Whatever it is, its head is too large.
    LargeHead,
    /// Another method is meant.
    WrongMethod(&'static str),
    /// Nothing is here.
    Unknown,
}

/// Questions that only the control plane can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Query {
    /// `/v1/credits`.
    Credits,
    /// `/v1/generation`.
    Generation,
    /// `/v1/report`.
    Report,
}

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// The operation at `path`.
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Endpoint<'a> {
    let (endpoint, allowed) = match path {
        "/v1/models" | "/models" | "/gateway/mlflow/v1/models" => (Endpoint::Models, "GET"),
        "/v1/key" => (Endpoint::Key, "GET"),
        "/v1/credits" => (Endpoint::Query(Query::Credits), "GET"),
        "/v1/generation" => (Endpoint::Query(Query::Generation), "GET"),
        "/v1/report" => (Endpoint::Query(Query::Report), "GET"),
        "/livez" => (Endpoint::Live, "GET"),
        "/readyz" => (Endpoint::Ready, "GET"),
        _ => match (call(path), path.strip_prefix("/v1/models/")) {
            (Some(face), _) => (Endpoint::Call(face), "POST"),
            (None, Some(name)) if !name.is_empty() => (one_model(name), "GET"),
            _ => match below_ai_sdk(path) {
                Some((version, "config")) => (Endpoint::Config(version), "GET"),
                Some((_, "video-model/status")) => (Endpoint::Job, "POST"),
                _ => return Endpoint::Unknown,
            },
        },
    };
    if method.as_str() == allowed { endpoint } else { Endpoint::WrongMethod(allowed) }
}

/// A model, or who offers it. A model whose own name is `endpoints` is asked for with `%2F`.
fn one_model(name: &str) -> Endpoint<'_> {
    match name.strip_suffix("/endpoints") {
        Some(model) if model.contains('/') || model.contains('%') => Endpoint::ModelEndpoints(model),
        _ => Endpoint::Model(name),
    }
}

/// The face of the call at `path`.
fn call(path: &str) -> Option<Face<'_>> {
    if let Some((version, kind)) = below_ai_sdk(path) {
        return Face::ai_sdk(version, kind);
    }
    let rest = path.strip_prefix('/')?;
    match rest.split_once('/') {
        Some(("proxy", rest)) => proxied(rest),
        Some(("gateway", rest)) => mlflow(rest),
        _ => plain(rest.strip_prefix("v1/").unwrap_or(rest))
            .or_else(|| model_in_path(rest.strip_prefix("v1beta/").or(rest.strip_prefix("v1/"))?))
            // AWS's clients know no version.
            .or_else(|| rest.starts_with("model/").then(|| model_in_path(rest))?),
    }
}

/// The AI SDK's base URLs and the version of the specification that each is for.
const AI_SDK: [(&str, u8); 3] = [("/v1/ai/", 2), ("/v3/ai/", 3), ("/v4/ai/", 4)];

/// What a path asks for below one of the AI SDK's base URLs.
fn below_ai_sdk(path: &str) -> Option<(u8, &str)> {
    AI_SDK.iter().find_map(|(base, version)| Some((*version, path.strip_prefix(base)?)))
}

/// Paths below `/v1/`, which OpenAI's clients may be told to leave out.
fn plain(path: &str) -> Option<Face<'_>> {
    let usual = match path {
        "responses/compact" => {
            return Some(Face { way: Way::Compact, ..Face::of(Surface::OpenaiResponses) });
        }
        "images/edits" => return Some(Face { way: Way::Edit, ..Face::of(Surface::OpenaiImages) }),
        "chat/completions" => Surface::OpenaiChat,
        "responses" => Surface::OpenaiResponses,
        "embeddings" => Surface::OpenaiEmbeddings,
        "images/generations" => Surface::OpenaiImages,
        "audio/speech" => Surface::OpenaiSpeech,
        "audio/transcriptions" => Surface::OpenaiTranscriptions,
        "rerank" | "v2/rerank" => Surface::CohereRerank,
        "messages" => Surface::AnthropicMessages,
        "messages/count_tokens" => Surface::AnthropicCountTokens,
        _ => return None,
    };
    Some(Face::of(usual))
}

/// `models/{model}:generateContent` and `model/{model}/converse`, with what may stand before them.
fn model_in_path(path: &str) -> Option<Face<'_>> {
    if let Some(rest) = path.strip_prefix("model/") {
        let (model, operation) = rest.rsplit_once('/')?;
        let stream = match operation {
            "converse" => false,
            "converse-stream" => true,
            _ => return None,
        };
        return Face::at_model(Surface::BedrockConverse, model, stream);
    }
    let (before, rest) = path.rsplit_once("models/")?;
    let known =
        before.is_empty() || before == "publishers/google/" || before.ends_with("/publishers/google/");
    let (model, operation) = rest.rsplit_once(':').filter(|_| known)?;
    let stream = match operation {
        "generateContent" => false,
        "streamGenerateContent" => true,
        _ => return None,
    };
    Face::at_model(Surface::Gemini, model, stream)
}

/// `/proxy/{route}/…`, as pydantic-ai calls every kind of provider.
fn proxied(path: &str) -> Option<Face<'_>> {
    let (route, path) = path.split_once('/').filter(|(route, _)| !route.is_empty())?;
    let groq = path.starts_with("openai/v1/");
    let bare = path.strip_prefix("openai/v1/").or(path.strip_prefix("v1/")).unwrap_or(path);
    let versioned = ["v1beta1/", "v1beta/", "v1/"].iter().find_map(|version| path.strip_prefix(version));
    let face = plain(bare).or_else(|| model_in_path(versioned.unwrap_or(path)))?;
    Some(Face { manner: Manner::Pydantic, route: Some(route), groq, ..face })
}

/// `/gateway/…`, as MLflow's AI Gateway is called. Raw paths, whose model nobody reads, are not served.
fn mlflow(path: &str) -> Option<Face<'_>> {
    let face = match path.split_once('/')? {
        ("mlflow", "v1/chat/completions") => Face { unified: true, ..Face::of(Surface::OpenaiChat) },
        ("openai", rest) => {
            let face = plain(rest.strip_prefix("v1/")?)?;
            (face.surface.dialect() != DialectName::AnthropicMessages).then_some(face)?
        }
        ("anthropic", "v1/messages") => Face::of(Surface::AnthropicMessages),
        ("anthropic", "v1/messages/count_tokens") => Face::of(Surface::AnthropicCountTokens),
        ("gemini", rest) => model_in_path(rest.strip_prefix("v1beta/").or(rest.strip_prefix("v1/"))?)?,
        (endpoint, "mlflow/invocations") => {
            Face { unified: true, ..Face::named(Surface::OpenaiChat, endpoint)? }
        }
        _ => return None,
    };
    Some(Face { manner: Manner::Mlflow, ..face })
}

/// In whose words a request is answered, also when nothing is at its path.
pub(crate) fn voice(path: &str, headers: &HeaderMap) -> Voice {
    let manner = if path.starts_with("/gateway/") { Manner::Mlflow } else { Manner::Plain };
    Voice { dialect: dialect(path, headers), manner }
}

/// The dialect in which a request is answered, also when nothing is at its path.
pub(crate) fn dialect(path: &str, headers: &HeaderMap) -> DialectName {
    if below_ai_sdk(path).is_some() {
        return DialectName::AiSdk;
    }
    let anthropic = path.starts_with("/v1/messages")
        || (headers.contains_key(ANTHROPIC_VERSION) && !path.ends_with("/chat/completions"));
    if anthropic { DialectName::AnthropicMessages } else { DialectName::OpenaiChat }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_operations_whatever_tricks_surround_them() {
        let post = |path| find(&Method::POST, path);
        let call = |surface| Endpoint::Call(Face::of(surface));
        assert_eq!(post("/v1/chat/completions"), call(Surface::OpenaiChat));
        assert_eq!(post("/chat/completions"), call(Surface::OpenaiChat));
        assert_eq!(post("/v1/messages"), call(Surface::AnthropicMessages));
        assert_eq!(post("/v1/responses"), call(Surface::OpenaiResponses));
        assert_eq!(post("/v1/models"), Endpoint::WrongMethod("GET"));
        assert_eq!(find(&Method::GET, "/v1/messages"), Endpoint::WrongMethod("POST"));
        assert_eq!(find(&Method::GET, "/v1/models/openai/gpt-5"), Endpoint::Model("openai/gpt-5"));
        let endpoints = Endpoint::ModelEndpoints("openai/gpt-5");
        assert_eq!(find(&Method::GET, "/v1/models/openai/gpt-5/endpoints"), endpoints);
        assert_eq!(find(&Method::GET, "/v1/models/acme/endpoints"), Endpoint::Model("acme/endpoints"));
        assert_eq!(find(&Method::GET, "/v3/ai/config"), Endpoint::Config(3));
        for path in [
            "/v1//messages",
            "/V1/messages",
            "/v1/messages/",
            "/v1/messages/../key",
            "/",
            "",
            "/v1/models/",
            "/v2/ai/language-model",
            "/v1/ai/",
            "/proxy/",
            "/proxy/openai",
            "/proxy//chat/completions",
            "/gateway/proxy/e/chat",
            "/gateway//mlflow/invocations",
            "/v1beta/models/:generateContent",
            "/v1beta/evil/models/m:generateContent",
            "/proxy/bedrock/model//converse",
            "/gateway/openai/v1/messages",
        ] {
            assert_eq!(post(path), Endpoint::Unknown, "{path}");
        }
    }

    #[test]
    fn each_founding_system_finds_its_paths() {
        let found = |path| match find(&Method::POST, path) {
            Endpoint::Call(face) => (face.surface, face.manner, face.route, face.model, face.stream),
            other => panic!("{path}: {other:?}"),
        };
        let pydantic = Manner::Pydantic;
        for (path, expected) in [
            ("/proxy/openai/responses", (Surface::OpenaiResponses, pydantic, Some("openai"), None, None)),
            ("/proxy/chat/chat/completions", (Surface::OpenaiChat, pydantic, Some("chat"), None, None)),
            (
                "/proxy/groq/openai/v1/chat/completions",
                (Surface::OpenaiChat, pydantic, Some("groq"), None, None),
            ),
            (
                "/proxy/anthropic/v1/messages",
                (Surface::AnthropicMessages, pydantic, Some("anthropic"), None, None),
            ),
            ("/proxy/openai/embeddings", (Surface::OpenaiEmbeddings, pydantic, Some("openai"), None, None)),
            (
                "/proxy/google-vertex/v1beta1/publishers/google/models/g:streamGenerateContent",
                (Surface::Gemini, pydantic, Some("google-vertex"), Some("g"), Some(true)),
            ),
            (
                "/proxy/bedrock/model/us.anthropic.claude%3A0/converse",
                (
                    Surface::BedrockConverse,
                    pydantic,
                    Some("bedrock"),
                    Some("us.anthropic.claude%3A0"),
                    Some(false),
                ),
            ),
            ("/gateway/e/mlflow/invocations", (Surface::OpenaiChat, Manner::Mlflow, None, Some("e"), None)),
            ("/gateway/openai/v1/responses", (Surface::OpenaiResponses, Manner::Mlflow, None, None, None)),
            (
                "/gateway/gemini/v1beta/models/e:generateContent",
                (Surface::Gemini, Manner::Mlflow, None, Some("e"), Some(false)),
            ),
            ("/v4/ai/language-model", (Surface::AiSdkLanguage, Manner::AiSdk, None, None, None)),
            (
                "/model/amazon.nova%3A0/converse-stream",
                (Surface::BedrockConverse, Manner::Plain, None, Some("amazon.nova%3A0"), Some(true)),
            ),
            ("/v1/ai/embedding-model", (Surface::AiSdkEmbedding, Manner::AiSdk, None, None, None)),
        ] {
            assert_eq!(found(path), expected, "{path}");
        }
    }
}
