//! Words that no committed file holds: paths of one machine, registry hosts, silenced lints, default passwords.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Fault;

struct Ban {
    /// Parts of the word, joined here so that this file does not hold it.
    word: &'static [&'static str],
    only: &'static [&'static str],
    except: &'static [&'static str],
    reason: &'static str,
}

const BANS: &[Ban] = &[
    Ban { word: &["/wo", "rk/"], only: &[], except: &[], reason: "a path of one machine" },
    Ban { word: &["/ro", "ot/"], only: &[], except: &[], reason: "a path of one machine" },
    Ban { word: &["/ho", "me/"], only: &[], except: &["deploy/"], reason: "a path of one machine" },
    Ban { word: &["crates", ".io"], only: &[], except: &["Cargo.lock"], reason: "a registry's host" },
    Ban { word: &["npmjs", ".org"], only: &[], except: &[], reason: "a registry's host" },
    Ban { word: &["pypi", ".org"], only: &[], except: &[], reason: "a registry's host" },
    Ban {
        word: &["#[al", "low("],
        only: &[".rs"],
        except: &["src/gen/"],
        reason: "use #[expect(…, reason = …)]",
    },
    Ban { word: &["#[ig", "nore"], only: &[".rs"], except: &[], reason: "no test is skipped" },
    Ban { word: &["sk-", "1234"], only: &[], except: &[], reason: "a default secret" },
    Ban {
        word: &["println!", "("],
        only: &["crates/"],
        except: &["crates/tidegate/", "/examples/", "/tests/", "testkit", "build.rs"],
        reason: "libraries do not print",
    },
];

pub(super) fn check(root: &Path, files: &[String]) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for file in files {
        let Ok(text) = String::from_utf8(fs::read(root.join(file))?) else { continue };
        faults.extend(faults_in(file, &text));
    }
    Ok(faults)
}

fn faults_in(file: &str, text: &str) -> Vec<Fault> {
    let applies = |ban: &&Ban| {
        let only =
            ban.only.is_empty() || ban.only.iter().any(|part| file.ends_with(part) || file.starts_with(part));
        only && !ban.except.iter().any(|part| file.contains(part))
    };
    let mut faults = Vec::new();
    for ban in BANS.iter().filter(applies) {
        let word = ban.word.concat();
        let lines = text.lines().enumerate().filter(|(_, line)| line.contains(&word));
        faults.extend(lines.map(|(number, _)| format!("{file}:{}: {word:?}: {}", number + 1, ban.reason)));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_words_are_found() {
        for ban in BANS {
            let file = ban.only.first().map_or("README.md".to_owned(), |part| {
                if part.starts_with('.') {
                    format!("crates/x/src/a{part}")
                } else {
                    format!("{part}x/src/a.rs")
                }
            });
            let text = format!("fine\nnot fine: {}\n", ban.word.concat());
            let faults = faults_in(&file, &text);
            assert!(faults.iter().any(|fault| fault.starts_with(&format!("{file}:2"))), "{file}: {faults:?}");
        }
    }

    #[test]
    fn ordinary_text_passes() {
        assert!(faults_in("README.md", "Run ./dev and ./test.").is_empty());
    }
}
