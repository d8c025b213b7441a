//! Tenant isolation by row-level security alone: the queries below name no tenant filter that
//! could hide a missing policy.

use sqlx::{AssertSqlSafe, PgPool, Row as _};
use tidegate_store::intake::{Record, ingest};
use tidegate_store::{Role, epochs, idempotency, members, persons, service_tokens};
use tidegate_types::OrganizationId;
use tidegate_types::usage::{EventKind, Outcome};

use crate::fixture::{Fixture, NOW, Tenant, commit, new_id};
use crate::samples::{billed, call_record, event, insert_all, insert_platform, node, shipped};

/// Puts at least one row of the tenant into every tenant-owned table.
async fn populate(f: &Fixture, tenant: &Tenant) {
    let mut change = f.store.change(&tenant.actor, NOW).await.unwrap();
    insert_all(&mut change, tenant).await;
    let person = persons::ensure(&mut change, new_id(), "ada@example.com", "Ada").await.unwrap();
    members::insert(&mut change, new_id(), person, Role::Owner).await.unwrap();
    let token = service_tokens::NewServiceToken {
        id: new_id(),
        name: "ci",
        role: Role::Admin,
        platform_role: None,
        token_hash: [1; 32],
        expires_at: None,
    };
    service_tokens::insert(&mut change, &token).await.unwrap();
    idempotency::claim(&mut change, "k", &[1; 32], NOW.plus_millis(1)).await.unwrap();
    commit(change).await;
    let node = node(&f.store).await;
    let records = [
        billed(event(tenant, new_id(), EventKind::Intent, Outcome::Open, 0)),
        billed(event(tenant, new_id(), EventKind::Final, Outcome::Completed, 5)),
        Record::Call(call_record(tenant, new_id(), false)),
    ];
    ingest(&f.store, node, &shipped(node, 1, records), NOW).await.unwrap();
    let asked = epochs::Asked {
        organization_id: tenant.organization.id,
        pool: "default",
        store_run_id: "r",
        found_epoch: 0,
    };
    epochs::open(&f.store, &asked, "permit", NOW).await.unwrap();
    let superuser = PgPool::connect(&f.database.superuser_url).await.unwrap();
    sqlx::query("INSERT INTO node_certificates VALUES (sha256($1::text::bytea), $1, '', now())")
        .bind(node.to_uuid())
        .execute(&superuser)
        .await
        .unwrap();
    for statement in [
        "INSERT INTO config_staged SELECT organization_id, kind, id, uid, shard, n, version + 1, version, now(), now(), '{}', '' FROM config_resources WHERE organization_id = $1",
        "INSERT INTO organization_pools SELECT organization_id, 'default', 0 FROM organizations WHERE organization_id = $1",
        "INSERT INTO budget_raises SELECT organization_id, budget_id, budget_id, 5, now(), now() + '1 day', 'r', 'c' FROM budgets WHERE organization_id = $1",
        "INSERT INTO budget_pasts SELECT organization_id, budget_id, 0, now(), now() FROM budgets WHERE organization_id = $1",
        "INSERT INTO budget_grants SELECT e.organization_id, n.pool, n.node_id, 1, 1, 10, now() FROM budget_epochs e JOIN nodes n USING (pool) WHERE e.organization_id = $1 LIMIT 1",
        "INSERT INTO advance_spend SELECT e.organization_id, n.node_id, 1, 1, n.node_id, 0, 1, 1, 1 FROM budget_epochs e JOIN nodes n USING (pool) WHERE e.organization_id = $1 LIMIT 1",
        "INSERT INTO budget_alerts SELECT organization_id, budget_id, 0, 50, now() FROM budgets WHERE organization_id = $1",
        "INSERT INTO notices SELECT organization_id, budget_id, 'webhook.test', 'x', now(), '{}' FROM budgets WHERE organization_id = $1",
        "INSERT INTO webhooks SELECT organization_id, budget_id, 'w', 'https://x', '{}', true, '', 1, 1, NULL, NULL, NULL, now(), now() FROM budgets WHERE organization_id = $1",
        "INSERT INTO credit_accounts (organization_id, budget_id, markup_bps, since_cost, since_charged, ends_with_top_up, created_at) SELECT organization_id, budget_id, 0, 0, 0, false, now() FROM budgets WHERE organization_id = $1",
        "INSERT INTO credit_draws SELECT organization_id, 0, 0 FROM credit_accounts WHERE organization_id = $1",
        "INSERT INTO credit_entries SELECT a.organization_id, a.budget_id, 'top_up', 1, now(), 'r', '', NULL, 'x', b.batch_id FROM credit_accounts a JOIN ledger_batches b USING (organization_id) WHERE a.organization_id = $1 LIMIT 1",
        "INSERT INTO credit_periods SELECT organization_id, 0, 1, 1, budget_id, NULL FROM credit_accounts WHERE organization_id = $1",
        "INSERT INTO charge_adjustments SELECT e.organization_id, e.day, e.call_id, e.attempt, 1, e.kind, 1, NULL, now(), 'x', 'r', b.batch_id FROM billing_events e JOIN ledger_batches b USING (organization_id) WHERE e.organization_id = $1 LIMIT 1",
        "INSERT INTO exporters (organization_id, exporter_id, name, url, enabled, header_names, secret, secret_version, data_key_version, created_at, updated_at) SELECT organization_id, budget_id, 'e', 'https://x', false, '{}', '', 1, 1, now(), now() FROM budgets WHERE organization_id = $1",
        "INSERT INTO trust_rules (organization_id, trust_rule_id, name, key_id, issuer, audience, claims, discovered, next_at) SELECT organization_id, key_id, 't', key_id, 'https://x', $1::text, '{}', false, now() FROM virtual_keys WHERE organization_id = $1 LIMIT 1",
        "INSERT INTO bound_issuers SELECT $1, 'https://x', $1::text",
        "INSERT INTO trace_queue SELECT organization_id, exporter_id, exporter_id, 0, now() FROM exporters WHERE organization_id = $1",
        "INSERT INTO webhook_deliveries SELECT organization_id, budget_id, budget_id, 'pending', 0, now() FROM budgets WHERE organization_id = $1",
        "INSERT INTO credential_failures SELECT organization_id, credential_id, 401, now(), now(), NULL, 1 FROM credentials WHERE organization_id = $1",
        "INSERT INTO credential_uses SELECT organization_id, credential_id, now() FROM credentials WHERE organization_id = $1",
        "INSERT INTO decision_links SELECT $1, c.node_id, 1, 1, 1, now(), c.fingerprint, '{}', c.fingerprint, '', '', c.fingerprint FROM node_certificates c LIMIT 1",
    ] {
        sqlx::query(statement).bind(tenant.organization.id.to_uuid()).execute(&superuser).await.unwrap();
    }
}

async fn tenant_tables(pool: &PgPool) -> Vec<String> {
    let rows = sqlx::query(
        "SELECT c.table_name FROM information_schema.columns c
         JOIN pg_class t ON t.relname = c.table_name AND t.relnamespace = 'public'::regnamespace
         WHERE c.table_schema = 'public' AND c.column_name = 'organization_id' AND t.relkind IN ('r', 'p')
             AND NOT t.relispartition ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter().map(|row| row.get::<String, _>(0)).collect()
}

/// Rows of `owner` in `table` that the app login sees when it is bound to `bound`.
async fn visible(app: &PgPool, table: &str, owner: OrganizationId, bound: Option<OrganizationId>) -> i64 {
    let mut tx = app.begin().await.unwrap();
    let bound = bound.map_or(String::new(), |id| id.to_uuid().to_string());
    sqlx::query("SELECT set_config('app.organization_id', $1, true)")
        .bind(bound)
        .execute(&mut *tx)
        .await
        .unwrap();
    let count = format!("SELECT count(*) FROM {table} WHERE organization_id = $1");
    let row = sqlx::query(AssertSqlSafe(count)).bind(owner.to_uuid()).fetch_one(&mut *tx).await.unwrap();
    row.get(0)
}

#[tokio::test]
async fn a_tenant_sees_no_row_of_another_in_any_table_and_nobody_unbound_sees_any() {
    let f = Fixture::new().await;
    populate(&f, &f.umbrella).await;
    let app = PgPool::connect(&f.database.app_url).await.unwrap();
    let superuser = PgPool::connect(&f.database.superuser_url).await.unwrap();
    let (mine, theirs) = (f.acme.organization.id, f.umbrella.organization.id);
    let tables = tenant_tables(&superuser).await;
    assert!(tables.len() >= 28, "{tables:?}");
    for table in &tables {
        // Positive control: the rows are there, and their owner sees them.
        assert!(
            visible(&app, table, theirs, Some(theirs)).await > 0,
            "{table} has no row: populate() must write one"
        );
        assert_eq!(visible(&app, table, theirs, Some(mine)).await, 0, "{table} leaks to another tenant");
        assert_eq!(visible(&app, table, theirs, None).await, 0, "{table} leaks to an unbound transaction");
    }
    // Positive control of the detector: with the policy gone, it finds the leak.
    sqlx::raw_sql("ALTER TABLE teams DISABLE ROW LEVEL SECURITY").execute(&superuser).await.unwrap();
    assert!(visible(&app, "teams", theirs, Some(mine)).await > 0);
}

#[tokio::test]
async fn a_tenant_cannot_write_a_row_of_another_in_any_table() {
    let f = Fixture::new().await;
    populate(&f, &f.umbrella).await;
    let app = PgPool::connect(&f.database.app_url).await.unwrap();
    let superuser = PgPool::connect(&f.database.superuser_url).await.unwrap();
    let mut tried = 0;
    for table in tenant_tables(&superuser).await {
        for statement in [
            format!("UPDATE {table} SET organization_id = organization_id WHERE organization_id = $1"),
            format!("DELETE FROM {table} WHERE organization_id = $1"),
            format!("INSERT INTO {table} (organization_id) VALUES ($1)"),
        ] {
            let mut tx = app.begin().await.unwrap();
            sqlx::query("SELECT set_config('app.organization_id', $1, true)")
                .bind(f.acme.organization.id.to_uuid().to_string())
                .execute(&mut *tx)
                .await
                .unwrap();
            let done = sqlx::query(AssertSqlSafe(statement.clone()))
                .bind(f.umbrella.organization.id.to_uuid())
                .execute(&mut *tx)
                .await;
            match done {
                Ok(done) => assert_eq!(done.rows_affected(), 0, "{statement}"),
                Err(error) => {
                    let text = error.to_string();
                    let refused = text.contains("permission denied") || text.contains("row-level security");
                    assert!(refused, "{statement}: {text}");
                }
            }
            tried += 1;
        }
    }
    assert!(tried > 80);
}

#[tokio::test]
async fn every_table_forces_row_level_security_on_its_owner_too() {
    let f = Fixture::new().await;
    let superuser = PgPool::connect(&f.database.superuser_url).await.unwrap();
    let (loose,): (Option<String>,) = sqlx::query_as(
        "SELECT string_agg(relname, ', ') FROM pg_class WHERE relnamespace = 'public'::regnamespace
             AND relkind IN ('r', 'p') AND NOT (relrowsecurity AND relforcerowsecurity)
             AND relname NOT IN ('_sqlx_migrations', 'feed_head')",
    )
    .fetch_one(&superuser)
    .await
    .unwrap();
    assert_eq!(loose, None);
    let (unowned,): (Option<String>,) = sqlx::query_as(
        "SELECT string_agg(conname, ', ') FROM pg_constraint con
         JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attname = 'organization_id'
         WHERE con.contype IN ('p', 'u') AND con.connamespace = 'public'::regnamespace
             AND con.conkey[1] <> a.attnum AND con.conname NOT IN ('organizations_slug', 'bound_issuers_once')",
    )
    .fetch_one(&superuser)
    .await
    .unwrap();
    assert_eq!(unowned, None, "keys of tenant tables start with organization_id");
}

#[tokio::test]
async fn what_stands_above_organizations_is_for_platform_roles_only() {
    let f = Fixture::new().await;
    insert_platform(&f.store).await;
    node(&f.store).await;
    let app = PgPool::connect(&f.database.app_url).await.unwrap();
    for table in ["pools", "pool_keys", "peppers", "certificate_authorities", "join_tokens", "nodes"] {
        let count = async |platform: &str| {
            let mut tx = app.begin().await.unwrap();
            let bind =
                "SELECT set_config('app.organization_id', $1, true), set_config('app.platform', $2, true)";
            sqlx::query(bind)
                .bind(f.acme.organization.id.to_uuid().to_string())
                .bind(platform)
                .execute(&mut *tx)
                .await
                .unwrap();
            let count = format!("SELECT count(*) FROM {table}");
            sqlx::query(AssertSqlSafe(count)).fetch_one(&mut *tx).await.unwrap().get::<i64, _>(0)
        };
        assert_eq!(count("off").await, 0, "{table}");
        assert!(count("on").await > 0, "{table}");
    }
    for secret in
        ["SELECT password_hash FROM persons", "SELECT * FROM sessions", "SELECT * FROM sign_in_links"]
    {
        let refused = sqlx::query(secret).fetch_all(&app).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{secret}: {refused}");
    }
}
