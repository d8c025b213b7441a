//! Not there yet.

pub(crate) use crate::unspoken::CODEC;
