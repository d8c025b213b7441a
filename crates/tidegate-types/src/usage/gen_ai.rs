//! Names of OpenTelemetry's conventions for generative AI: the same on traces and on metrics.
//!
//! Source: github.com/open-telemetry/semantic-conventions-genai (docs/gen-ai), status Development.

use super::Surface;
use crate::resource::Operation;

/// `gen_ai.operation.name`: a well-known value where there is one.
#[must_use]
pub const fn gen_ai_operation(surface: Surface) -> &'static str {
    match (surface, surface.operation()) {
        (Surface::Gemini, _) => "generate_content",
        (_, Operation::Language) => "chat",
        (_, Operation::Embedding) => "embeddings",
        (_, Operation::Image) => "image_generation",
        (_, Operation::Speech) => "speech",
        (_, Operation::Transcription) => "transcription",
        (_, Operation::Reranking) => "rerank",
        (_, Operation::CountTokens) => "count_tokens",
        (_, Operation::Video) => "video_generation",
    }
}

/// `gen_ai.provider.name` of a provider's slug: a well-known value where there is one.
#[must_use]
pub fn gen_ai_provider(slug: &str) -> &str {
    match slug {
        "bedrock" | "aws" | "amazon-bedrock" => "aws.bedrock",
        "azure" | "azure-openai" => "azure.ai.openai",
        "google" | "gemini" | "google-ai-studio" => "gcp.gemini",
        "vertex" | "vertex-ai" | "google-vertex" => "gcp.vertex_ai",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        other => other,
    }
}
