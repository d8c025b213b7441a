//! Why a call is refused, told once: the stages make refusals, `render` writes them.

mod make;
mod render;

use std::borrow::Cow;

use bytes::Bytes;
use tidegate_limits::Rates;
use tidegate_types::BudgetId;
use tidegate_types::resource::DialectName;
use tidegate_types::usage::RefusalCause;

use crate::face::Manner;

pub(crate) use render::{failure, render};

/// In whose words a refusal is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    pub(crate) dialect: DialectName,
    pub(crate) manner: Manner,
}

/// A refusal on its way to the caller. Its words name limits and fields, never content.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) cause: RefusalCause,
    /// Another status than the cause's own.
    pub(crate) status: Option<u16>,
    pub(crate) message: Cow<'static, str>,
    pub(crate) code: Option<&'static str>,
    pub(crate) param: Option<Cow<'static, str>>,
    /// The model that was asked for, where that is what is wrong.
    pub(crate) model: Option<String>,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) budget_id: Option<BudgetId>,
    pub(crate) rates: Option<Rates>,
    pub(crate) allow: Option<&'static str>,
    /// The provider's own error, to be passed on as it is.
    pub(crate) passed_on: Option<Bytes>,
    /// What was planned and tried, for callers that are told of it.
    pub(crate) routing: Option<Bytes>,
    /// The connection cannot be used any more (the body was not read).
    pub(crate) close: bool,
}

/// Boxed: the path of success carries only a pointer for it.
pub(crate) type Refused = Box<Refusal>;

impl Refusal {
    pub(crate) fn new(cause: RefusalCause, message: impl Into<Cow<'static, str>>) -> Refused {
        Box::new(Self {
            cause,
            status: None,
            message: message.into(),
            code: None,
            param: None,
            model: None,
            retry_after_ms: None,
            budget_id: None,
            rates: None,
            allow: None,
            passed_on: None,
            routing: None,
            close: false,
        })
    }

    pub(crate) fn status(mut self: Box<Self>, status: u16) -> Refused {
        self.status = Some(status);
        self
    }

    pub(crate) fn code(mut self: Box<Self>, code: &'static str) -> Refused {
        self.code = Some(code);
        self
    }

    pub(crate) fn param(mut self: Box<Self>, param: impl Into<Cow<'static, str>>) -> Refused {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn retry_after(mut self: Box<Self>, ms: u64) -> Refused {
        self.retry_after_ms = Some(ms);
        self
    }

    pub(crate) fn closing(mut self: Box<Self>) -> Refused {
        self.close = true;
        self
    }

    /// The HTTP status that the caller gets.
    pub(crate) fn http_status(&self) -> u16 {
        self.status.unwrap_or(tidegate_dialect::refusal::words(self.cause).0)
    }
}
