//! The wire between the planes only grows: `proto/protocol.lock` names every field, enum value and call that
//! ever was, and `tidy` refuses one that changed, went without being reserved, or came without being noted.
//!
//! Old nodes speak to new control planes and the other way round; what a number once meant it means for ever.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::codegen::FILES;

const LOCK: &str = "proto/protocol.lock";

/// What stands at each place: `package.Message 3` → `name type`. A reserved place: [`RESERVED`].
type Places = BTreeMap<String, String>;

const RESERVED: &str = "reserved";

/// Everything that is wrong with the present protocol.
///
/// # Errors
/// When a file of `proto/` is not valid or the lock cannot be read.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let (lock, present) = (read_lock(root)?, places(root)?);
    let mut faults = broken(&lock, &present);
    let new = present.iter().filter(|(place, what)| *what != RESERVED && !lock.contains_key(*place));
    faults.extend(new.map(|(place, _)| format!("{LOCK} does not have {place}: run cargo xtask protocol")));
    Ok(faults)
}

/// Notes in the lock what has come; never takes anything out.
///
/// # Errors
/// As [`check`], and when something that is noted was changed or went.
pub(crate) fn note(root: &Path) -> Result<()> {
    let (mut lock, present) = (read_lock(root)?, places(root)?);
    let faults = broken(&lock, &present);
    if !faults.is_empty() {
        bail!("the protocol does not only grow:\n{}", faults.join("\n"));
    }
    let before = lock.len();
    for (place, what) in present {
        if what != RESERVED {
            lock.entry(place).or_insert(what);
        }
    }
    let lines: String = lock.iter().map(|(place, what)| format!("{place} = {what}\n")).collect();
    fs::write(root.join(LOCK), lines)?;
    println!("{LOCK}: {} places, {} of them new", lock.len(), lock.len() - before);
    Ok(())
}

fn broken(lock: &Places, present: &Places) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, was) in lock {
        match present.get(place) {
            Some(now) if now == was || now == RESERVED => {}
            Some(now) => faults.push(format!("{place} was {was:?} and is {now:?} now: take a new number")),
            None => faults.push(format!("{place} ({was:?}) is gone: reserve its number")),
        }
    }
    faults
}

fn read_lock(root: &Path) -> Result<Places> {
    let text = fs::read_to_string(root.join(LOCK)).unwrap_or_default();
    text.lines()
        .map(|line| {
            let (place, what) = line.split_once(" = ").with_context(|| format!("{LOCK}: {line:?}"))?;
            Ok((place.to_owned(), what.to_owned()))
        })
        .collect()
}

fn places(root: &Path) -> Result<Places> {
    let folder = root.join("proto");
    let files: Vec<&str> = FILES.into_iter().filter(|file| folder.join(file).exists()).collect();
    let set = protox::compile(files, [&folder]).context("read proto/")?;
    let mut places = Places::new();
    for file in set.file.iter().filter(|file| file.package().starts_with("tidegate.")) {
        for message in &file.message_type {
            let name = format!("{}.{}", file.package(), message.name());
            for range in &message.reserved_range {
                let numbers = range.start()..range.end();
                places.extend(numbers.map(|number| (format!("{name} {number}"), RESERVED.to_owned())));
            }
            for field in &message.field {
                let kind = match field.type_name() {
                    "" => format!("{:?}", field.r#type()).to_lowercase(),
                    name => name.trim_start_matches('.').to_owned(),
                };
                // A number may move into a oneof of its own (`optional`), and out of none.
                let choice = field.oneof_index.filter(|_| !field.proto3_optional());
                let choice = choice.and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?));
                let choice = choice.map(|choice| format!(" of {}", choice.name())).unwrap_or_default();
                let label = format!("{:?}", field.label()).to_lowercase();
                let repeated = if label == "repeated" { "repeated " } else { "" };
                let what = format!("{} {repeated}{kind}{choice}", field.name());
                places.insert(format!("{name} {}", field.number()), what);
            }
            anyhow::ensure!(
                message
                    .nested_type
                    .iter()
                    .all(|nested| nested.options.as_ref().is_some_and(|o| o.map_entry()))
                    && message.enum_type.is_empty(),
                "{name}: nested messages and enums are not looked at"
            );
        }
        for values in &file.enum_type {
            let name = format!("{}.{}", file.package(), values.name());
            for range in &values.reserved_range {
                let numbers = range.start()..=range.end();
                places.extend(numbers.map(|number| (format!("{name} {number}"), RESERVED.to_owned())));
            }
            for value in &values.value {
                places.insert(format!("{name} {}", value.number()), value.name().to_owned());
            }
        }
        for service in &file.service {
            for method in &service.method {
                let stream = |streams: bool| if streams { "stream " } else { "" };
                let what = format!(
                    "{}{} -> {}{}",
                    stream(method.client_streaming()),
                    method.input_type().trim_start_matches('.'),
                    stream(method.server_streaming()),
                    method.output_type().trim_start_matches('.'),
                );
                places.insert(format!("{}.{}/{}", file.package(), service.name(), method.name()), what);
            }
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "syntax = \"proto3\"; package tidegate.config.v1;
        message Hello { uint32 version = 1; repeated string features = 2; oneof kind { string a = 3; } }
        enum Mode { MODE_UNKNOWN = 0; MODE_FAST = 1; }
        service S { rpc Ask(Hello) returns (stream Hello); }";

    /// Faults when `text` follows on [`FIRST`], and whether it could be noted.
    fn after_first(text: &str) -> (Vec<String>, bool) {
        let root = std::env::temp_dir().join(format!("protocol-{}-{}", std::process::id(), text.len()));
        let file = root.join("proto").join(FILES[1]);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, FIRST).unwrap();
        note(&root).unwrap();
        assert_eq!(check(&root).unwrap(), [""; 0]);
        fs::write(&file, text).unwrap();
        let found = (check(&root).unwrap(), note(&root).is_ok());
        fs::remove_dir_all(&root).unwrap();
        found
    }

    #[test]
    fn what_is_new_is_noted_and_nothing_else_is_needed() {
        let (faults, noted) =
            after_first(&FIRST.replace("uint32 version = 1;", "uint32 version = 1; bytes x = 9;"));
        assert!(faults.len() == 1 && faults[0].contains("tidegate.config.v1.Hello 9"), "{faults:?}");
        assert!(noted);
        let reserved = FIRST.replace("repeated string features = 2;", "reserved 2;");
        assert_eq!(after_first(&reserved), (vec![], true));
        assert_eq!(after_first(&FIRST.replace("uint32 version", "optional uint32 version")), (vec![], true));
    }

    #[test]
    fn every_break_is_found() {
        let breaks = [
            ("uint32 version = 1;", ""),
            ("uint32 version = 1;", "uint32 version = 4;"),
            ("uint32 version", "uint64 version"),
            ("uint32 version", "uint32 release"),
            ("repeated string", "string"),
            ("oneof kind { string a = 3; }", "string a = 3;"),
            ("MODE_FAST", "MODE_SLOW"),
            ("MODE_FAST = 1;", ""),
            ("(stream Hello)", "(Hello)"),
            ("rpc Ask", "rpc Tell"),
        ];
        for (was, now) in breaks {
            let (faults, noted) = after_first(&FIRST.replace(was, now));
            assert!(!faults.is_empty() && !noted, "{was:?} to {now:?} breaks old nodes");
        }
    }
}
