//! Providers, models and offerings of one owner, found by every name they go by.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_types::resource::{Credential, Model, Provider};
use tidegate_types::{ModelName, ProviderId, ProviderSlug};

use crate::compiled::Offering;
use crate::snapshot::Map;

/// An offering with its provider, when that has the same owner.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) offering: Arc<Offering>,
    pub(crate) provider: Option<Arc<Provider>>,
}

pub(crate) type Names = SmallVec<[Arc<Model>; 1]>;

/// The shared catalogue, or an organization's own.
#[derive(Debug, Default)]
pub struct Catalogue {
    pub(crate) models: Map<Arc<str>, Arc<Model>>,
    /// Aliases and names without regard to dots, dashes and case.
    pub(crate) aliases: Map<Box<str>, Names>,
    /// Names without their creators.
    pub(crate) bare: Map<Box<str>, Names>,
    /// What providers call the models, dated names among them.
    pub(crate) upstream: Map<Box<str>, Names>,
    pub(crate) offerings: Map<ModelName, Vec<Entry>>,
    pub(crate) providers: Map<ProviderSlug, Arc<Provider>>,
    /// Models whose last tightening could not be applied.
    pub(crate) closed_models: Vec<ModelName>,
    /// System credentials by provider, in the order in which they are tried.
    pub(crate) credentials: Map<ProviderSlug, Vec<Arc<Credential>>>,
}

/// A name without regard to case and to the difference of dots and dashes.
pub(crate) fn normal(name: &str) -> Box<str> {
    name.chars().map(|c| if c == '.' { '-' } else { c.to_ascii_lowercase() }).collect::<String>().into()
}

impl Catalogue {
    /// The catalogue of these resources, whatever their order.
    pub(crate) fn new(
        models: Vec<Arc<Model>>,
        closed_models: Vec<ModelName>,
        providers: Vec<Arc<Provider>>,
        offerings: Vec<Arc<Offering>>,
        credentials: Map<ProviderSlug, Vec<Arc<Credential>>>,
    ) -> Self {
        let mut index = Self { closed_models, credentials, ..Self::default() };
        index.add_providers(providers);
        index.add_models(models);
        index.add_offerings(offerings);
        index
    }

    fn add_providers(&mut self, mut providers: Vec<Arc<Provider>>) {
        // The lowest id wins where two claim one name, whatever came first.
        providers.sort_unstable_by_key(|provider| std::cmp::Reverse(provider.id));
        self.providers = providers.into_iter().map(|provider| (provider.slug.clone(), provider)).collect();
    }

    fn add_models(&mut self, mut models: Vec<Arc<Model>>) {
        models.sort_unstable_by_key(|model| std::cmp::Reverse(model.id));
        self.models = models.into_iter().map(|model| (Arc::from(model.name.as_str()), model)).collect();
        let mut by_name: Vec<_> = self.models.values().collect();
        by_name.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        for model in by_name {
            note(&mut self.bare, normal(model.name.name()), model);
            note(&mut self.aliases, normal(model.name.as_str()), model);
            for alias in &model.aliases {
                note(&mut self.aliases, normal(alias), model);
            }
        }
    }

    fn add_offerings(&mut self, mut offerings: Vec<Arc<Offering>>) {
        offerings.sort_unstable_by(|one, other| (&one.provider, one.id).cmp(&(&other.provider, other.id)));
        for offering in offerings {
            if let Some(model) = self.models.get(offering.model.as_str()) {
                note(&mut self.upstream, normal(&offering.upstream_name), model);
            }
            let provider = self.providers.get(&offering.provider).cloned();
            self.offerings.entry(offering.model.clone()).or_default().push(Entry { offering, provider });
        }
    }

    /// Offerings of a model.
    pub(crate) fn offerings_of(&self, model: &ModelName) -> &[Entry] {
        self.offerings.get(model).map(Vec::as_slice).unwrap_or_default()
    }

    /// A model by its exact name.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Arc<Model>> {
        self.models.get(name)
    }

    /// Every model, in no particular order.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.values()
    }

    /// A provider by its slug.
    #[must_use]
    pub fn provider(&self, slug: &ProviderSlug) -> Option<&Arc<Provider>> {
        self.providers.get(slug)
    }

    /// A provider by its id. Looks at all of them.
    #[must_use]
    pub fn provider_by_id(&self, id: ProviderId) -> Option<&Arc<Provider>> {
        self.providers.values().find(|provider| provider.id == id)
    }

    /// Every offering, in no particular order.
    pub fn offerings(&self) -> impl Iterator<Item = &Arc<Offering>> {
        self.offerings.values().flatten().map(|entry| &entry.offering)
    }

    /// Every system credential (none in an organization's own catalogue).
    pub fn credentials(&self) -> impl Iterator<Item = &Arc<Credential>> {
        self.credentials.values().flatten()
    }
}

fn note(names: &mut Map<Box<str>, Names>, name: Box<str>, model: &Arc<Model>) {
    let models = names.entry(name).or_default();
    if models.iter().all(|known| known.name != model.name) {
        models.push(Arc::clone(model));
    }
}
