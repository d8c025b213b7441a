//! Not there yet.

pub(crate) use crate::unspoken::CODEC;

/// Newest version of the specification that is spoken.
pub(crate) const NEWEST: u8 = 4;
