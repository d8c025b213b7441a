//! Migrations only expand: while they run, and after a step back, the program of the release before works on.
//!
//! What nobody uses any more may go a release later, in a migration that says so: a comment
//! `-- contract: why nothing that is still supported needs it` right before the statement.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Fault;

/// Committed before there was a rule, and looked at: a migration that has run is never edited.
const LOOKED_AT: [(&str, &str); 3] = [
    // The constraint comes back wider in the same file.
    ("migrations/0111_credits.sql", "alter table ledger_postings drop constraint"),
    ("migrations/0111_credits.sql", "alter table ledger_postings add constraint"),
    // About columns that are new in the same file.
    ("migrations/0111_credits.sql", "alter table ledger_batches add constraint"),
];

/// Words that take something away from a program that is still running, and what to do instead.
const BREAKS: [(&str, &str); 12] = [
    ("drop table", "leave the table until the next release"),
    ("drop column", "leave the column until the next release"),
    ("drop constraint", "an old program may rely on it"),
    ("drop function", "CREATE OR REPLACE with the same arguments, or leave it"),
    ("drop view", "leave the view until the next release"),
    ("drop type", "leave the type until the next release"),
    ("drop default", "an old program does not name the column"),
    (" rename ", "add the new name, fill it, and let the old one go a release later"),
    ("set not null", "an old program leaves it empty"),
    ("set data type", "add a column of the new type"),
    ("truncate ", "an old program needs the rows"),
    ("revoke ", "an old program may need the right"),
];

pub(super) fn check(root: &Path, files: &[String]) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.starts_with("migrations/")) {
        faults.extend(faults_in(file, &fs::read_to_string(root.join(file))?));
    }
    Ok(faults)
}

fn faults_in(file: &str, text: &str) -> Vec<Fault> {
    let statements = statements(text);
    let made = |what: &str| -> Vec<String> {
        statements.iter().filter_map(|one| one.sql.strip_prefix(what).map(first_word)).collect()
    };
    let (tables, functions) = (made("create table "), made("create function "));
    let concerns_own = |sql: &str| {
        let after = |start: &str| sql.strip_prefix(start).map(first_word);
        after("alter table ").is_some_and(|table| tables.contains(&table))
            || after("revoke all on function ").is_some_and(|function| functions.contains(&function))
    };
    let mut faults = Vec::new();
    for statement in &statements {
        let looked_at =
            LOOKED_AT.iter().any(|(known, start)| *known == file && statement.sql.starts_with(start));
        if statement.contracts || looked_at || concerns_own(&statement.sql) {
            continue;
        }
        let said: String = statement.sql.chars().take(60).collect();
        let breaks = BREAKS.iter().filter(|(word, _)| statement.sql.contains(word));
        faults.extend(breaks.map(|(_, instead)| format!("{file}: {said:?}: {instead}")));
        for column in statement.sql.split("add column").skip(1) {
            let column = column.split(", add ").next().unwrap_or_default();
            if column.contains("not null") && !column.contains("default") && !column.contains("generated") {
                faults.push(format!("{file}: {said:?}: a column that must not be empty needs a default"));
            }
        }
        if statement.sql.contains("alter column") && statement.sql.contains(" type ") {
            faults.push(format!("{file}: {said:?}: add a column of the new type"));
        }
        if statement.sql.starts_with("alter table") && statement.sql.contains("add constraint") {
            faults.push(format!("{file}: {said:?}: rows that an old program writes may not keep it"));
        }
    }
    faults
}

struct Statement {
    /// In small letters, one space between words, without comments.
    sql: String,
    contracts: bool,
}

fn first_word(text: &str) -> String {
    let text = text.trim_start_matches("if not exists ").trim_start_matches("if exists ");
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default().to_owned()
}

/// Statements end with a semicolon outside of quotes, comments and dollar-quoted bodies.
fn statements(text: &str) -> Vec<Statement> {
    let (mut all, mut sql, mut contracts) = (Vec::new(), String::new(), false);
    let (mut quoted, mut body) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !quoted && rest.starts_with("--") {
            let line = rest.lines().next().unwrap_or_default();
            contracts |= !body && line.trim_start_matches('-').trim().starts_with("contract: ");
            rest = &rest[line.len()..];
            continue;
        }
        if !quoted && rest.starts_with("$$") {
            body = !body;
            (sql, rest) = (sql + "$$", &rest[2..]);
            continue;
        }
        if c == '\'' {
            quoted = !quoted;
        }
        if c == ';' && !quoted && !body {
            all.push(Statement { sql: normal(&sql), contracts });
            (sql, contracts) = (String::new(), false);
        } else {
            sql.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    all.retain(|statement| !statement.sql.is_empty());
    all
}

/// What a function's body does concerns nobody's columns; it is left out.
fn normal(sql: &str) -> String {
    let outside: Vec<&str> = sql.split("$$").step_by(2).collect();
    outside.join(" ").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_something_away_is_found() {
        let breaks = [
            "DROP TABLE a;",
            "ALTER TABLE a DROP COLUMN b;",
            "ALTER TABLE a\n  RENAME COLUMN b TO c;",
            "ALTER TABLE a ADD COLUMN b bigint NOT NULL;",
            "ALTER TABLE a ADD COLUMN c text NOT NULL DEFAULT '', ADD COLUMN b bigint NOT NULL;",
            "ALTER TABLE a ALTER COLUMN b SET NOT NULL;",
            "ALTER TABLE a ALTER COLUMN b TYPE text;",
            "ALTER TABLE a ADD CONSTRAINT short CHECK (length(b) < 3);",
            "CREATE TABLE other (x text); ALTER TABLE a DROP COLUMN b;",
            "-- a note; with a semicolon\nDROP FUNCTION f(text);",
            "REVOKE SELECT ON a FROM tidegate_app;",
            "REVOKE ALL ON FUNCTION f FROM tidegate_app;",
        ];
        for sql in breaks {
            assert_eq!(faults_in("migrations/9999_x.sql", sql).len(), 1, "{sql}");
        }
    }

    #[test]
    fn what_only_adds_passes_and_so_does_what_says_why_it_may_go() {
        let fine = [
            "CREATE TABLE a (b text NOT NULL); ALTER TABLE a ADD CONSTRAINT c UNIQUE (b);",
            "ALTER TABLE a ADD COLUMN b bigint;",
            "ALTER TABLE a ADD COLUMN b bigint NOT NULL DEFAULT 0;",
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE t; END $$; \
             REVOKE ALL ON FUNCTION f FROM public;",
            "INSERT INTO a VALUES ('drop table; b');\n-- drop table c;\nCREATE INDEX i ON a (b);",
            "-- contract: nothing since 0.3 reads it\nALTER TABLE a DROP COLUMN b;",
        ];
        for sql in &fine[..4] {
            assert_eq!(faults_in("migrations/9999_x.sql", sql), [""; 0], "{sql}");
        }
        assert_eq!(faults_in("migrations/9999_x.sql", fine[5]), [""; 0]);
        // The word of a contract covers one statement.
        let two = format!("{}\nDROP TABLE a;", fine[5]);
        assert_eq!(faults_in("migrations/9999_x.sql", &two).len(), 1);
    }
}
