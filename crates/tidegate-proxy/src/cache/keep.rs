//! Collects an answer while it is read, and keeps it if it is complete.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tidegate_policy::Candidate;
use tidegate_types::CallId;
use tidegate_types::resource::DialectName;
use tidegate_types::usage::{CredentialType, Usage};

use super::slot::Slot;
use super::store::{Kept, Maker, ResponseCache};

/// Where a call's answer is to be kept.
pub(crate) struct Keep {
    cache: Arc<ResponseCache>,
    slot: Slot,
    by: Maker,
    /// The gateway lowered the output to this: an answer that was cut by it is nobody else's.
    limit: Option<u64>,
}

impl Keep {
    /// `None` where the answer of this candidate is not to be kept: the request does not want it, the model
    /// is not the one that was meant, or the credential is the request's own.
    pub(crate) fn of(
        cache: &Arc<ResponseCache>,
        slot: &Slot,
        candidate: &Candidate,
        (call, target, limit): (CallId, DialectName, Option<u64>),
    ) -> Option<Self> {
        let wanted = !slot.wish.unkept
            && candidate.model.id == slot.model
            && candidate.credential_type != CredentialType::Client;
        wanted.then(|| Self {
            cache: cache.clone(),
            slot: slot.clone(),
            by: Maker {
                call,
                offering: candidate.offering.id,
                provider: candidate.provider.clone(),
                upstream_name: candidate.upstream_name().to_owned(),
                credential_type: candidate.credential_type,
                credential: candidate.credential.as_ref().map(|credential| credential.id),
                target,
            },
            limit,
        })
    }

    /// Keeps a whole answer whose usage its provider reported.
    pub(crate) fn whole(
        self,
        bytes: &Bytes,
        content_type: Cow<'static, str>,
        input_tokens: Option<u64>,
        usage: Option<Usage>,
    ) {
        self.keep(false, bytes, content_type, input_tokens, usage);
    }

    fn keep(
        self,
        stream: bool,
        bytes: &[u8],
        content_type: Cow<'static, str>,
        input_tokens: Option<u64>,
        usage: Option<Usage>,
    ) {
        let Some(usage) = usage else { return };
        let cut = self.limit.is_some_and(|limit| usage.output_tokens >= limit);
        if cut || bytes.is_empty() || bytes.len() > self.slot.most {
            return;
        }
        let made = Instant::now();
        let kept = Kept {
            owner: self.slot.owner,
            made,
            until: made + self.slot.life,
            by: self.by,
            stream,
            content_type,
            input_tokens,
            usage: Usage { requests: 1, ..usage },
            // Of its own: a piece of a connection's buffer would hold all of that.
            bytes: Bytes::copy_from_slice(bytes),
        };
        self.cache.put(self.slot.key, kept);
    }
}

/// A stream that is to be kept, as far as it was read.
pub(crate) struct Keeping {
    keep: Option<Keep>,
    bytes: Vec<u8>,
}

impl Keeping {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep: Some(keep), bytes: Vec::new() }
    }

    /// More of the stream; one that becomes too long is not kept.
    pub(crate) fn take(&mut self, piece: &[u8]) {
        let Some(keep) = &self.keep else { return };
        if self.bytes.len() + piece.len() > keep.slot.most {
            self.keep = None;
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(piece);
        }
    }

    /// The stream is complete, and its caller gets it.
    pub(crate) fn complete(&mut self, usage: Option<Usage>) {
        let bytes = std::mem::take(&mut self.bytes);
        if let Some(keep) = self.keep.take() {
            keep.keep(true, &bytes, Cow::Borrowed(""), None, usage);
        }
    }
}
