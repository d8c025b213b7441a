//! Printing: aligned tables for people, JSON for programs.

use clap::ValueEnum;
use serde_json::Value;

use super::client::Failure;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns.
    Table,
    /// The API's own answer.
    Json,
}

/// The text to print for an answer.
pub(crate) fn render(answer: &Value, columns: &[(&'static str, &'static str)], format: Format) -> String {
    if format == Format::Json {
        return if answer.is_null() { String::new() } else { pretty(answer) };
    }
    match answer.get("data").and_then(Value::as_array) {
        Some(rows) if !columns.is_empty() => {
            let mut text = table(rows, columns);
            if let Some(cursor) = answer.get("next_cursor").and_then(Value::as_str) {
                text.push_str(&format!("(more: --cursor {cursor})\n"));
            }
            text
        }
        _ => fields(answer),
    }
}

/// What to say of nodes that a change has not reached, or that refuse it; empty when all have it.
pub(crate) fn render_fleet(answer: &Value) -> String {
    let entries = |list: &str| {
        answer.pointer(&format!("/fleet/{list}")).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let part = |entry: &Value, name: &str| entry.get(name).map(cell).unwrap_or_default();
    let mut out = String::new();
    if let Some(wave) = answer.pointer("/fleet/wave") {
        let (stage, reason) = (part(wave, "stage"), part(wave, "reason"));
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        out.push_str(&format!("staged: not released to all nodes yet (wave: {stage}{why})\n"));
    }
    for node in entries("laggards") {
        let (id, name, pool) = (part(&node, "node_id"), part(&node, "name"), part(&node, "pool"));
        let behind = part(&node, "behind");
        out.push_str(&format!("not applied: {name} ({id}, pool {pool}) is {behind} changes behind\n"));
    }
    for rejection in entries("rejections") {
        let (id, name) = (part(&rejection, "node_id"), part(&rejection, "name"));
        let (resource, reason) = (part(&rejection, "resource"), part(&rejection, "reason"));
        out.push_str(&format!("rejected: {name} ({id}) refuses {resource}: {reason}\n"));
    }
    out
}

/// The text to print for a failure.
pub(crate) fn render_failure(failure: &Failure, format: Format) -> String {
    let problem = match failure {
        Failure::Away(text) => return format!("error: {text}\n"),
        Failure::Refused { problem, .. } if format == Format::Json => return pretty(problem),
        Failure::Refused { problem, status } if problem.get("code").is_none() => {
            return format!("error: HTTP {status}\n");
        }
        Failure::Refused { problem, .. } => problem,
    };
    let text = |pointer: &str| problem.pointer(pointer).map(cell).unwrap_or_default();
    let mut out = format!("error: {} ({})\n", text("/detail"), text("/code"));
    for error in problem.get("errors").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| error.get(name).map(cell).unwrap_or_default();
        out.push_str(&format!("  {}: {}\n", part("field"), part("message")));
    }
    out
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).map(|text| text + "\n").unwrap_or_default()
}

fn table(rows: &[Value], columns: &[(&'static str, &'static str)]) -> String {
    let header: Vec<String> = columns.iter().map(|(name, _)| name.to_uppercase()).collect();
    let cells = rows.iter().map(|row| {
        columns
            .iter()
            .map(|(_, pointer)| row.pointer(pointer).map(cell).unwrap_or_default())
            .collect::<Vec<_>>()
    });
    let lines: Vec<Vec<String>> = std::iter::once(header).chain(cells).collect();
    let width = |column: usize| lines.iter().filter_map(|l| l.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in &lines {
        let padded: Vec<String> =
            line.iter().zip(&widths).map(|(text, width)| format!("{text:width$}")).collect();
        out.push_str(padded.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// One object: a line for each field.
fn fields(value: &Value) -> String {
    match value {
        Value::Null => "done\n".to_owned(),
        Value::Object(map) => {
            let width = map.keys().map(String::len).max().unwrap_or(0);
            map.iter()
                .map(|(name, value)| format!("{name:width$}  {}\n", cell(value)).trim_end().to_owned() + "\n")
                .collect()
        }
        other => cell(other) + "\n",
    }
}

/// A value in one line, without control characters that a terminal would obey.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_becomes_aligned_columns_and_says_how_to_go_on() {
        let page = json!({"data": [{"id": "team_1", "name": "a"}, {"id": "team_22", "name": null}], "next_cursor": "x"});
        let text = render(&page, &[("id", "/id"), ("name", "/name")], Format::Table);
        assert_eq!(text, "ID       NAME\nteam_1   a\nteam_22  -\n(more: --cursor x)\n");
    }

    #[test]
    fn nodes_that_lag_or_refuse_are_named() {
        let fleet = json!({"fleet": {"applied": false, "nodes": 2,
            "laggards": [{"node_id": "node_1", "name": "a", "pool": "eu", "behind": 3}],
            "rejections": [{"node_id": "node_2", "name": "b", "resource": "team team_1", "reason": "name: no"}]}});
        assert_eq!(
            render_fleet(&fleet),
            "not applied: a (node_1, pool eu) is 3 changes behind\nrejected: b (node_2) refuses team team_1: name: no\n"
        );
        assert_eq!(render_fleet(&json!({"id": "x"})), "");
    }

    #[test]
    fn a_refusal_names_its_code_and_fields() {
        let problem = json!({"code": "validation_failed", "detail": "No.", "errors": [{"field": "name", "message": "is required"}]});
        let failure = Failure::Refused { status: 422, problem };
        assert_eq!(
            render_failure(&failure, Format::Table),
            "error: No. (validation_failed)\n  name: is required\n"
        );
    }
}
