//! Makes a catalogue from rules and price files. What cannot be expressed is reported.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_types::ModelName;
use tidegate_types::resource::ModelKind;

use crate::CatalogueError;
use crate::complete::{complete, kind_of};
use crate::document::{Catalogue, ModelEntry, OfferingEntry, Source};
use crate::found::{Facts, Found};
use crate::names::{bare, named};
use crate::rules::{ProviderRule, Rules};
use crate::{genai, litellm};

/// Stands where a model other than a language model has no known window.
const NO_WINDOW_KNOWN: u32 = 1_000_000;
/// Stands where such a model has no known limit of output tokens: more than any image or speech
/// of today takes, and what a strict budget holds for one.
const NO_LIMIT_KNOWN: u32 = 32_768;

/// Texts of price files with what they are.
#[derive(Debug, Clone, Default)]
pub struct PriceFiles {
    /// The data of genai-prices.
    pub genai: Option<(Source, String)>,
    /// LiteLLM's file.
    pub litellm: Option<(Source, String)>,
}

/// A catalogue and what is missing in it.
#[derive(Debug, Clone, Default)]
pub struct Built {
    /// The catalogue, without providers.
    pub catalogue: Catalogue,
    /// `provider upstream: reason`, one line for each model that was left out and each part of a
    /// price that could not be expressed.
    pub report: Vec<String>,
}

/// Makes a catalogue.
///
/// # Errors
/// [`CatalogueError::Import`] when a file is not what it should be.
pub fn build(rules: &Rules, files: &PriceFiles) -> Result<Built, CatalogueError> {
    let mut built = Built::default();
    let mut genai = BTreeMap::new();
    let mut litellm = BTreeMap::new();
    if let Some((source, text)) = &files.genai {
        genai = genai::read(text, &format!("{} {}", source.name, source.version))?;
        built.catalogue.sources.push(source.clone());
    }
    if let Some((source, text)) = &files.litellm {
        litellm = litellm::read(text, &format!("{} {}", source.name, source.version))?;
        built.catalogue.sources.push(source.clone());
    }
    let reasoning =
        litellm.values().flatten().filter(|found| found.facts.can.is_some_and(|can| can.reasoning));
    let reasoning = reasoning.map(|found| bare(&found.upstream)).collect();
    let known = known_facts(rules, &litellm);
    let mut maker = Maker { rules, known, reasoning, models: BTreeMap::new(), built };
    for provider in &rules.providers {
        maker.provider(provider, &genai, &litellm);
    }
    let Maker { models, mut built, .. } = maker;
    built.catalogue.models = models.into_values().map(|(_, model)| model).collect();
    built.catalogue.offerings.sort_by(|a, b| (&a.provider, &a.model).cmp(&(&b.provider, &b.model)));
    built.report.sort();
    Ok(built)
}

type File = BTreeMap<String, Vec<Found>>;

/// What LiteLLM's file knows of models, by bare name; where providers differ, the providers in
/// the order of the rules, then the rest.
fn known_facts(rules: &Rules, litellm: &File) -> BTreeMap<String, Facts> {
    let first = rules.providers.iter().flat_map(|provider| &provider.import.litellm);
    let names: Vec<&String> = first.chain(litellm.keys()).collect();
    let mut known: BTreeMap<String, Facts> = BTreeMap::new();
    for found in names.into_iter().filter_map(|name| litellm.get(name)).flatten() {
        let facts = known.entry(bare(&found.upstream)).or_default();
        *facts = facts.or(found.facts);
    }
    known
}

struct Maker<'a> {
    rules: &'a Rules,
    known: BTreeMap<String, Facts>,
    /// Bare names of models that somebody says reason.
    reasoning: BTreeSet<String>,
    /// With whether their maker says it.
    models: BTreeMap<ModelName, (bool, ModelEntry)>,
    built: Built,
}

impl Maker<'_> {
    fn provider(&mut self, provider: &ProviderRule, genai: &File, litellm: &File) {
        let import = &provider.import;
        let listed = |file: &'_ File, names: &[String]| -> Vec<Found> {
            names.iter().filter_map(|name| file.get(name)).flatten().cloned().collect()
        };
        let theirs = listed(litellm, &import.litellm);
        let mut facts: BTreeMap<String, Facts> = BTreeMap::new();
        for found in &theirs {
            let known = facts.entry(bare(&found.upstream)).or_default();
            *known = known.or(found.facts);
        }
        let mut founds = listed(genai, &import.genai);
        for found in &mut founds {
            let dated = theirs.iter().filter(|other| adds_date(&found.upstream, &other.upstream));
            found.dated.extend(dated.map(|other| other.upstream.clone()));
        }
        if founds.is_empty() {
            founds = theirs;
        } else {
            let names: BTreeSet<String> = founds.iter().map(|found| bare(&found.upstream)).collect();
            let wanted = |found: &Found| found.facts.kind.is_some_and(|kind| import.further.contains(&kind));
            let new = |found: &Found| wanted(found) && !names.contains(&bare(&found.upstream));
            founds.extend(theirs.into_iter().filter(new));
        }
        let mut taken = BTreeSet::new();
        for found in founds {
            let wanted =
                import.only.is_empty() || import.only.iter().any(|only| found.upstream.starts_with(only));
            if !wanted || import.skip.iter().any(|skip| found.upstream.starts_with(skip)) {
                continue;
            }
            let own = facts.get(&bare(&found.upstream)).copied().unwrap_or_default();
            let line = |why: &str| format!("{} {}: {why}", provider.slug, found.upstream);
            self.built.report.extend(found.lost.iter().map(|lost| line(lost)));
            match self.offering(provider, &found, own) {
                Ok((model, offering)) if taken.insert(offering.model.clone()) => {
                    let maker = model.name.creator();
                    let own = import.creator.as_deref() == Some(maker) || provider.slug.as_str() == maker;
                    self.model(own, model);
                    self.built.catalogue.offerings.push(offering);
                }
                Ok((model, _)) => {
                    let why = format!("left out: another entry is {} there", model.name);
                    self.built.report.push(line(&why));
                }
                Err(why) => self.built.report.push(line(&format!("left out: {why}"))),
            }
        }
    }

    /// Keeps what a model's maker says of it, else what its first provider says.
    fn model(&mut self, own: bool, mut model: ModelEntry) {
        match self.models.get_mut(&model.name) {
            None => {
                self.models.insert(model.name.clone(), (own, model));
            }
            Some((known_own, known)) => {
                if own && !*known_own {
                    std::mem::swap(known, &mut model);
                    *known_own = true;
                }
                for alias in model.aliases {
                    if !known.aliases.contains(&alias) {
                        known.aliases.push(alias);
                    }
                }
            }
        }
    }

    fn offering(
        &self,
        provider: &ProviderRule,
        found: &Found,
        own: Facts,
    ) -> Result<(ModelEntry, OfferingEntry), String> {
        let special = found.upstream.contains(':') && !provider.import.dotted_creators;
        if special || found.upstream.starts_with("ft") || found.upstream.contains(' ') {
            return Err("a variant, not a model".to_owned());
        }
        let name =
            named(self.rules, provider, &found.upstream).ok_or("its name cannot be written as ours")?;
        let general = self.known.get(&bare(&found.upstream)).copied().unwrap_or_default();
        let facts = found.facts.or(own).or(general);
        let kind = facts.kind.or_else(|| kind_of(found)).ok_or("its kind is not known")?;
        if !provider.serves(kind) {
            return Err(format!("{kind:?} models cannot be called there"));
        }
        let context = match facts.context.filter(|context| *context > 0) {
            Some(context) => context,
            None if kind == ModelKind::Language => return Err("its context window is not known".to_owned()),
            None => NO_WINDOW_KNOWN,
        };
        let limit = facts.output.filter(|output| *output > 0).map(|output| output.min(context));
        // No answer is longer than the window: that is the limit where no other is known.
        let widest = if kind == ModelKind::Language { context } else { NO_LIMIT_KNOWN };
        let prices = complete(&found.prices, kind)?;
        let can = facts.can.unwrap_or_default();
        let model = ModelEntry {
            display_name: readable(found.display.as_deref()).unwrap_or_else(|| name.name().to_owned()),
            aliases: found.dated.iter().take(16).cloned().collect(),
            kind,
            context_window: context,
            max_output_tokens: limit.unwrap_or(widest),
            capabilities: can,
            name: name.clone(),
        };
        let import = &provider.import;
        let mut notes = BTreeMap::new();
        if !found.lost.is_empty() {
            let lost = found.lost.join("; ");
            notes.insert("not_priced".to_owned(), lost.chars().take(512).collect());
        }
        let offering = OfferingEntry {
            model: name,
            provider: provider.slug.clone(),
            upstream_name: format!("{}{}{}", import.upstream_prefix, found.upstream, import.upstream_suffix),
            max_output_tokens: limit,
            // Reasoning may be hidden, and what is not known not to reason may do it too.
            output_visible: kind == ModelKind::Language
                && facts.can.is_some()
                && !self.reasoning.contains(&bare(&found.upstream)),
            data_handling: provider
                .data_handling
                .as_ref()
                .and_then(|facts| facts.of(model.name.creator(), kind)),
            locations: provider.locations(&format!("{}{}", import.upstream_prefix, found.upstream)),
            notes,
            prices,
        };
        Ok((model, offering))
    }
}

/// A name for people without what names cannot have.
fn readable(display: Option<&str>) -> Option<String> {
    let plain: String = display?.chars().filter(|c| !c.is_control()).take(128).collect();
    let plain = plain.trim();
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// Whether a name is another one with a date: `-20250929` or `@20250929`.
fn adds_date(name: &str, other: &str) -> bool {
    let date = other.strip_prefix(name).and_then(|rest| rest.strip_prefix(['-', '@'])).unwrap_or_default();
    date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit())
}
