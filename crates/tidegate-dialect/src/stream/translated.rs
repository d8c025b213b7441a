//! A stream between two dialects, through canonical events.

use super::{Facts, Out};
use crate::Dialect;
use crate::answer::AnswerFacts;
use crate::sse::Ready;

pub(super) struct Translation {}

impl Translation {
    pub(super) fn new(_surface: Dialect, _target: Dialect, _facts: &AnswerFacts) -> Self {
        Self {}
    }
    pub(super) fn holding(&self) -> bool {
        false
    }
    pub(super) fn take(&mut self, _ready: &Ready, _facts: &mut Facts, _out: &mut Out<'_>) {}
    pub(super) fn release(&mut self, _out: &mut Out<'_>) {}
    pub(super) fn close(&mut self, _out: &mut Out<'_>) {}
}
