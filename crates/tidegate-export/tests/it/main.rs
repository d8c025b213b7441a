//! tests come here
