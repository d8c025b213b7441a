//! The commands cover the API, and work against it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser};
use serde_json::Value;
use tidegate_secrets::kek::KeyEncryptionKey;
use tidegate_secrets::keygen;
use tidegate_store::testing::TestDatabase;
use tidegate_telemetry::SystemClock;
use tokio::task::JoinSet;

use super::Admin;
use super::client::{Client, Failure};
use super::request::Method;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: Admin,
}

/// One line for every verb; `ID` stands for an id, `FILE` for a file with a secret.
const LINES: &str = "
session create --email a@example.com --password-file FILE
session redeem https://x/sign-in#tgl_x --password-file FILE
session show
session delete
org list
org create acme --name Acme
org get ID
org update ID --time-zone Europe/Berlin
org update ID --bind-issuer https://oidc.vercel.com/acme --bind-audience https://vercel.com/acme
org update ID --unbind-issuer https://oidc.vercel.com/acme
org pause ID
org resume ID
team list --limit 5
team create core --requests-per-minute 60
team get ID
team update ID --name x
team pause ID
team resume ID
team delete ID
member list
member create a@example.com --role viewer
member get ID
member update ID --role admin
member link ID
member delete ID
token list
token create ci --role admin
token get ID
token delete ID
key list --team ID
key create ci --team ID
key get ID
key update ID --name x
key pause ID
key resume ID
key rotate ID
key revoke ID
credential list --system
credential create main --provider openai --secret-file FILE
credential create azure --provider azure --resource acme --secret-file FILE
credential get ID
credential create spare --provider openai --position 1 --weight 3 --secret-file FILE
credential update ID --position 2
credential update ID --weight 3
credential update ID --no-weight
credential test ID
credential delete ID
provider list
provider create openai --base-url https://api.openai.com/v1 --dialect openai_chat --auth bearer
provider get ID
provider update ID --enabled false
provider delete ID
model list
model create openai/gpt-5 --context-window 400000 --max-output-tokens 128000 --can tools
model get ID
model update ID --alias gpt5
model delete ID
offering list
offering create --model openai/gpt-5 --provider openai --upstream-name gpt-5
offering get ID
offering update ID --enabled false
offering delete ID
price list --offering ID
price create --offering ID --price input_token=0.000001
price override list
price override set --model openai/gpt-5 --provider openai --price input_token=0.000001
price override delete ID
route list
route create fast --target openai/gpt-5=2
route get ID
route update ID --attempt-timeout-ms 5000
route delete ID
policy list
policy create strict --zdr zdr --inference-region eu --inference-region uk --headquarters !CN
credential attest ID --area eu --statement contract --expires-at 2027-01-01T00:00:00Z
policy get ID
policy update ID --max-attempts 2
policy delete ID
policy create cached --cache on --cache-ttl 60 --cache-sharing team --cache-charge-percent 10
route update ID --cache off --prompt-cache-markers true
cache purge --route ID
budget list
budget create monthly --limit 1.00 --every month --team ID
budget get ID
budget update ID --limit 2.00
budget raise ID --by 0.50 --until 2030-01-01T00:00:00Z --reason launch
budget lower ID
budget delete ID
usage list --by key,day
calls list --status 200
calls get ID
explain openai/gpt-5 --key ID --session s1
fleet list
fleet join
fleet revoke ID
fleet drained ID
fleet wave
fleet resume
keys status
keys rotate --kek
audit list
audit verify
zdr records --from 2026-01-01T00:00:00Z
pool list
pool create edge
ledger show
credit show
credit set-up --markup 5 --allowance 10 --every month
credit top-up 100 --reference i-1
credit adjust ID --amount -1 --reference i-1b --note typo
credit entries
trust-rule list
trust-rule create shop --issuer https://kubernetes.default.svc --audience tidegate-acme --team ID --claim sub=system:serviceaccount:shop:web
trust-rule get ID
trust-rule update ID --longest-life 600
trust-rule refresh ID --drop-withdrawn
trust-rule delete ID
exporter list
exporter create mlflow --to https://x.example/v1/traces --header-file x-mlflow-experiment-id=FILE
exporter get ID
exporter update ID --enabled false
exporter delete ID
webhook list
webhook create pager --to https://x.example/hook --kind budget.exhausted
webhook get ID
webhook update ID --enabled false
webhook rotate ID
webhook test ID
webhook deliveries ID
webhook redeliver ID --notice msg_1
webhook notices
webhook delete ID
";

fn parse(line: &str) -> Line {
    Line::parse_from(std::iter::once("tidegate").chain(line.split(' ').filter(|word| !word.is_empty())))
}

#[test]
fn every_command_is_well_formed() {
    Line::command().debug_assert();
}

#[test]
fn the_commands_cover_every_endpoint_of_the_api() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "secret").expect("written");
    // `catalogue import` sends one request for each provider.
    let mut covered = BTreeSet::from(["post /catalogue/import".to_owned()]);
    // `reconcile` sends a bill in parts.
    covered.insert("post /providers/{id}/reconcile".to_owned());
    covered.insert("post /providers/{id}/compare".to_owned());
    // `join` reads it for a node that has none.
    covered.insert("get /fleet/trust-roots".to_owned());
    // `rerate` takes a day at a time, `usage export` and `audit export` write files.
    covered.extend(["post /ledger/rerate", "get /usage/export", "get /audit/export"].map(str::to_owned));
    for line in LINES.lines().filter(|line| !line.is_empty()) {
        let line = line.replace("FILE", &file.path().display().to_string());
        let (_, request) = parse(&line).command.plan().unwrap_or_else(|error| panic!("{line}: {error}"));
        let method = match request.method {
            Method::Get => "get",
            Method::Post => "post",
            Method::Patch => "patch",
            Method::Delete => "delete",
        };
        covered.insert(format!("{method} {}", request.path.replace("/ID", "/{id}")));
    }
    let document = tidegate_admin::openapi();
    let mut offered = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("operations").keys() {
            offered.insert(format!("{method} {}", path.trim_start_matches("/api/v1")));
        }
    }
    assert_eq!(covered, offered);
}

async fn serve(tasks: &mut JoinSet<std::io::Result<()>>) -> (String, String) {
    let database = TestDatabase::create().await.expect("a database");
    let store = database.store().await.expect("a store");
    let kek = KeyEncryptionKey::from_secret(&keygen::key_encryption_key()).expect("a key");
    let app =
        tidegate_admin::App::open(store, kek, Arc::new(SystemClock), "http://x").await.expect("the API");
    let link = tidegate_admin::bootstrap(&app, "root@example.com").await.expect("a link");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = tidegate_admin::router(app).into_make_service_with_connect_info::<SocketAddr>();
    tasks.spawn(async move { axum::serve(listener, service).await });
    (format!("http://{address}"), link.expose().to_owned())
}

async fn send(url: &str, token: &str, line: &str) -> Result<Value, Failure> {
    let line = format!("{line} --url {url} --token={token}");
    let (connection, request) = parse(&line).command.plan().expect("a request");
    Client::new(&connection)?.send(&request).await
}

#[tokio::test]
async fn an_operator_sets_up_an_organization_from_the_command_line() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut tasks = JoinSet::new();
    let (url, link) = serve(&mut tasks).await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "correct horse battery staple\n").expect("written");
    let redeem = format!("session redeem {link} --password-file {}", file.path().display());
    let session = send(&url, "", &redeem).await.expect("signed in");
    let root = session["token"].as_str().expect("a token").to_owned();
    let organization = send(&url, &root, "org create acme").await.expect("made");
    let id = organization["id"].as_str().expect("an id");
    let run = async |line: &str| send(&url, &root, &format!("{line} --organization {id}")).await;
    let team = run("team create core").await.expect("made")["id"].as_str().expect("an id").to_owned();
    let key = run(&format!("key create ci --team {team} --wait")).await.expect("issued");
    assert!(key["key"].as_str().is_some_and(|text| text.starts_with("tg_")));
    assert_eq!(key["fleet"]["applied"], true);
    for n in 0..3 {
        run(&format!("team create t{n}")).await.expect("made");
    }
    let all = run("team list --limit 2 --all").await.expect("listed");
    assert_eq!(all["data"].as_array().map(Vec::len), Some(4));

    let codes = [
        (run("team get team_00000000000000000000000001").await, 404),
        (run("team create core").await, 409),
        (run("team update team_x --name y --if-match \"9\"").await, 404),
        (send(&url, "nonsense", "team list").await, 401),
        (run("key create x --team team_1").await, 400),
    ];
    for (outcome, expected) in codes {
        match outcome {
            Err(Failure::Refused { status, problem }) => {
                assert_eq!((status, problem["code"].is_string()), (expected, true), "{problem}");
            }
            other => panic!("{other:?} instead of {expected}"),
        }
    }
    assert!(matches!(send("http://127.0.0.1:9", "", "team list").await, Err(Failure::Away(_))));
}
