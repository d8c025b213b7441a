//! Any resource, every variant of every enum.

use crate::usage_strategies::{areas, location};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use tidegate_types::id::IdKind;
use tidegate_types::resource::*;
use tidegate_types::window::{Every, True, WeekStart, WindowSpec};
use tidegate_types::{Id, LabelHash, ModelName, NanoUsd, OrganizationId, PicoUsd, ProviderSlug, Timestamp};

pub(crate) fn id<K: IdKind>() -> impl Strategy<Value = Id<K>> + Clone {
    any::<u128>().prop_map(Id::from_u128)
}
pub(crate) fn time() -> impl Strategy<Value = Timestamp> + Clone {
    // Years 1653 to 2286: what RFC 3339 can say, as the store's JSON form does.
    (-10_000_000_000_000_000i64..10_000_000_000_000_000).prop_map(Timestamp::from_micros)
}
pub(crate) fn label() -> impl Strategy<Value = LabelHash> + Clone {
    any::<[u8; 16]>().prop_map(LabelHash::from_bytes)
}
fn slug() -> impl Strategy<Value = ProviderSlug> + Clone {
    "[a-z0-9][a-z0-9-]{0,20}".prop_map(|text| text.parse().unwrap())
}
fn model_name() -> impl Strategy<Value = ModelName> + Clone {
    "[a-z0-9]{1,8}/[A-Za-z0-9._:@-]{1,20}".prop_map(|text| text.parse().unwrap())
}
fn one_of<T: Clone + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> + Clone {
    proptest::sample::select(all)
}
fn text() -> impl Strategy<Value = String> + Clone {
    ".{0,12}"
}

fn organization() -> impl Strategy<Value = Organization> {
    let week = one_of(&[WeekStart::Monday, WeekStart::Sunday, WeekStart::Saturday]);
    (
        id(),
        text(),
        text(),
        text(),
        week,
        any::<bool>(),
        of(any::<u32>()),
        any::<[u8; 32]>(),
        (limits(), vec((model_name(), limits()), 0..3), vec((text(), vec(text(), 0..3)), 0..3)),
    )
        .prop_map(
            |(
                id,
                slug,
                name,
                time_zone,
                week_start,
                paused,
                max_staleness_seconds,
                label_key,
                (limits, models, issuers),
            )| Organization {
                bound_issuers: issuers
                    .into_iter()
                    .map(|(issuer, audiences)| BoundIssuer { issuer, audiences })
                    .collect(),
                limits,
                model_limits: models
                    .into_iter()
                    .map(|(model, limits)| ModelLimits { model, limits })
                    .collect(),
                id,
                slug,
                name,
                time_zone,
                week_start,
                paused,
                max_staleness_seconds,
                label_key,
                cache_purges: u64::from(label_key[0]),
            },
        )
}

fn limits() -> impl Strategy<Value = KeyLimits> {
    (of(any::<u32>()), of(any::<u32>()), of(any::<u32>())).prop_map(|(r, t, c)| KeyLimits {
        requests_per_minute: r,
        tokens_per_minute: t,
        concurrency: c,
    })
}

fn team() -> impl Strategy<Value = Team> {
    (id(), id(), text(), any::<bool>(), limits()).prop_map(|(organization_id, id, name, paused, limits)| {
        Team { organization_id, id, name, paused, limits }
    })
}

fn key() -> impl Strategy<Value = VirtualKey> {
    let status = one_of(&[KeyStatus::Active, KeyStatus::Paused, KeyStatus::Revoked]);
    let secret = (any::<u32>(), any::<[u8; 32]>(), of(time()))
        .prop_map(|(pepper_version, hmac, until)| KeySecret { pepper_version, hmac, until });
    let net =
        (any::<std::net::IpAddr>(), 0u8..=32).prop_map(|(ip, length)| ipnet::IpNet::new(ip, length).unwrap());
    let allow = (vec(text(), 0..3), vec(slug(), 0..3), vec(text(), 0..3), vec(net, 0..3))
        .prop_map(|(models, providers, routes, ips)| AllowList { models, providers, routes, ips });
    let identity = (id(), id(), id(), text(), status);
    let rest = (vec(secret, 0..3), of(time()), allow, limits(), btree_map(text(), text(), 0..3));
    (identity, rest).prop_map(
        |((organization_id, id, team_id, name, status), (secrets, expires_at, allow, limits, tags))| {
            VirtualKey {
                organization_id,
                id,
                team_id,
                name,
                status,
                secrets,
                expires_at,
                allow,
                limits,
                tags,
            }
        },
    )
}

fn credential() -> impl Strategy<Value = Credential> {
    let scope = prop_oneof![
        Just(CredentialScope::System),
        Just(CredentialScope::Organization),
        id().prop_map(|team_id| CredentialScope::Team { team_id }),
    ];
    let form = one_of(&[SecretForm::ApiKey, SecretForm::Aws, SecretForm::GoogleServiceAccount]);
    let sealed = (text(), any::<u32>(), any::<u32>(), vec(any::<u8>(), 0..40)).prop_map(
        |(pool, pool_key_version, secret_version, bytes)| SealedSecret {
            pool,
            pool_key_version,
            secret_version,
            bytes,
        },
    );
    let tier = one_of(&[ZdrTier::None, ZdrTier::NoTraining, ZdrTier::ZdrWithSafetyRetention, ZdrTier::Zdr]);
    let attestation = (tier, areas(), text(), text(), time(), time()).prop_map(
        |(tier, areas, statement, by, attested_at, expires_at)| Attestation {
            tier,
            areas,
            statement,
            by,
            attested_at,
            expires_at,
        },
    );
    let terms = (of(text()), of(attestation), of(any::<u32>()));
    (id(), id(), text(), scope, slug(), form, any::<bool>(), any::<i32>(), (vec(sealed, 0..3), terms))
        .prop_map(|(organization_id, id, name, scope, provider, form, enabled, position, rest)| Credential {
            organization_id,
            id,
            name,
            scope,
            provider,
            form,
            enabled,
            position,
            weight: rest.1.2,
            sealed: rest.0,
            region: rest.1.0,
            attestation: rest.1.1,
        })
}

fn provider() -> impl Strategy<Value = Provider> {
    let dialect = one_of(&DialectName::ALL);
    let also = vec(one_of(&DialectName::ALL), 0..3);
    let auth = one_of(&[
        AuthScheme::Bearer,
        AuthScheme::XApiKey,
        AuthScheme::ApiKey,
        AuthScheme::GoogleApiKey,
        AuthScheme::GoogleServiceAccount,
        AuthScheme::AwsSigV4,
        AuthScheme::None,
    ]);
    let abort = one_of(&[AbortBilling::Stops, AbortBilling::Continues]);
    let names = (id(), id(), slug(), text(), text());
    (names, (dialect, also, quirks()), auth, abort, any::<bool>(), of(text()), any::<bool>()).prop_map(
        |(
            (organization_id, id, slug, name, base_url),
            (dialect, also, quirks),
            auth,
            abort_billing,
            enabled,
            headquarters,
            simulated,
        )| {
            Provider {
                organization_id,
                id,
                slug,
                name,
                base_url,
                dialect,
                auth,
                abort_billing,
                enabled,
                headquarters,
                simulated,
                also,
                quirks,
            }
        },
    )
}

fn quirks() -> impl Strategy<Value = Quirks> {
    let paths = proptest::collection::btree_map("[a-z_]{1,8}", "/[a-z]{1,8}", 0..3);
    let texts = || vec(text(), 0..3);
    (any::<[bool; 2]>(), paths, of(text()), texts(), texts()).prop_map(
        |([max_completion_tokens, no_stream_options], paths, query, drops, refuses)| Quirks {
            max_completion_tokens,
            no_stream_options,
            paths,
            query,
            drops,
            refuses,
        },
    )
}

fn model() -> impl Strategy<Value = Model> {
    let kind = one_of(&[ModelKind::Language, ModelKind::Embedding]);
    let capabilities = any::<[bool; 4]>().prop_map(|[tools, vision, reasoning, structured_output]| {
        Capabilities { tools, vision, reasoning, structured_output }
    });
    let names = (id(), id(), model_name(), text(), vec(text(), 0..3));
    (names, kind, any::<u32>(), any::<u32>(), capabilities, of(time())).prop_map(
        |(
            (organization_id, id, name, display_name, aliases),
            kind,
            context_window,
            max,
            capabilities,
            released_at,
        )| {
            Model {
                organization_id,
                id,
                name,
                display_name,
                aliases,
                kind,
                context_window,
                max_output_tokens: max,
                capabilities,
                released_at,
            }
        },
    )
}

fn price() -> impl Strategy<Value = Price> {
    let unit = one_of(&Unit::ALL);
    let unit_price =
        (unit, any::<i64>()).prop_map(|(unit, pico)| UnitPrice { unit, price: PicoUsd::new(pico) });
    let tier = (any::<u32>(), vec(unit_price, 0..4))
        .prop_map(|(from_input_tokens, prices)| PriceTier { from_input_tokens, prices });
    (id(), vec(tier, 0..3), time(), time(), text()).prop_map(
        |(id, tiers, valid_from, recorded_at, source)| Price { id, tiers, valid_from, recorded_at, source },
    )
}

fn offering() -> impl Strategy<Value = Offering> {
    let retention = one_of(&[Retention::None, Retention::SafetyOnly, Retention::Retains]);
    let training = one_of(&[Training::Never, Training::May]);
    let operation = one_of(&[Operation::Language, Operation::Embedding, Operation::Video]);
    let facts = (retention, training, text(), time(), time());
    let part =
        ((of(operation), of(text()), of(text())), facts.clone()).prop_map(
            |((operation, feature, region), (retention, training, source, read_at, expires_at))| {
                PartHandling { operation, feature, region, retention, training, source, read_at, expires_at }
            },
        );
    let handling =
        (facts, vec(part, 0..3)).prop_map(|((retention, training, source, read_at, expires_at), also)| {
            DataHandling { retention, training, source, read_at, expires_at, also }
        });
    let names = (id(), id(), model_name(), slug(), text());
    let handling = (of(handling), vec(location(), 0..3));
    let facts = (of(any::<u32>()), any::<bool>(), vec(price(), 0..3), handling, any::<bool>());
    (names, facts, btree_map(text(), text(), 0..3)).prop_map(|(names, facts, notes)| {
        let (organization_id, id, model, provider, upstream_name) = names;
        let (max_output_tokens, enabled, prices, (data_handling, locations), output_visible) = facts;
        Offering {
            organization_id,
            id,
            model,
            provider,
            upstream_name,
            max_output_tokens,
            enabled,
            prices,
            data_handling,
            locations,
            output_visible,
            notes,
        }
    })
}

fn route() -> impl Strategy<Value = Route> {
    let target =
        || {
            (model_name(), any::<u32>(), vec(slug(), 0..3))
                .prop_map(|(model, weight, providers)| RouteTarget { model, weight, providers })
        };
    (id(), id(), text(), vec(target(), 0..3), vec(target(), 0..3), of(any::<u32>()), of(any::<u32>()))
        .prop_map(|(organization_id, id, name, targets, fallbacks, attempt_timeout_ms, total_timeout_ms)| {
            Route {
                organization_id,
                id,
                name,
                targets,
                fallbacks,
                attempt_timeout_ms,
                total_timeout_ms,
                cache: CacheRules { ttl_seconds: attempt_timeout_ms, ..CacheRules::default() },
                cache_purges: total_timeout_ms.map_or(0, u64::from),
                prompt_cache_markers: total_timeout_ms.map(|ms| ms % 2 == 0),
            }
        })
}

fn trust_rule() -> impl Strategy<Value = TrustRule> {
    let material = prop_oneof![
        (text(), text()).prop_map(|(n, e)| IssuerKeyMaterial::Rsa { n, e }),
        (text(), text()).prop_map(|(x, y)| IssuerKeyMaterial::P256 { x, y }),
        text().prop_map(|x| IssuerKeyMaterial::Ed25519 { x }),
    ];
    let key =
        (text(), material, of(time())).prop_map(|(kid, material, until)| IssuerKey { kid, material, until });
    let ids = (id(), id(), id());
    let fits = (text(), text(), btree_map(text(), vec(text(), 0..3), 0..3));
    (ids, text(), fits, of(text()), any::<u32>(), any::<bool>(), vec(key, 0..3)).prop_map(
        |(
            (organization_id, id, key_id),
            name,
            (issuer, audience, claims),
            principal_claim,
            life,
            discovered,
            keys,
        )| {
            TrustRule {
                organization_id,
                id,
                name,
                key_id,
                issuer,
                audience,
                claims,
                principal_claim,
                longest_life_seconds: life,
                discovered,
                keys,
            }
        },
    )
}

fn cache_rules() -> impl Strategy<Value = CacheRules> {
    let mode = of(one_of(&[CacheMode::On, CacheMode::Off]));
    let sharing = of(one_of(&[CacheSharing::Organization, CacheSharing::Team, CacheSharing::Key]));
    (mode, of(any::<u32>()), sharing, of(any::<u8>()), of(any::<u32>())).prop_map(
        |(mode, ttl_seconds, sharing, charge_percent, max_entry_bytes)| CacheRules {
            mode,
            ttl_seconds,
            sharing,
            charge_percent,
            max_entry_bytes,
        },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    let scope = prop_oneof![
        Just(PolicyScope::Organization),
        id().prop_map(|team_id| PolicyScope::Team { team_id }),
        id().prop_map(|key_id| PolicyScope::Key { key_id }),
    ];
    let zdr = one_of(&[ZdrTier::None, ZdrTier::NoTraining, ZdrTier::ZdrWithSafetyRetention, ZdrTier::Zdr]);
    let privacy = (zdr, areas(), vec(text(), 0..2))
        .prop_map(|(zdr, inference_regions, headquarters)| Privacy { zdr, inference_regions, headquarters });
    let names = (id(), id(), text(), scope, vec(text(), 0..3), vec(slug(), 0..3), privacy);
    let numbers = (of(any::<u32>()), of(any::<i64>()), of(any::<bool>()), of(any::<bool>()), of(any::<u8>()));
    let cache = (cache_rules(), of(any::<bool>()));
    (names, numbers, cache).prop_map(|(names, numbers, (cache, prompt_cache_markers))| {
        let (organization_id, id, name, scope, allow_models, allow_providers, privacy) = names;
        let (default_max_output_tokens, ceiling, allow_system_credentials, routes_may_shadow, max_attempts) =
            numbers;
        Policy {
            organization_id,
            id,
            name,
            scope,
            allow_models,
            allow_providers,
            privacy,
            default_max_output_tokens,
            ceiling_price: ceiling.map(PicoUsd::new),
            allow_system_credentials,
            allow_request_credentials: allow_system_credentials.map(|allowed| !allowed),
            routes_may_shadow,
            max_attempts,
            cache,
            prompt_cache_markers,
        }
    })
}

fn window() -> impl Strategy<Value = WindowSpec> {
    let every = one_of(&[
        Every::Minute,
        Every::Hour,
        Every::Day,
        Every::Week,
        Every::Month,
        Every::Quarter,
        Every::Year,
    ]);
    prop_oneof![
        every.prop_map(|every| WindowSpec::Recurring { every }),
        (time(), time()).prop_map(|(start, end)| WindowSpec::Fixed { start, end }),
        Just(WindowSpec::Lifetime { lifetime: True }),
    ]
}

fn budget() -> impl Strategy<Value = Budget> {
    let selector = || of(label().prop_map(|hash| Selector { hash }));
    let scope = (of(id()), of(id()), selector(), selector(), of(model_name()), of(slug())).prop_map(
        |(team, key, end_user, tag, model, provider)| Scope { team, key, end_user, tag, model, provider },
    );
    let enforcement = one_of(&[Enforcement::Hard, Enforcement::Soft]);
    let mode = one_of(&[HoldMode::Strict, HoldMode::Expected]);
    let names = (id(), id(), text(), any::<i64>(), window(), scope);
    let amount = || any::<i64>().prop_map(NanoUsd::new);
    let raise =
        (amount(), time(), text()).prop_map(|(amount, until, reason)| Raise { amount, until, reason });
    let past = of((time(), amount()).prop_map(|(window_start, amount)| Past { window_start, amount }));
    let added = (vec(raise, 0..3), past);
    (names, enforcement, mode, any::<bool>(), vec(any::<u8>(), 0..4), added).prop_map(
        |(
            (organization_id, id, name, limit, window, scope),
            enforcement,
            mode,
            count_byok,
            alerts,
            (raises, past),
        )| Budget {
            organization_id,
            id,
            name,
            limit: NanoUsd::new(limit),
            window,
            scope,
            enforcement,
            mode,
            count_byok,
            alert_at_percent: alerts,
            raises,
            past,
        },
    )
}

/// A resource of any kind.
pub(crate) fn resource() -> impl Strategy<Value = Resource> {
    let epoch = (id(), text(), any::<u64>()).prop_map(|(organization_id, pool, epoch)| BudgetEpoch {
        organization_id,
        pool,
        epoch,
    });
    let pool = (text(), any::<u32>()).prop_map(|(name, live_nodes)| PoolState { name, live_nodes });
    prop_oneof![
        organization().prop_map(Resource::Organization),
        team().prop_map(Resource::Team),
        key().prop_map(Resource::Key),
        credential().prop_map(Resource::Credential),
        provider().prop_map(Resource::Provider),
        model().prop_map(Resource::Model),
        offering().prop_map(Resource::Offering),
        route().prop_map(Resource::Route),
        trust_rule().prop_map(Resource::TrustRule),
        policy().prop_map(Resource::Policy),
        budget().prop_map(Resource::Budget),
        epoch.prop_map(Resource::BudgetEpoch),
        pool.prop_map(Resource::Pool),
        Just(Resource::Pool(PoolState { name: OrganizationId::SYSTEM.to_string(), live_nodes: 1 })),
    ]
}
