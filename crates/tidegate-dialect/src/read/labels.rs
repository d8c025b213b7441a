//! Labels of a call, from named fields only.

use crate::Content;

/// End user and tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// End user: `providerOptions.gateway.user`, else `safety_identifier` or `user` (OpenAI), `metadata.user_id` (Anthropic).
    pub user: Option<Content>,
    /// Tags `name:value` or bare names, from `providerOptions.gateway.tags`.
    pub tags: Vec<Content>,
    /// Name and value pairs of OpenAI's `metadata`.
    pub metadata: Vec<(Content, Content)>,
}
