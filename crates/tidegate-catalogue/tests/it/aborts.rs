//! `docs/disconnects.md` lists every provider of the catalogue with what an abort does there.

use std::fmt::Write as _;

use tidegate_types::resource::AbortBilling;

const BEGIN: &str =
    "<!-- table: made from the catalogue, see crates/tidegate-catalogue/tests/it/aborts.rs -->\n";
const END: &str = "<!-- end of table -->\n";

fn table() -> String {
    let mut providers = tidegate_catalogue::builtin().unwrap().providers;
    providers.sort_by_key(|provider| provider.slug.to_string());
    let mut text =
        String::from("| provider | billing after an abort | what the gateway does |\n|---|---|---|\n");
    for provider in providers {
        let (billing, done) = match provider.abort_billing {
            AbortBilling::Stops => ("stops", "cancel and meter"),
            AbortBilling::Continues => ("goes on, or nobody says", "drain"),
        };
        writeln!(text, "| `{}` | {billing} | {done} |", provider.slug).unwrap();
    }
    text
}

#[test]
fn the_document_lists_every_provider_as_the_catalogue_has_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/disconnects.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{path} has no table"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{path}: the table has no end"));
    let right = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &right).unwrap();
        return;
    }
    assert!(text == right, "docs/disconnects.md differs from the catalogue; run with UPDATE_DOCS=1");
}
