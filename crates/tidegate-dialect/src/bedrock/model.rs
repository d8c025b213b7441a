//! What only some of Bedrock's models take: cache points, and fields of their own beside Converse's.

use crate::canonical::{Call, Effort, ReasoningMode, ToolChoice};
use crate::json::Writer;

/// Whose model it is, as far as its id tells. Ids of inference profiles may hide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Claude,
    Nova,
    GptOss,
    Other,
}

impl Family {
    pub(super) fn of(model: &str) -> Self {
        let holds = |part: &str| model.contains(part);
        if holds("anthropic") || holds("claude") {
            Self::Claude
        } else if holds("nova") {
            Self::Nova
        } else if holds("gpt-oss") {
            Self::GptOss
        } else {
            Self::Other
        }
    }

    /// Others refuse cache points, which are hints only.
    pub(super) const fn caches(self) -> bool {
        matches!(self, Self::Claude | Self::Nova)
    }

    /// Takes instructions in the midst of a conversation.
    pub(super) const fn takes_late_instructions(self) -> bool {
        matches!(self, Self::Claude)
    }

    /// Takes `top_k` in some way.
    pub(super) const fn takes_top_k(self) -> bool {
        matches!(self, Self::Claude | Self::Nova)
    }

    /// Can be told to call one tool at a time.
    pub(super) const fn takes_single_calls(self) -> bool {
        matches!(self, Self::Claude)
    }
}

/// How much reasoning is asked for in one word; budgets of tokens become the nearest.
pub(super) fn effort(call: &Call) -> Option<Effort> {
    match (call.reasoning.effort, call.reasoning.mode) {
        (_, ReasoningMode::Off) => None,
        (Some(effort), _) => Some(effort),
        (None, ReasoningMode::Budget(tokens)) => Some(match tokens {
            0..=4_096 => Effort::Low,
            4_097..=16_384 => Effort::Medium,
            _ => Effort::High,
        }),
        (None, _) => None,
    }
}

/// The word that `outputConfig` takes for it; families that have a field of their own get it there.
pub(super) fn output_effort(family: Family, call: &Call) -> Option<&'static str> {
    let effort = match family {
        Family::Claude => call.reasoning.effort,
        Family::Other => effort(call),
        Family::Nova | Family::GptOss => None,
    };
    effort.map(|effort| match effort {
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::ExtraHigh => "xhigh",
        Effort::Max => "max",
    })
}

fn three_words(effort: Effort) -> &'static str {
    match effort {
        Effort::Low => "low",
        Effort::Medium => "medium",
        _ => "high",
    }
}

/// Writes `additionalModelRequestFields`, if there are any.
pub(super) fn write_additional(json: &mut Writer, family: Family, call: &Call, single: bool) {
    let mut own = Writer::new();
    own.object(|json| match family {
        Family::Claude => claude(json, call, single),
        Family::Nova => nova(json, call),
        Family::GptOss => {
            if let Some(effort) = effort(call) {
                json.key("reasoning_effort").text(three_words(effort));
            }
        }
        Family::Other => {}
    });
    let own = own.into_bytes();
    if own != b"{}" {
        json.key("additionalModelRequestFields").raw(own);
    }
}

fn claude(json: &mut Writer, call: &Call, single: bool) {
    let thinking = |json: &mut Writer, kind: &str, budget: Option<u64>| {
        json.key("thinking").object(|json| {
            json.key("type").text(kind);
            if let Some(budget) = budget {
                json.key("budget_tokens").whole(budget);
            }
        });
    };
    match call.reasoning.mode {
        ReasoningMode::Unsaid => {}
        ReasoningMode::Off => thinking(json, "disabled", None),
        ReasoningMode::Adaptive => thinking(json, "adaptive", None),
        ReasoningMode::Budget(tokens) => thinking(json, "enabled", Some(tokens)),
    }
    if let Some(top_k) = &call.top_k {
        json.key("top_k").raw(top_k);
    }
    if single {
        json.key("tool_choice").object(|json| {
            match &call.tool_choice {
                Some(ToolChoice::Any) => json.key("type").text("any"),
                Some(ToolChoice::Named(name)) => json.key("type").text("tool").key("name").text(name),
                _ => json.key("type").text("auto"),
            };
            json.key("disable_parallel_tool_use").bool(true);
        });
    }
}

fn nova(json: &mut Writer, call: &Call) {
    if let Some(top_k) = &call.top_k {
        json.key("inferenceConfig").object(|json| json.key("topK").raw(top_k).done());
    }
    if call.reasoning.mode == ReasoningMode::Off {
        json.key("reasoningConfig").object(|json| json.key("type").text("disabled").done());
    } else if let Some(effort) = effort(call) {
        json.key("reasoningConfig").object(|json| {
            json.key("type").text("enabled").key("maxReasoningEffort").text(three_words(effort));
        });
    }
}
