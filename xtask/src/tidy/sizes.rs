//! Files stay small: none over 500 lines, nine of ten under 300.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Fault;

const MOST: usize = 500;
const USUAL: usize = 300;

/// Generated code is not read by people.
const EXEMPT: &[&str] = &["crates/tidegate-proto/src/gen/"];

pub(super) fn check(root: &Path, files: &[String]) -> Result<Vec<Fault>> {
    let mut sizes = Vec::new();
    for file in files.iter().filter(|file| is_source(file)) {
        let lines = fs::read_to_string(root.join(file))?.lines().count();
        sizes.push((file.as_str(), lines));
    }
    Ok(faults(&sizes))
}

fn is_source(file: &str) -> bool {
    let source =
        [".rs", ".py", ".ts", ".tsx", ".mjs", ".sh", ".sql"].iter().any(|ending| file.ends_with(ending));
    source && !EXEMPT.iter().any(|folder| file.starts_with(folder))
}

fn faults(sizes: &[(&str, usize)]) -> Vec<Fault> {
    let too_long = sizes.iter().filter(|(_, lines)| *lines > MOST);
    let mut faults: Vec<Fault> = too_long
        .map(|(file, lines)| format!("{file} has {lines} lines; split it by duty (at most {MOST})"))
        .collect();
    let long = sizes.iter().filter(|(_, lines)| *lines > USUAL).count();
    if long * 10 > sizes.len() {
        faults.push(format!(
            "{long} of {} files are over {USUAL} lines; at most one in ten may be",
            sizes.len()
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_found() {
        assert_eq!(faults(&[("a.rs", 501), ("b.rs", 10)]).len(), 2);
        assert!(faults(&[("a.rs", 299)]).is_empty());
    }

    #[test]
    fn generated_files_are_not_counted() {
        assert!(!is_source("crates/tidegate-proto/src/gen/x.rs"));
        assert!(is_source("crates/tidegate-types/src/lib.rs"));
    }
}
