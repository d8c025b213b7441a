//! Since which of its starts this node's journal can have lost nothing.
//!
//! What was appended is in the kernel: it outlives its process, but not its machine; and a copy of a
//! folder knows nothing of what its original does since. So starts count from the first one in this
//! very folder under the machine's present run.

use std::os::unix::fs::MetadataExt;

use crate::error::NodeError;
use crate::state::State;

/// The file that remembers the place and the first start in it.
const FILE: &str = "machine";
/// The kernel's name for the machine's run: proc(5), `/proc/sys/kernel/random/boot_id`.
const RUN: &str = "/proc/sys/kernel/random/boot_id";

/// The machine's present run and this very folder; `None` where they cannot be told.
pub(crate) fn place(state: &State) -> Option<String> {
    let run = std::fs::read_to_string(RUN).ok()?;
    let folder = std::fs::metadata(state.path("")).ok()?;
    let run = run.trim();
    (!run.is_empty()).then(|| format!("{run}/{}/{}", folder.dev(), folder.ino()))
}

/// The first start whose journal, and every later one's, is whole. `gaps`: of records that are
/// missing in what is there.
///
/// # Errors
/// [`NodeError`] when the state folder refuses.
pub(crate) fn since(state: &State, boot: u64, gaps: u64, place: Option<&str>) -> Result<u64, NodeError> {
    let kept = state.read(FILE)?;
    let kept = kept.as_ref().and_then(|kept| std::str::from_utf8(kept).ok()?.split_once(' '));
    let earlier = kept.and_then(|(since, of)| {
        let same = place.is_some_and(|place| place == of) && gaps == 0;
        same.then(|| since.parse().ok()).flatten()
    });
    let since = earlier.unwrap_or(boot);
    if earlier.is_none() {
        state.write(FILE, format!("{since} {}", place.unwrap_or_default()).as_bytes())?;
    }
    Ok(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_starts_since_the_machine_began_to_run_count() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        assert_eq!(since(&state, 10, 0, Some("a")).unwrap(), 10, "nothing is known of before");
        assert_eq!(since(&state, 11, 0, Some("a")).unwrap(), 10);
        assert_eq!(since(&state, 12, 0, Some("b")).unwrap(), 12, "the machine started anew");
        assert_eq!(since(&state, 13, 0, Some("b")).unwrap(), 12);
        assert_eq!(since(&state, 14, 1, Some("b")).unwrap(), 14, "records are missing");
        assert_eq!(since(&state, 15, 0, Some("b")).unwrap(), 14);
        assert_eq!(since(&state, 16, 0, None).unwrap(), 16, "nobody knows");
        assert_eq!(since(&state, 17, 0, None).unwrap(), 17);
    }
}
