//! Tests that the documents name exist: a promise points at what keeps it.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Fault;

/// Looks each `file.rs::function` in a document's code marks up.
///
/// # Errors
/// When a document cannot be read.
pub(super) fn check(root: &Path, files: &[String]) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for document in files.iter().filter(|name| is_document(name)) {
        let text = fs::read_to_string(root.join(document))?;
        for (file, function) in names(&text) {
            let code = fs::read_to_string(root.join(file)).unwrap_or_default();
            if !code.contains(&format!("fn {function}(")) {
                faults.push(format!("{document} names the test {file}::{function}, which does not exist"));
            }
        }
    }
    Ok(faults)
}

fn is_document(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "md")
}

/// What stands between two code marks and looks like `path.rs::name`.
fn names(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|marked| {
        let (file, function) = marked.split_once(".rs::")?;
        let file = marked.get(..file.len() + ".rs".len())?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        (!file.contains(char::is_whitespace) && function.chars().all(is_name)).then_some((file, function))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tests_are_found_between_code_marks_only() {
        let text = "a `b/c.rs::d_e` f g.rs::h `i.rs` `j.rs::k l`";
        assert_eq!(names(text).collect::<Vec<_>>(), [("b/c.rs", "d_e")]);
    }

    #[test]
    fn a_test_that_does_not_exist_is_a_fault() {
        let folder = std::env::temp_dir().join(format!("tidy-named-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.rs"), "fn there() {}").unwrap();
        fs::write(folder.join("a.md"), "`a.rs::there` `a.rs::gone`").unwrap();
        let faults = check(&folder, &["a.md".to_owned()]).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(faults, ["a.md names the test a.rs::gone, which does not exist"]);
    }
}
