//! Every write of the document: a version that is not the newest is refused, and no write happens without its
//! entry in the audit, which is made in its transaction.

mod cases;

use http::{Method, StatusCode};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, Row as _};

use self::cases::{Case, Objects, Who};
use crate::harness::{Answer, Tenant, World};

/// Of the whole document, as it describes them.
struct Operation {
    method: Method,
    path: String,
    promises_match: bool,
}

fn writes() -> Vec<(String, Operation)> {
    let document = tidegate_admin::openapi();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "get") {
            let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            let written = Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.strip_prefix("/api/v1").unwrap().to_owned(),
                promises_match: parameters.iter().any(|parameter| parameter["name"] == "If-Match"),
            };
            found.push((operation["operationId"].as_str().unwrap().to_owned(), written));
        }
    }
    found
}

/// What the database holds, looked at as its owner.
struct Books {
    owner: PgConnection,
    /// One hash for each table.
    sql: String,
}

impl Books {
    async fn open(world: &World) -> Self {
        let mut owner = PgConnection::connect(&world.database.superuser_url).await.unwrap();
        let tables = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
        let tables = sqlx::query(tables).fetch_all(&mut owner).await.unwrap();
        let one = |row: &sqlx::postgres::PgRow| {
            let name: String = row.get(0);
            format!(
                "SELECT '{name}' AS name, md5(string_agg(x::text, ';' ORDER BY x::text)) FROM \"{name}\" x"
            )
        };
        let sql = tables.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
        // An audit that takes no entry: what needs one cannot happen then.
        for sql in [
            "CREATE FUNCTION take_no_entry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'full'; END $$",
            "CREATE TRIGGER take_no_entry BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION take_no_entry()",
        ] {
            sqlx::query(sql).execute(&mut owner).await.unwrap();
        }
        Self { owner, sql }
    }

    async fn held(&mut self) -> Vec<(String, Option<String>)> {
        let rows =
            sqlx::query(sqlx::AssertSqlSafe(self.sql.clone())).fetch_all(&mut self.owner).await.unwrap();
        let mut held: Vec<_> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        held.sort();
        held
    }

    async fn entries(&mut self) -> i64 {
        sqlx::query("SELECT count(*) FROM audit").fetch_one(&mut self.owner).await.unwrap().get(0)
    }

    async fn refuse_entries(&mut self, refuse: bool) {
        let verb = if refuse { "ENABLE" } else { "DISABLE" };
        let sql = format!("ALTER TABLE audit {verb} TRIGGER take_no_entry");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut self.owner).await.unwrap();
    }
}

/// A case as it is sent.
struct Sent<'a> {
    world: &'a World,
    tenant: &'a Tenant,
    operation: &'a Operation,
    case: &'a Case,
}

impl Sent<'_> {
    fn token(&self) -> &str {
        match self.case.who {
            Who::Owner => &self.tenant.owner,
            Who::Root | Who::RootWithin => &self.world.root,
            Who::Nobody => "",
        }
    }

    fn within(&self, path: &str) -> String {
        let path = path.replace("{id}", &self.case.id);
        if self.case.who == Who::RootWithin {
            format!("{path}?organization={}", self.tenant.id)
        } else {
            path
        }
    }

    async fn send(&self, tag: Option<&str>) -> Answer {
        let headers: Vec<_> = tag.map(|tag| ("if-match", tag)).into_iter().collect();
        let body = self.case.body.as_ref().map(Value::to_string);
        let path = self.within(&self.operation.path);
        self.world.send(self.operation.method.clone(), self.token(), &path, &headers, body).await
    }

    /// The tag that a read of the object gives, where it can be read by itself.
    async fn tag(&self) -> Option<String> {
        if !self.operation.promises_match {
            return None;
        }
        let read = self.within(self.operation.path.trim_end_matches("/raises"));
        let answer = self.world.get(self.token(), &read).await;
        (answer.status == StatusCode::OK).then(|| answer.etag())
    }
}

#[tokio::test]
async fn every_write_keeps_to_the_version_it_is_for_and_leaves_its_entry_or_does_not_happen() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let objects: Objects = cases::make(&world, &tenant).await;
    let cases = cases::all(&objects, &tenant);
    let operations = writes();
    for (name, _) in &operations {
        let tried = cases.iter().filter(|case| case.operation == name).count();
        assert_eq!(tried, 1, "{name}: each write has one case here");
    }
    assert_eq!(cases.len(), operations.len(), "a case is of no operation");
    let mut books = Books::open(&world).await;
    books.refuse_entries(false).await;
    let mut matched = 0;
    for case in &cases {
        let name = case.operation;
        let (_, operation) = operations.iter().find(|(known, _)| known == name).unwrap();
        let sent = Sent { world: &world, tenant: &tenant, operation, case };
        let (tag, held) = (sent.tag().await, books.held().await);
        if operation.promises_match {
            matched += 1;
            let stale = sent.send(Some("\"999999\"")).await;
            assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{name}: {}", stale.text);
            stale.refused(412, "precondition_failed");
            assert_eq!(books.held().await, held, "{name}: refused, and something is changed");
        }
        if case.entries > 0 {
            books.refuse_entries(true).await;
            let failed = sent.send(tag.as_deref()).await;
            assert!(failed.status.is_server_error(), "{name} needs no entry: {}", failed.text);
            assert_eq!(books.held().await, held, "{name}: without its entry something is changed");
            books.refuse_entries(false).await;
        }
        let entries = books.entries().await;
        let answer = sent.send(tag.as_deref()).await;
        let known = answer.status.is_success() || answer.body["code"] == "no_node";
        assert!(known, "{name}: {}", answer.text);
        assert_eq!(books.entries().await - entries, case.entries, "{name}: {}", case.why);
        assert!(case.entries == 1 || !case.why.is_empty(), "{name}: a reason is missing");
    }
    assert!(matched > 25, "only {matched} writes promise If-Match");
}
