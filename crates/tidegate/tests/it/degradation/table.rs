//! The table of what works when something is away: read, checked, and written into its document.

use std::fs;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde::Deserialize;

use super::fault::{ALL, Fault};

const FROM: &str = "<!-- made from crates/tidegate/tests/it/degradation/table.toml -->\n";
const TO: &str = "<!-- end of what is made -->\n";

/// One line: cells as they are shown, and what keeps their word.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) away: String,
    pub(super) open: String,
    pub(super) capped: String,
    pub(super) management: String,
    pub(super) events: String,
    pub(super) back: String,
    #[serde(default)]
    pub(super) faults: Vec<Fault>,
    /// The fault is over by itself; what the cells say may be over before it is seen.
    #[serde(default)]
    pub(super) passes: bool,
    /// How long a refusal may take.
    #[serde(default = "at_once")]
    pub(super) refused_within_ms: u64,
    /// Everything is back so long after the fault ended.
    #[serde(default)]
    pub(super) back_seconds: u64,
    /// `path.rs::function` of tests.
    #[serde(default)]
    pub(super) stories: Vec<String>,
}

const fn at_once() -> u64 {
    1_000
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    row: Vec<Row>,
}

pub(super) fn rows() -> Vec<Row> {
    let table: Table = Figment::from(Toml::string(include_str!("table.toml"))).extract().unwrap();
    table.row
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the first word of a cell asks to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Served,
    Refused,
    Away,
}

impl Seen {
    /// `None`: not a word that can be seen.
    pub(super) fn of(cell: &str) -> Option<Self> {
        let word = cell.split(|c: char| !c.is_alphanumeric()).next()?;
        [("served", Self::Served), ("503", Self::Refused), ("away", Self::Away)]
            .into_iter()
            .find_map(|(name, seen)| (name == word).then_some(seen))
    }
}

/// Rows that nothing keeps, and tests that are not there.
pub(super) fn faults_of(rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows {
        let away = &row.away;
        if row.faults.is_empty() && row.stories.is_empty() {
            found.push(format!("{away}: no test"));
        }
        for story in &row.stories {
            let (file, name) = story.split_once("::").unwrap_or((story, ""));
            let code = fs::read_to_string(root().join(file)).unwrap_or_default();
            let is_test = |(before, _): (&str, &str)| {
                before.lines().rev().take(4).any(|line| line.starts_with("#[") && line.contains("test"))
            };
            if !code.split_once(&format!("fn {name}(")).is_some_and(is_test) {
                found.push(format!("{away}: {story} is no test"));
            }
        }
        let cells = [&row.open, &row.capped, &row.management];
        if !row.faults.is_empty()
            && (row.back_seconds == 0 || cells.iter().any(|cell| Seen::of(cell).is_none()))
        {
            found.push(format!("{away}: nothing that can be seen is said"));
        }
    }
    for fault in ALL {
        if !rows.iter().any(|row| row.faults.contains(fault)) {
            found.push(format!("{fault:?}: no row says what then works"));
        }
    }
    found
}

fn rendered(rows: &[Row]) -> String {
    let mut text = String::from(
        "\n| away | calls without a hard budget | calls under a hard budget | management API | billing events | back to normal |\n|---|---|---|---|---|---|\n",
    );
    for Row { away, open, capped, management, events, back, .. } in rows {
        text += &format!("| {away} | {open} | {capped} | {management} | {events} | {back} |\n");
    }
    text += "\nWhat keeps each row's word:\n\n| away | faults made in a real installation | back within | further tests |\n|---|---|---|---|\n";
    for row in rows {
        let faults: Vec<String> = row.faults.iter().map(|fault| fault.name()).collect();
        let back = if faults.is_empty() { "–".to_owned() } else { format!("{} s", row.back_seconds) };
        let stories: Vec<String> = row.stories.iter().map(|story| format!("`{story}`")).collect();
        let faults = if faults.is_empty() { "–".to_owned() } else { faults.join(", ") };
        let stories = if stories.is_empty() { "–".to_owned() } else { stories.join(" ") };
        text += &format!("| {} | {faults} | {back} | {stories} |\n", row.away);
    }
    text + "\n"
}

/// Whether the document shows the table; writes it when asked to.
pub(super) fn is_shown(rows: &[Row]) -> bool {
    let file = root().join("docs/degradation.md");
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(FROM).expect("the document has a place for the table");
    let (shown, after) = rest.split_once(TO).expect("the document has a place for the table");
    let wanted = rendered(rows);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(file, format!("{before}{FROM}{wanted}{TO}{after}")).unwrap();
        return true;
    }
    shown == wanted
}
