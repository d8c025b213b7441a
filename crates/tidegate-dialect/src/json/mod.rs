//! JSON without a tree: validated once, walked lazily by spans, edited by splices.
//!
//! Nothing is re-serialised, so 20-digit integers, `1e400` and odd escapes survive.

mod index;
mod scan;
mod splice;
mod text;
mod value;
mod write;

pub use index::Document;
pub use scan::{JsonError, MAX_DEPTH};
pub use splice::{Span, Splices};
pub use text::write_text;
pub use value::{Kind, Member, Value};
pub(crate) use write::Writer;
