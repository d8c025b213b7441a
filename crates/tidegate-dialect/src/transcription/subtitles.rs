//! SubRip and WebVTT, made of a transcript's segments.

use super::{Segment, TranscriptionAnswer};

/// SubRip.
pub(super) fn srt(answer: &TranscriptionAnswer) -> String {
    let mut out = String::new();
    for (place, segment) in answer.segments.iter().enumerate() {
        out.push_str(&format!("{}\n{}\n", place + 1, cue(segment, ',')));
    }
    out
}

/// WebVTT.
pub(super) fn vtt(answer: &TranscriptionAnswer) -> String {
    let mut out = "WEBVTT\n\n".to_owned();
    for segment in &answer.segments {
        out.push_str(&cue(segment, '.'));
        out.push('\n');
    }
    out
}

fn cue(segment: &Segment, mark: char) -> String {
    let text = segment.text.expose().trim();
    format!("{} --> {}\n{text}\n", clock(&segment.start, mark), clock(&segment.end, mark))
}

fn clock(seconds: &str, mark: char) -> String {
    let millis = (seconds.parse::<f64>().unwrap_or(0.0).max(0.0) * 1000.0).round() as u64;
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    format!("{hours:02}:{minutes:02}:{:02}{mark}{:03}", millis / 1000 % 60, millis % 1000)
}
