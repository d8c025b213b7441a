//! Where an operation lies below a provider's base URL, and what is asked for in its query.
//!
//! Sources: the providers' API references. Knows no body; a provider's quirks win over the table.

use tidegate_dialect::outbound::LimitKey;
use tidegate_dialect::read::Way;
use tidegate_types::resource::{AuthScheme, DialectName, Operation, Provider};
use tidegate_upstream::{fill_path, with_query};

/// The path of an operation below the provider's base URL, with its query. `None` when the
/// provider's family has no such operation, or the model's name cannot stand in a path.
///
/// A quirk's path that ends with `{model}` is followed by the operation's own ending
/// (`:generateContent`, `/converse`), so that one pattern serves whole answers and streams.
pub(crate) fn operation(
    provider: &Provider,
    spoken: DialectName,
    operation: Operation,
    model: &str,
    stream: bool,
) -> Option<String> {
    let key = match operation {
        Operation::Language => spoken.as_str(),
        other => other.as_str(),
    };
    // Gemini's own models draw in answers; Imagen's predict.
    let draws =
        operation == Operation::Image && spoken == DialectName::Gemini && model.starts_with("gemini-");
    let ending = if draws { Some(":generateContent") } else { ending(provider, spoken, operation, stream) };
    let pattern = match provider.quirks.paths.get(key) {
        Some(own) if own.ends_with("{model}") => [own, ending.unwrap_or_default()].concat(),
        Some(own) => own.clone(),
        None => [stem(provider, spoken), ending?].concat(),
    };
    let path = fill_path(&pattern, model)?;
    Some(with_query(path, provider.quirks.query.as_deref()))
}

/// The path of a further operation of a surface, from the path of its usual one. `None` where that is
/// nowhere near.
pub(crate) fn way(usual: String, way: Way) -> Option<String> {
    let (path, query) = match usual.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (usual.as_str(), None),
    };
    let path = match way {
        Way::Usual => return Some(usual),
        Way::Compact => [path, "/compact"].concat(),
        Way::Edit => [path.strip_suffix("/generations")?, "/edits"].concat(),
    };
    Some(with_query(path, query))
}

/// The path at which a provider is asked about a job of a model by this ending.
pub(crate) fn of_job(provider: &Provider, spoken: DialectName, model: &str, ending: &str) -> Option<String> {
    let own = provider.quirks.paths.get(Operation::Video.as_str());
    let stem = own.map(String::as_str).filter(|own| own.ends_with("{model}"));
    let path = fill_path(&[stem.unwrap_or_else(|| self::stem(provider, spoken)), ending].concat(), model)?;
    Some(with_query(path, provider.quirks.query.as_deref()))
}

/// What comes before [`ending`]: the version where the base URL lacks it, the model where paths name it.
fn stem(provider: &Provider, spoken: DialectName) -> &'static str {
    let base = provider.base_url.trim_end_matches('/');
    let version = |version: &'static str| if base.ends_with(version) { "" } else { version };
    match spoken {
        DialectName::Gemini => "/models/{model}",
        DialectName::BedrockConverse => "/model/{model}",
        DialectName::CohereChat => version("/v2"),
        DialectName::AnthropicMessages => version("/v1"),
        DialectName::OpenaiChat | DialectName::OpenaiResponses | DialectName::AiSdk => "",
    }
}

/// The end of the path, by family. Vertex AI is told from AI Studio by its sign-in.
fn ending(
    provider: &Provider,
    spoken: DialectName,
    operation: Operation,
    stream: bool,
) -> Option<&'static str> {
    use Operation::{CountTokens, Embedding, Image, Language, Reranking, Speech, Transcription, Video};
    Some(match (spoken, operation) {
        (DialectName::OpenaiChat, Language) => "/chat/completions",
        (DialectName::OpenaiResponses, Language) => "/responses",
        (DialectName::OpenaiChat | DialectName::OpenaiResponses, operation) => match operation {
            Embedding => "/embeddings",
            Image => "/images/generations",
            Speech => "/audio/speech",
            Transcription => "/audio/transcriptions",
            Reranking => "/rerank",
            Video => "/videos",
            _ => return None,
        },
        (DialectName::AnthropicMessages, Language) => "/messages",
        (DialectName::AnthropicMessages, CountTokens) => "/messages/count_tokens",
        (DialectName::Gemini, Language) if stream => ":streamGenerateContent?alt=sse",
        (DialectName::Gemini, Language) => ":generateContent",
        (DialectName::Gemini, CountTokens) => ":countTokens",
        (DialectName::Gemini, Embedding) if is_vertex(provider) => ":predict",
        (DialectName::Gemini, Embedding) => ":batchEmbedContents",
        (DialectName::Gemini, Image) => ":predict",
        (DialectName::Gemini, Video) => ":predictLongRunning",
        (DialectName::BedrockConverse, Language) if stream => "/converse-stream",
        (DialectName::BedrockConverse, Language) => "/converse",
        (DialectName::BedrockConverse, CountTokens) => "/count-tokens",
        (DialectName::BedrockConverse, Embedding | Image | Reranking) => "/invoke",
        (DialectName::CohereChat, Language) => "/chat",
        (DialectName::CohereChat, Embedding) => "/embed",
        (DialectName::CohereChat, Reranking) => "/rerank",
        _ => return None,
    })
}

/// Vertex AI is told from AI Studio by its sign-in.
pub(crate) fn is_vertex(provider: &Provider) -> bool {
    provider.auth == AuthScheme::GoogleServiceAccount
}

/// OpenAI and those that follow it closely know the new key; the others only the old one.
pub(crate) const fn limit_key(provider: &Provider) -> LimitKey {
    if provider.quirks.max_completion_tokens { LimitKey::MaxCompletionTokens } else { LimitKey::MaxTokens }
}

#[cfg(test)]
mod tests {
    use tidegate_types::resource::{AbortBilling, Quirks};
    use tidegate_types::{OrganizationId, ProviderId};

    use super::*;

    fn provider(base_url: &str, auth: AuthScheme) -> Provider {
        Provider {
            organization_id: OrganizationId::SYSTEM,
            id: ProviderId::from_u128(1),
            slug: "p".parse().unwrap(),
            name: "P".into(),
            base_url: base_url.into(),
            dialect: DialectName::OpenaiChat,
            also: Vec::new(),
            auth,
            abort_billing: AbortBilling::Continues,
            enabled: true,
            headquarters: None,
            simulated: false,
            quirks: Quirks::default(),
        }
    }

    #[test]
    fn each_family_has_its_paths() {
        use DialectName as D;
        use Operation as O;
        let claude = "anthropic.claude-v1:0";
        let bearer = AuthScheme::Bearer;
        for (base, auth, spoken, operation_, model, stream, expected) in [
            ("https://a/v1", bearer, D::OpenaiChat, O::Language, "m", true, "/chat/completions"),
            ("https://a/v1", bearer, D::OpenaiResponses, O::Language, "m", true, "/responses"),
            ("https://a/v1", bearer, D::OpenaiChat, O::Embedding, "m", false, "/embeddings"),
            ("https://a/v1", bearer, D::OpenaiChat, O::Image, "m", false, "/images/generations"),
            ("https://a/v1", bearer, D::OpenaiChat, O::Speech, "m", false, "/audio/speech"),
            ("https://a/v1", bearer, D::OpenaiChat, O::Transcription, "m", false, "/audio/transcriptions"),
            ("https://a/v1/", bearer, D::AnthropicMessages, O::Language, "m", true, "/messages"),
            (
                "https://a",
                bearer,
                D::AnthropicMessages,
                O::CountTokens,
                "m",
                false,
                "/v1/messages/count_tokens",
            ),
            ("https://a/v1beta", bearer, D::Gemini, O::Language, "g", false, "/models/g:generateContent"),
            (
                "https://a/v1beta",
                bearer,
                D::Gemini,
                O::Language,
                "g",
                true,
                "/models/g:streamGenerateContent?alt=sse",
            ),
            ("https://a/v1beta", bearer, D::Gemini, O::CountTokens, "g", false, "/models/g:countTokens"),
            ("https://a/v1beta", bearer, D::Gemini, O::Embedding, "g", false, "/models/g:batchEmbedContents"),
            (
                "https://a/v1",
                AuthScheme::GoogleServiceAccount,
                D::Gemini,
                O::Embedding,
                "g",
                false,
                "/models/g:predict",
            ),
            (
                "https://a",
                bearer,
                D::BedrockConverse,
                O::Language,
                claude,
                false,
                "/model/anthropic.claude-v1%3A0/converse",
            ),
            (
                "https://a",
                bearer,
                D::BedrockConverse,
                O::Language,
                claude,
                true,
                "/model/anthropic.claude-v1%3A0/converse-stream",
            ),
            ("https://api.cohere.com", bearer, D::CohereChat, O::Language, "m", false, "/v2/chat"),
            ("https://api.cohere.com/v2", bearer, D::CohereChat, O::Embedding, "m", false, "/embed"),
            ("https://api.cohere.com", bearer, D::CohereChat, O::Reranking, "m", false, "/v2/rerank"),
        ] {
            let found = operation(&provider(base, auth), spoken, operation_, model, stream);
            assert_eq!(found.as_deref(), Some(expected));
        }
        let cohere = provider("https://api.cohere.com", bearer);
        assert_eq!(operation(&cohere, D::CohereChat, O::Speech, "m", false), None);
        assert_eq!(operation(&cohere, D::Gemini, O::Language, "..", false), None);
    }

    #[test]
    fn quirks_win_over_the_table() {
        let mut own = provider("https://a", AuthScheme::ApiKey);
        own.quirks.query = Some("api-version=2025-04-01-preview".into());
        let paths = [
            ("openai_chat", "/openai/deployments/{model}/chat/completions"),
            ("gemini", "/publishers/google/models/{model}"),
            ("embedding", "/publishers/google/models/{model}:predict"),
        ];
        own.quirks.paths = paths.map(|(key, path)| (key.to_owned(), path.to_owned())).into();
        let path = |spoken, operation_, stream| operation(&own, spoken, operation_, "a/b", stream).unwrap();
        assert_eq!(
            path(DialectName::OpenaiChat, Operation::Language, false),
            "/openai/deployments/a%2Fb/chat/completions?api-version=2025-04-01-preview"
        );
        assert_eq!(
            path(DialectName::Gemini, Operation::Language, true),
            "/publishers/google/models/a%2Fb:streamGenerateContent?alt=sse&api-version=2025-04-01-preview"
        );
        assert_eq!(
            path(DialectName::Gemini, Operation::Embedding, false),
            "/publishers/google/models/a%2Fb:predict?api-version=2025-04-01-preview"
        );
    }
}
