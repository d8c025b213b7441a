//! Futures made in the place where they stay.

use std::pin::Pin;

/// As `Box::pin(make())`, which makes the future on the stack and copies it, nine kilobytes of them for a
/// call; here the place is there before the future is made in it.
#[inline]
pub(crate) fn placed<F>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}
