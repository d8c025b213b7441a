//! What a resource names must exist where it is looked for.

use tidegate_types::resource::{
    Budget, CredentialScope, Offering, PolicyScope, Provider, Resource, ResourceKey, Route, RouteTarget,
};
use tidegate_types::{KeyId, ModelName, OrganizationId, ProviderSlug, TeamId};

use crate::catalogue::normal;
use crate::reason::Reason;

/// The resources that the candidate may name: its organization's and the system's.
struct Around<'a> {
    existing: &'a [Resource],
    candidate: ResourceKey,
}

pub(crate) fn check(existing: &[Resource], candidate: &Resource, faults: &mut Vec<Reason>) {
    let around = Around { existing, candidate: candidate.key() };
    match candidate {
        Resource::Key(key) => around.team("team_id", Some(key.team_id), faults),
        Resource::Credential(credential) => {
            if let CredentialScope::Team { team_id } = credential.scope {
                around.team("scope.team_id", Some(team_id), faults);
            }
            around.provider("provider", Some(&credential.provider), faults);
        }
        Resource::Policy(policy) => match policy.scope {
            PolicyScope::Organization => {}
            PolicyScope::Team { team_id } => around.team("scope.team_id", Some(team_id), faults),
            PolicyScope::Key { key_id } => around.key("scope.key_id", Some(key_id), faults),
        },
        Resource::Budget(budget) => around.budget(budget, faults),
        Resource::Route(route) => around.route(route, faults),
        Resource::Offering(offering) => around.offering(offering, faults),
        Resource::Provider(provider) => around.own_provider(provider, faults),
        Resource::TrustRule(rule) => around.key("key_id", Some(rule.key_id), faults),
        Resource::Organization(organization) => {
            for own in &organization.model_limits {
                around.model("model_limits", Some(&own.model), faults);
            }
        }
        Resource::Team(_) | Resource::Model(_) | Resource::BudgetEpoch(_) | Resource::Pool(_) => {}
    }
}

impl Around<'_> {
    fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.existing.iter().filter(|resource| {
            let owner = owner(resource);
            owner == self.candidate.organization_id || owner == OrganizationId::SYSTEM
        })
    }

    fn team(&self, field: &'static str, wanted: Option<TeamId>, faults: &mut Vec<Reason>) {
        let Some(wanted) = wanted else { return };
        if !self.resources().any(|r| matches!(r, Resource::Team(team) if team.id == wanted)) {
            faults.push(Reason::new(field, format!("there is no team {wanted}")));
        }
    }

    fn key(&self, field: &'static str, wanted: Option<KeyId>, faults: &mut Vec<Reason>) {
        let Some(wanted) = wanted else { return };
        if !self.resources().any(|r| matches!(r, Resource::Key(key) if key.id == wanted)) {
            faults.push(Reason::new(field, format!("there is no key {wanted}")));
        }
    }

    fn provider(&self, field: &'static str, wanted: Option<&ProviderSlug>, faults: &mut Vec<Reason>) {
        let Some(wanted) = wanted else { return };
        if !self.resources().any(|r| matches!(r, Resource::Provider(provider) if provider.slug == *wanted)) {
            faults.push(Reason::new(field, format!("there is no provider '{wanted}'")));
        }
    }

    fn has_model(&self, wanted: &ModelName) -> bool {
        self.resources().any(|r| matches!(r, Resource::Model(model) if model.name == *wanted))
    }

    fn model(&self, field: &'static str, wanted: Option<&ModelName>, faults: &mut Vec<Reason>) {
        let Some(wanted) = wanted else { return };
        if !self.has_model(wanted) {
            faults.push(Reason::new(field, format!("there is no model '{wanted}'")));
        }
    }

    fn budget(&self, budget: &Budget, faults: &mut Vec<Reason>) {
        let scope = &budget.scope;
        self.team("scope.team", scope.team, faults);
        self.key("scope.key", scope.key, faults);
        self.model("scope.model", scope.model.as_ref(), faults);
        self.provider("scope.provider", scope.provider.as_ref(), faults);
    }

    fn offering(&self, offering: &Offering, faults: &mut Vec<Reason>) {
        self.model("model", Some(&offering.model), faults);
        self.provider("provider", Some(&offering.provider), faults);
    }

    fn own_provider(&self, provider: &Provider, faults: &mut Vec<Reason>) {
        let taken = self.resources().any(|r| {
            matches!(r, Resource::Provider(other)
                if other.organization_id == OrganizationId::SYSTEM && other.slug == provider.slug)
        });
        if taken && provider.organization_id != OrganizationId::SYSTEM {
            faults.push(Reason::new("slug", format!("'{}' is the name of a shared provider", provider.slug)));
        }
    }

    fn route(&self, route: &Route, faults: &mut Vec<Reason>) {
        for (list, targets) in [("targets", &route.targets), ("fallbacks", &route.fallbacks)] {
            for (place, target) in targets.iter().enumerate() {
                self.target(route, &format!("{list}[{place}]"), target, faults);
            }
        }
        if self.names_model(&route.name) && !self.may_shadow() {
            let message =
                "is the name of a catalogue model; a policy must set routes_may_shadow to permit this";
            faults.push(Reason::new("name", message));
        }
    }

    fn target(&self, route: &Route, field: &str, target: &RouteTarget, faults: &mut Vec<Reason>) {
        let name = target.model.as_str();
        if !self.has_model(&target.model) {
            let is_route = *name == *route.name
                || self.resources().any(|r| matches!(r, Resource::Route(other) if *other.name == *name));
            let message = if is_route {
                format!(
                    "'{name}' is a route; a route may only name models, so that routes cannot form a cycle"
                )
            } else {
                format!("there is no model '{name}'")
            };
            faults.push(Reason::new(format!("{field}.model"), message));
            return;
        }
        for provider in &target.providers {
            let offered = self.resources().any(|r| {
                matches!(r, Resource::Offering(offering)
                    if offering.model == target.model && offering.provider == *provider)
            });
            if !offered {
                let message = format!("provider '{provider}' does not offer '{name}'");
                faults.push(Reason::new(format!("{field}.providers"), message));
            }
        }
    }

    fn names_model(&self, name: &str) -> bool {
        let normal_name = normal(name);
        self.resources().any(|r| match r {
            Resource::Model(model) => {
                *model.name.as_str() == *name
                    || model.aliases.iter().any(|alias| normal(alias) == normal_name)
            }
            _ => false,
        })
    }

    fn may_shadow(&self) -> bool {
        let says = |wanted| {
            self.resources().any(|r| {
                matches!(r, Resource::Policy(policy)
                    if policy.scope == PolicyScope::Organization && policy.routes_may_shadow == Some(wanted))
            })
        };
        says(true) && !says(false)
    }
}

fn owner(resource: &Resource) -> OrganizationId {
    match resource {
        Resource::Organization(r) => r.id,
        Resource::Team(r) => r.organization_id,
        Resource::Key(r) => r.organization_id,
        Resource::Credential(r) => r.organization_id,
        Resource::Provider(r) => r.organization_id,
        Resource::Model(r) => r.organization_id,
        Resource::Offering(r) => r.organization_id,
        Resource::Route(r) => r.organization_id,
        Resource::Policy(r) => r.organization_id,
        Resource::Budget(r) => r.organization_id,
        Resource::BudgetEpoch(r) => r.organization_id,
        Resource::TrustRule(r) => r.organization_id,
        Resource::Pool(_) => OrganizationId::SYSTEM,
    }
}
