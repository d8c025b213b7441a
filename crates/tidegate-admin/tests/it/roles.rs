//! The capability table says what was decided, and every endpoint answers every role as it says.

use http::Method;
use tidegate_admin::capability::{Action, Noun, ROLES, Reach, platform_allows, role_allows};
use tidegate_store::PlatformRole;

use crate::garbage::operations;
use crate::harness::World;

/// Paths that decide by more than the table.
const SPECIAL: [&str; 2] = ["/sessions/current", "/organizations/{id}"];

/// The decision, written out a second time: r reads, w writes. Columns: owner, admin, member, viewer,
/// billing; platform administrator and viewer in an organization; the same above organizations.
const DECIDED: &str = "\
me             rw rw rw rw rw   rw rw   rw rw
sessions       rw rw rw rw rw   rw rw   rw rw
organizations  rw r  r  r  r    rw r    rw r
teams          rw rw r  r  r    rw r    rw r
members        rw rw r  r  r    rw r    rw r
service-tokens rw rw -  -  -    r  r    rw r
keys           rw rw rw r  r    rw r    rw r
trust-rules    rw rw r  r  r    rw r    rw r
credentials    rw rw r  r  -    rw r    rw r
providers      r  r  r  r  r    rw r    rw r
models         r  r  r  r  r    rw r    rw r
offerings      r  r  r  r  r    rw r    rw r
prices         r  r  r  r  r    rw r    rw r
catalogue      r  r  r  r  r    rw r    rw r
price-overrides rw rw r r  r    rw r    rw r
routes         rw rw r  r  r    rw r    rw r
policies       rw rw r  r  r    rw r    rw r
cache          rw rw r  r  r    rw r    rw r
budgets        rw rw r  r  rw   rw r    rw r
usage          r  r  r  r  r    r  r    r  r
calls          r  r  r  r  r    -  -    -  -
explain        rw rw rw rw -    rw r    rw r
fleet          -  -  -  -  -    rw r    rw r
join-tokens    -  -  -  -  -    rw r    rw r
pools          -  -  -  -  -    rw r    rw r
encryption     -  -  -  -  -    rw r    rw r
audit          r  r  -  -  -    r  r    r  r
zdr            r  r  -  -  -    r  r    r  r
webhooks       rw rw -  r  rw   rw r    rw r
notices        rw rw -  r  rw   rw r    rw r
exporters      rw rw r  r  -    rw r    rw r
credits        r  r  -  r  r    rw r    rw r
ledger         r  r  -  r  r    rw r    rw r";

#[test]
fn the_capability_table_says_what_was_decided() {
    let mut decided = Vec::new();
    for row in DECIDED.lines() {
        let (path, cells) = row.split_once(' ').unwrap();
        decided.push(path);
        let noun = Noun::of_path(path).unwrap();
        let cell = |allows: &dyn Fn(Action) -> bool| match (allows(Action::Read), allows(Action::Write)) {
            (true, true) => "rw",
            (true, false) => "r",
            (false, true) => "w",
            (false, false) => "-",
        };
        let mut found = ROLES.map(|role| cell(&|action| role_allows(role, noun, action))).to_vec();
        for in_organization in [true, false] {
            for role in [PlatformRole::PlatformAdmin, PlatformRole::PlatformViewer] {
                found.push(cell(&|action| platform_allows(role, noun, action, in_organization)));
            }
        }
        assert_eq!(found, cells.split_whitespace().collect::<Vec<_>>(), "{path}");
    }
    for (_, path, _) in operations() {
        let noun = path.trim_start_matches('/').split('/').next().unwrap();
        assert!(decided.contains(&noun), "nothing is decided about {path}");
    }
}

#[tokio::test]
async fn the_answer_to_every_role_at_every_endpoint_is_in_the_table() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let (mut allowed, mut refused) = (0, 0);
    for role in ROLES {
        let name = serde_json::to_value(role).unwrap();
        let name = name.as_str().unwrap();
        let token = world.member(&tenant.id, &format!("{name}-2@acme.example.com"), name).await;
        for (method, path, body) in operations() {
            let Some(noun) = noun(&path) else { continue };
            let says = role_allows(role, noun, Action::of_method(&method));
            let passed = passes(&world, &token, &method, &path, body.is_some(), "").await;
            assert_eq!(passed, says, "{name} {method} {path}");
            if passed { allowed += 1 } else { refused += 1 }
        }
    }
    assert!(allowed > 100 && refused > 100, "{allowed} {refused}");
}

#[tokio::test]
async fn the_answer_to_every_platform_role_is_in_the_table() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let body = serde_json::json!({"name": "v", "platform_role": "platform_viewer"});
    let viewer = world.post(&world.root, "/service-tokens", &body).await.str("/token");
    for (token, role) in [(&world.root, PlatformRole::PlatformAdmin), (&viewer, PlatformRole::PlatformViewer)]
    {
        for (method, path, body) in operations() {
            let Some(noun) = noun(&path) else { continue };
            let action = Action::of_method(&method);
            if noun.reach() != Reach::System {
                let query = format!("?organization={}", tenant.id);
                let passed = passes(&world, token, &method, &path, body.is_some(), &query).await;
                assert_eq!(
                    passed,
                    platform_allows(role, noun, action, true),
                    "{role:?} {method} {path} in an organization"
                );
            }
            if noun.reach() != Reach::Organization {
                let passed = passes(&world, token, &method, &path, body.is_some(), "").await;
                assert_eq!(passed, platform_allows(role, noun, action, false), "{role:?} {method} {path}");
            }
        }
    }
}

fn noun(path: &str) -> Option<Noun> {
    let public = ["/sessions", "/sessions/link", "/fleet/trust-roots"].contains(&path);
    if public || SPECIAL.contains(&path) { None } else { Noun::of_path(path.trim_start_matches('/')) }
}

/// Whether the guard lets the caller through: anything but 403 (the body is nonsense on purpose,
/// so that nothing is changed).
async fn passes(
    world: &World,
    token: &str,
    method: &Method,
    path: &str,
    has_body: bool,
    query: &str,
) -> bool {
    let path = format!("{}{query}", path.replace("{id}", "x"));
    let body = has_body.then(|| "[\"nonsense\"]".to_owned());
    let answer = world.send(method.clone(), token, &path, &[], body).await;
    assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.text);
    assert_ne!(answer.status.as_u16(), 401, "{method} {path}");
    answer.status.as_u16() != 403
}
