//! Signals: the first SIGINT or SIGTERM asks for an orderly end, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A token that is cancelled by the first signal.
///
/// # Errors
/// When the handlers cannot be set up.
pub(crate) fn on_signal(tasks: &TaskTracker) -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tasks.spawn(async move {
        for turn in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                // The process may also come to its end without a signal.
                () = stop.cancelled(), if turn == 0 => return,
            }
            if turn == 1 {
                std::process::exit(130);
            }
            tracing::info!("stopping: finishing what is in flight; a second signal ends at once");
            stop.cancel();
        }
    });
    Ok(token)
}
