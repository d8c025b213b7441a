//! A deadline that costs no timer where nothing has to be waited for.

use std::future::{Future, poll_fn};
use std::task::Poll;

use tokio::time::Instant;
use tokio::time::error::Elapsed;

/// As [`tokio::time::timeout_at`]; the deadline is asked for only when `future` has to be waited for.
///
/// # Errors
/// When the deadline has passed.
pub(crate) async fn in_time<F>(future: F, deadline: impl FnOnce() -> Instant) -> Result<F::Output, Elapsed>
where
    F: Future + Unpin,
{
    let mut future = std::pin::pin!(future);
    match poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => tokio::time::timeout_at(deadline(), future).await,
    }
}
