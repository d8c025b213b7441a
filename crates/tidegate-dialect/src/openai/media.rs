//! Which recordings chat completions take.

/// The word for a recording that can be sent along.
pub(super) fn sound_format(media_type: &str) -> Option<&'static str> {
    match media_type {
        "audio/wav" | "audio/x-wav" | "audio/wave" => Some("wav"),
        "audio/mpeg" | "audio/mp3" => Some("mp3"),
        _ => None,
    }
}

/// Recordings and films that the target has no part for.
pub(super) fn is_foreign_media(media_type: &str) -> bool {
    media_type.starts_with("video/")
        || (media_type.starts_with("audio/") && sound_format(media_type).is_none())
}
