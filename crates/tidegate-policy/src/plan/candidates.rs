//! The candidates of one model: its offerings times the credentials for them, filtered.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_pricing::Tariff;
use tidegate_types::resource::{Capabilities, Credential, Model, Provider};
use tidegate_types::usage::{CredentialType, Usage};
use tidegate_types::{ModelName, OrganizationId, ProviderSlug, Timestamp};

use super::budgets::{Covering, of_attempt};
use super::effective::Demands;
use super::eject::Turn;
use super::facts::CallFacts;
use super::filter::{Allower, Filter};
use super::measured::{Pause, Quota, Vitals};
use super::order::{Candidates, Rank, by_rank};
use super::outcome::{Candidate, Removed, Role};
use super::sharing::share_out;
use super::wishes::Wishes;
use crate::allow::allows_provider;
use crate::catalogue::Entry;
use crate::compiled::Offering;
use crate::view::View;

/// No tokenizer has a token of more bytes than this.
const MOST_BYTES_PER_TOKEN: u64 = 128;

/// What is looked for: one model, perhaps at some providers only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) model: &'a ModelName,
    pub(crate) providers: &'a [ProviderSlug],
    pub(crate) role: Role,
}

/// Everything that filters ask.
pub(crate) struct Search<'a, 'd> {
    pub(crate) view: &'a View,
    pub(crate) facts: &'a CallFacts<'a>,
    pub(crate) now: Timestamp,
    pub(crate) demands: &'a Demands<'d>,
    pub(crate) covering: Covering,
    /// Only at these providers; empty: any.
    pub(crate) through: &'a [ProviderSlug],
    /// Uniform over all of `u64`: by it credentials share calls.
    pub(crate) draw: u64,
}

pub(crate) type Taken = SmallVec<[Removed; 1]>;

/// One offering on its way through the filters.
pub(super) struct Offer<'a> {
    pub(super) target: Target<'a>,
    model: &'a Arc<Model>,
    pub(super) offering: &'a Arc<Offering>,
    pub(super) provider: &'a Arc<Provider>,
    tariff: Tariff,
    max_output_tokens: u32,
    vitals: Vitals,
}

impl<'s> Search<'_, '_> {
    /// The candidates of a target in the order in which they are tried; what is taken out goes to
    /// `removed`.
    pub(crate) fn gather(&'s self, target: Target<'s>, removed: &mut Taken) -> Candidates {
        let mut found = Candidates::new();
        let (own, shared) = (&self.view.organization.own, &self.view.catalogue);
        let name = target.model.as_str();
        let model = own.models.get(name).or_else(|| shared.models.get(name));
        let mut take_out = |filter| {
            removed.push(Removed {
                model: target.model.shared(),
                provider: None,
                offering_id: None,
                model_id: model.map(|model| model.id),
                credential: None,
                filter,
            });
        };
        let Some(model) = model else {
            take_out(Filter::UnknownModel);
            return found;
        };
        if let Some(allower) = self.model_denied(target.model) {
            take_out(Filter::Model(allower));
            return found;
        }
        let entries = own.offerings_of(target.model).iter().chain(shared.offerings_of(target.model));
        if entries.clone().next().is_none() {
            take_out(Filter::NotOffered);
        }
        for entry in entries {
            match self.offer(target, model, entry) {
                Ok(offer) => self.sign_in(&offer, &mut found, removed),
                Err(filter) => removed.push(Removed {
                    model: target.model.shared(),
                    provider: Some(entry.offering.provider.clone()),
                    offering_id: Some(entry.offering.id),
                    model_id: Some(model.id),
                    credential: None,
                    filter,
                }),
            }
        }
        by_rank(&mut found);
        share_out(&mut found, self.draw);
        found
    }

    fn model_denied(&'s self, model: &ModelName) -> Option<Allower> {
        if self.view.allow().is_some_and(|allow| !allow.models.allows(model)) {
            return Some(Allower::Key);
        }
        let denying = self.demands.policies.iter().find(|policy| !policy.models.allows(model));
        denying.map(|policy| Allower::Policy(Arc::clone(&policy.name)))
    }

    fn provider_denied(&'s self, provider: &ProviderSlug) -> Option<Allower> {
        if self.view.allow().is_some_and(|allow| !allows_provider(&allow.providers, provider)) {
            return Some(Allower::Key);
        }
        let denying =
            self.demands.policies.iter().find(|policy| !allows_provider(&policy.providers, provider));
        denying.map(|policy| Allower::Policy(Arc::clone(&policy.name)))
    }

    /// The filters of an offering, in their order.
    fn offer(
        &'s self,
        target: Target<'s>,
        model: &'s Arc<Model>,
        entry: &'s Entry,
    ) -> Result<Offer<'s>, Filter> {
        let offering = &entry.offering;
        let meant = |list| allows_provider(list, &offering.provider);
        if !meant(target.providers) || !meant(self.through) {
            return Err(Filter::RouteProviders);
        }
        if !self.facts.wishes.allows(&offering.provider) {
            return Err(Filter::Only);
        }
        if let Some(allower) = self.provider_denied(&offering.provider) {
            return Err(Filter::Provider(allower));
        }
        self.could_be_kept(offering, self.provider_of(entry).map(|provider| &**provider))?;
        if model.kind != self.facts.kind {
            return Err(Filter::Kind);
        }
        let lack = lacking(self.facts.needs, model.capabilities)
            .or_else(|| lacking(self.facts.wishes.has, model.capabilities));
        if let Some(lack) = lack {
            return Err(Filter::Lacks(lack));
        }
        let tariff = match (offering.price_at(self.now), self.demands.effective.ceiling_price) {
            (Some(price), _) => Tariff::Listed(Arc::clone(price)),
            (None, Some(ceiling)) => Tariff::Ceiling(ceiling),
            (None, None) => return Err(Filter::NoPrice),
        };
        if !tariff.covers(model.kind) || !self.facts.units.iter().all(|unit| tariff.names(*unit)) {
            return Err(Filter::NoPrice);
        }
        let max_output_tokens = offering.max_output_tokens.unwrap_or(model.max_output_tokens);
        if self.facts.max_output_tokens.is_some_and(|asked| asked > max_output_tokens) {
            return Err(Filter::Output { most: max_output_tokens });
        }
        let images = self.facts.needs.vision;
        if !images && self.facts.input_bytes / MOST_BYTES_PER_TOKEN > u64::from(model.context_window) {
            return Err(Filter::Context { window: model.context_window });
        }
        let provider = self.provider_of(entry).filter(|provider| provider.enabled && offering.enabled);
        let provider = provider.ok_or(Filter::Disabled)?;
        if let Some(asker) = self.home_denied(provider) {
            return Err(Filter::Headquarters(asker));
        }
        if self.is_closed(target.model) {
            return Err(Filter::Closed);
        }
        let vitals = self.facts.measured.vitals(provider.id, model.id);
        Ok(Offer { target, model, offering, provider, tariff, max_output_tokens, vitals })
    }

    /// An own offering may be at an own provider or at a shared one; a shared offering is never at
    /// an own provider, or the operator's credentials would go there.
    fn provider_of(&'s self, entry: &'s Entry) -> Option<&'s Arc<Provider>> {
        let shared = || {
            let own = entry.offering.organization_id != OrganizationId::SYSTEM;
            self.view.catalogue.providers.get(&entry.offering.provider).filter(|_| own)
        };
        entry.provider.as_ref().or_else(shared)
    }

    fn is_closed(&'s self, model: &ModelName) -> bool {
        self.view.organization.own.closed_models.contains(model)
            || self.view.catalogue.closed_models.contains(model)
    }

    pub(super) fn admit(
        &self,
        offer: &Offer<'s>,
        credential: Option<&Arc<Credential>>,
        paid_by: CredentialType,
        found: &mut Candidates,
        removed: &mut Taken,
    ) {
        let by = credential.map(|credential| &**credential);
        let kept = self.placed(offer, by, paid_by).and_then(|placed| {
            let mut vouched = self.vouched(offer, by, paid_by)?;
            vouched.extend(placed);
            vouched.extend(self.home_evidence(offer.provider));
            Ok(vouched)
        });
        let vouched = match kept {
            Ok(vouched) => vouched,
            Err(filter) => {
                // No id is told of a credential that is of this request alone.
                let named = credential.filter(|_| paid_by != CredentialType::Client);
                return removed.push(offer.without(named, filter));
            }
        };
        let quota = self.quota(offer, credential, paid_by);
        match of_attempt(&self.covering, offer.model, offer.provider, paid_by) {
            Err(budget) => removed.push(offer.without(credential, Filter::BudgetClosed(budget))),
            Ok(budgets) => found.push(Candidate {
                provider: Arc::clone(offer.provider),
                model: Arc::clone(offer.model),
                offering: Arc::clone(offer.offering),
                credential: credential.cloned(),
                credential_type: paid_by,
                tariff: offer.tariff.clone(),
                max_output_tokens: offer.max_output_tokens,
                custom_name: None,
                budgets,
                role: offer.target.role,
                vitals: offer.vitals,
                pause: self.pause(offer, credential, paid_by),
                quota,
                share: None,
                ejected: false,
                vouched,
                rank: self.rank(offer, credential, paid_by, quota),
                turn: Turn::default(),
            }),
        }
    }

    /// What is said of a request's own credential says nothing of the next request's.
    fn pause(
        &self,
        offer: &Offer<'s>,
        credential: Option<&Arc<Credential>>,
        paid_by: CredentialType,
    ) -> Pause {
        if paid_by == CredentialType::Client {
            return Pause::None;
        }
        self.facts.measured.pause(credential.map(|credential| credential.id), offer.offering.id)
    }

    /// The same of what its provider says of its quota.
    fn quota(
        &self,
        offer: &Offer<'s>,
        credential: Option<&Arc<Credential>>,
        paid_by: CredentialType,
    ) -> Quota {
        let stored = credential.filter(|_| paid_by != CredentialType::Client);
        stored.map_or(Quota::FULL, |stored| self.facts.measured.quota(stored.id, offer.offering.id))
    }

    fn rank(
        &'s self,
        offer: &Offer<'s>,
        credential: Option<&Arc<Credential>>,
        paid_by: CredentialType,
        quota: Quota,
    ) -> Rank {
        // Four bytes to a token and a thousand tokens of output: good enough to compare prices.
        let output = self.facts.max_output_tokens.unwrap_or(1_000);
        let estimate = offer.tariff.bound(&Usage {
            input_tokens: self.facts.input_bytes / 4,
            output_tokens: u64::from(output),
            ..self.facts.most
        });
        let translated = self.facts.dialect.is_some_and(|dialect| offer.provider.spoken(dialect) != dialect);
        let own = paid_by != CredentialType::System;
        let Wishes { sort, .. } = self.facts.wishes;
        let (fares, wished) = ((offer.vitals, quota), (self.facts.wishes.place(&offer.provider.slug), sort));
        Rank::new(credential.map(|credential| &**credential), own, estimate, translated, fares, wished)
    }
}

impl Offer<'_> {
    pub(super) fn offering(&self) -> &Offering {
        self.offering
    }

    /// Whether it is the operator's.
    pub(super) fn is_shared(&self) -> bool {
        self.offering.organization_id == OrganizationId::SYSTEM
    }

    pub(super) fn without(&self, credential: Option<&Arc<Credential>>, filter: Filter) -> Removed {
        Removed {
            model: self.target.model.shared(),
            provider: Some(self.offering.provider.clone()),
            offering_id: Some(self.offering.id),
            model_id: Some(self.model.id),
            credential: credential.map(|credential| credential.id),
            filter,
        }
    }
}

/// The first thing that is needed and cannot be had.
fn lacking(needs: Capabilities, has: Capabilities) -> Option<&'static str> {
    [
        (needs.tools && !has.tools, "tools"),
        (needs.vision && !has.vision, "images"),
        (needs.reasoning && !has.reasoning, "reasoning"),
        (needs.structured_output && !has.structured_output, "structured output"),
    ]
    .into_iter()
    .find_map(|(lacks, what)| lacks.then_some(what))
}
