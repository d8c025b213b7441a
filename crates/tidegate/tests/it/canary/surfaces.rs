//! Every place where something may have been left: what processes write and keep, what the gateway and the
//! management API tell, what is told outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tidegate_testkit::installation::{Installation, Program};

use super::Surface;
use super::outside::Outside;
use crate::support::{App, client};

fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(tree(&path)) } else { found.push(path) }
    }
    found
}

/// All files below a folder, with their names, without blocks of zeros: databases keep much room for later.
fn files(folder: &Path) -> Vec<u8> {
    const EMPTY: [u8; 512] = [0; 512];
    let mut bytes = Vec::new();
    for path in tree(folder) {
        bytes.extend_from_slice(path.to_string_lossy().as_bytes());
        let read = fs::read(&path).unwrap_or_default();
        for block in read.chunks(EMPTY.len()).filter(|block| *block != EMPTY) {
            bytes.extend_from_slice(block);
        }
    }
    bytes
}

async fn metrics(program: &Program) -> Vec<u8> {
    let url = format!("{}/metrics", program.url("metrics on ").unwrap());
    let told = client().get(url).send().await.unwrap().error_for_status().unwrap();
    told.bytes().await.unwrap().to_vec()
}

/// What a node has counted that is about to be killed: with it goes what it knows of its calls.
pub(super) async fn of_driven_node(installation: &Installation) -> Surface {
    let bytes = metrics(&installation.nodes[0]).await;
    Surface { name: "metrics of a driven node".into(), bytes, witness: "sim/embedding".into() }
}

/// What the system tells others of a process.
pub(super) fn of_process(name: &str, pid: u32, program: &str) -> [Surface; 2] {
    let process = Path::new("/proc").join(pid.to_string());
    [("arguments", "cmdline", program), ("environment", "environ", "PATH")].map(|(what, file, witness)| {
        Surface {
            name: format!("{what} of the {name}"),
            bytes: fs::read(process.join(file)).unwrap(),
            witness: witness.to_owned(),
        }
    })
}

/// What a node that was killed has on its disk.
pub(super) fn of_killed_node(installation: &Installation) -> Surface {
    let state = installation.folder().join("node-0-state");
    Surface { name: "disk of a killed node".into(), bytes: files(&state), witness: "journal".into() }
}

/// What the processes write and keep.
async fn of_processes(installation: &Installation, key_name: &str) -> Vec<Surface> {
    let mut all = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>, witness: &str| {
        all.push(Surface { name: name.to_owned(), bytes, witness: witness.to_owned() });
    };
    let folder = installation.folder();
    for (name, file, program, said) in [
        ("control plane", "control-0.log", &installation.control_planes[0], "control plane is ready"),
        ("node", "node-0.log", &installation.nodes[0], "metrics on "),
    ] {
        // All of it: a node that was started again goes on in the file of the one before.
        add(&format!("log of the {name}"), fs::read(folder.join(file)).unwrap(), said);
        add(&format!("metrics of the {name}"), metrics(program).await, "tidegate_");
        for surface in of_process(name, program.pid(), "tidegate") {
            add(&surface.name, surface.bytes, &surface.witness);
        }
    }
    installation.sql("CHECKPOINT").unwrap();
    let url = installation.postgres.address().superuser_url("tidegate");
    let dump = Command::new("pg_dump").arg("--dbname").arg(&url).output().unwrap();
    add("dump of the database", dump.stdout, key_name);
    let data = installation.postgres.folder().join("data");
    add("files of the database", files(&data.join("base")), key_name);
    add("write-ahead log of the database", files(&data.join("pg_wal")), key_name);
    add(
        "log of the database",
        fs::read(installation.postgres.folder().join("log")).unwrap(),
        "ready to accept",
    );
    let redis = installation.redis.as_ref().unwrap();
    let script = "local out={} for _,k in ipairs(redis.call('KEYS','*')) do out[#out+1]=k \
                  local t=redis.call('TYPE',k).ok local v={} if t=='hash' then v=redis.call('HGETALL',k) \
                  elseif t=='string' then v={redis.call('GET',k)} elseif t=='zset' then v=redis.call('ZRANGE',k,0,-1) elseif t=='stream' then for _,e in ipairs(redis.call('XRANGE',k,'-','+')) do for _,f in ipairs(e[2]) do v[#v+1]=f end end end \
                  for _,x in ipairs(v) do out[#out+1]=x end end return table.concat(out,' ')";
    add("keys and values of the counters", redis.command(&["EVAL", script, "0"]).unwrap().into_bytes(), "{");
    redis.command(&["SAVE"]).unwrap();
    add("file of the counters", files(redis.folder()), "REDIS");
    let state = folder.join("node-0-state");
    add("journal", files(&state.join("journal")), "journal");
    let others: Vec<u8> = tree(&state)
        .iter()
        .filter(|path| !path.starts_with(state.join("journal")))
        .flat_map(|path| {
            [path.to_string_lossy().into_owned().into_bytes(), fs::read(path).unwrap_or_default()].concat()
        })
        .collect();
    add("configuration and identity of the node on disk", others, "node-0-state");
    let configurations: Vec<u8> = ["control-0.toml", "node-0.toml", "roots.pem"]
        .iter()
        .flat_map(|name| fs::read(folder.join(name)).unwrap_or_default())
        .collect();
    add("configuration files", configurations, "[database]");
    all
}

/// What the management API and the node tell.
async fn of_answers(installation: &Installation, app: &App, key_name: &str) -> Vec<Surface> {
    let calls = installation.admin.get("/calls?limit=100").await.unwrap();
    let call = calls["data"][0]["call_id"].as_str().or(calls["data"][0]["id"].as_str()).unwrap().to_owned();
    let paths = [
        ("/calls?limit=1000", "attempts"),
        (&*format!("/calls/{call}"), "attempts"),
        ("/keys", key_name),
        ("/teams", "core"),
        ("/credentials", "own"),
        ("/credentials?scope=system", "mock"),
        ("/policies", "data"),
        ("/budgets", "all"),
        ("/routes", "data"),
        ("/usage", "data"),
        ("/usage?group_by=key,model", "data"),
        ("/audit?limit=1000", "credential.create"),
        ("/audit?organization=system&limit=1000", "data"),
        ("/fleet", "node-0"),
        ("/webhooks", "data"),
        ("/exporters", "data"),
        ("/notices", "data"),
        ("/zdr/records", "manifest"),
        ("/encryption/rotations?organization=system", "root_keys"),
        ("/organizations", "acme"),
        ("/members", "data"),
        ("/service-tokens", "test"),
        ("/providers", "mock"),
        ("/offerings", "sim/chat"),
        ("/models", "sim/chat"),
        ("/credits", "balance"),
        ("/credits/entries", "data"),
        ("/ledger", "data"),
        ("/prices", "data"),
        ("/price-overrides", "data"),
        ("/pools", "default"),
        ("/trust-rules", "data"),
        ("/me", "memberships"),
    ];
    let mut all = Vec::new();
    for (path, witness) in paths {
        let told = installation.admin.get(path).await.unwrap_or_else(|error| panic!("{path}: {error:#}"));
        let newest = path.contains(&call);
        all.push(Surface {
            name: if newest { "answer of the newest call".into() } else { format!("answer of {path}") },
            bytes: told.to_string().into_bytes(),
            witness: witness.to_owned(),
        });
    }
    let question = json!({"model": "sim/chat"});
    let told = installation.admin.post("/explain", &question).await.unwrap();
    all.push(Surface {
        name: "explanation".into(),
        bytes: told.to_string().into_bytes(),
        witness: "mock".into(),
    });
    let generation = format!("/v1/generation?id={call}");
    for (name, path, witness) in [
        ("/v1/models", "/v1/models", "sim/chat"),
        ("/v1/credits", "/v1/credits", "balance"),
        ("/v1/key", "/v1/key", key_name),
        ("/v1/generation", &*generation, "sim/"),
        ("/v1/nonsense", "/v1/nonsense", "error"),
    ] {
        let reply = client().get(format!("{}{path}", app.base)).bearer_auth(&app.key).send().await.unwrap();
        assert_eq!(reply.status() == 200, witness != "error", "{path}: {}", reply.status());
        let bytes = reply.bytes().await.unwrap().to_vec();
        all.push(Surface { name: format!("node's answer of {name}"), bytes, witness: witness.to_owned() });
    }
    all
}

pub(super) async fn surfaces(
    installation: &Installation,
    outside: &Outside,
    app: &App,
    key_name: &str,
) -> Vec<Surface> {
    let mut all = of_processes(installation, key_name).await;
    all.extend(of_answers(installation, app, key_name).await);
    all.extend(outside.surfaces());
    all
}
