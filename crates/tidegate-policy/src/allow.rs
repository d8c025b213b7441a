//! Allow lists in the form in which calls are checked against them.

use std::net::IpAddr;

use ipnet::IpNet;
use tidegate_types::resource::AllowList;
use tidegate_types::{ModelName, ProviderSlug};

use crate::reason::Reason;

/// Models that may be reached: exact names, or all of a creator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct ModelSet {
    restricted: bool,
    exact: Box<[ModelName]>,
    creators: Box<[Box<str>]>,
}

enum Pattern {
    Exact(ModelName),
    Creator(Box<str>),
}

fn parse(text: &str) -> Option<Pattern> {
    match text.strip_suffix("/*") {
        Some(creator) => {
            creator.parse::<ProviderSlug>().ok().map(|slug| Pattern::Creator(slug.as_str().into()))
        }
        None => text.parse().ok().map(Pattern::Exact),
    }
}

impl ModelSet {
    /// Says which entries are neither `creator/name` nor `creator/*`.
    pub(crate) fn faults(entries: &[String], field: &str, faults: &mut Vec<Reason>) {
        for (place, entry) in entries.iter().enumerate() {
            if parse(entry).is_none() {
                faults.push(Reason::new(format!("{field}[{place}]"), "neither creator/name nor creator/*"));
            }
        }
    }

    /// The set of these entries; an empty list allows everything. What cannot be read allows nothing.
    pub(crate) fn new(entries: &[String]) -> Self {
        let (mut exact, mut creators) = (Vec::new(), Vec::new());
        for pattern in entries.iter().filter_map(|entry| parse(entry)) {
            match pattern {
                Pattern::Exact(name) => exact.push(name),
                Pattern::Creator(creator) => creators.push(creator),
            }
        }
        exact.sort_unstable();
        creators.sort_unstable();
        Self { restricted: !entries.is_empty(), exact: exact.into(), creators: creators.into() }
    }

    /// Whether the list allows everything.
    #[must_use]
    pub(crate) const fn allows_all(&self) -> bool {
        !self.restricted
    }

    /// Whether this model may be reached.
    #[must_use]
    pub(crate) fn allows(&self, model: &ModelName) -> bool {
        !self.restricted
            || self.exact.binary_search(model).is_ok()
            || self.creators.binary_search_by(|creator| (**creator).cmp(model.creator())).is_ok()
    }
}

/// Whether `provider` is in a list in which none means all.
pub(crate) fn allows_provider(list: &[ProviderSlug], provider: &ProviderSlug) -> bool {
    list.is_empty() || list.contains(provider)
}

/// A key's allow list.
#[derive(Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Allow {
    pub(crate) models: ModelSet,
    pub(crate) providers: Box<[ProviderSlug]>,
    pub(crate) routes: Box<[Box<str>]>,
    pub(crate) ips: Box<[IpNet]>,
}

impl Allow {
    pub(crate) fn faults(list: &AllowList, faults: &mut Vec<Reason>) {
        ModelSet::faults(&list.models, "allow.models", faults);
        for (place, route) in list.routes.iter().enumerate() {
            if route.is_empty() {
                faults.push(Reason::new(format!("allow.routes[{place}]"), "is empty"));
            }
        }
    }

    /// `None` for a list that allows everything, as most keys have.
    pub(crate) fn new(list: AllowList) -> Option<Self> {
        let AllowList { models, providers, routes, ips } = list;
        if models.is_empty() && providers.is_empty() && routes.is_empty() && ips.is_empty() {
            return None;
        }
        Some(Self {
            models: ModelSet::new(&models),
            providers: providers.into(),
            routes: routes.into_iter().map(Into::into).collect(),
            ips: ips.into(),
        })
    }

    /// Whether a model may be asked for by its own name. A key that names routes and no models
    /// is meant for these routes only.
    pub(crate) fn asks_models(&self) -> bool {
        self.routes.is_empty() || !self.models.allows_all()
    }

    pub(crate) fn asks_route(&self, name: &str) -> bool {
        self.routes.is_empty() || self.routes.iter().any(|route| **route == *name)
    }

    /// Whether a client may call from this address (IPv4 inside IPv6 counts as IPv4).
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.ips.is_empty() || self.ips.iter().any(|network| network.contains(&address))
    }
}
