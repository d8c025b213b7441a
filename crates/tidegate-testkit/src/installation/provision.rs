//! The database and its three logins, as an operator makes them.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Program, Shape, config};
use crate::host::Host;
use crate::{binaries, postgres, template};

/// URLs of the three logins.
pub(super) struct Logins {
    pub(super) owner: String,
    pub(super) app: String,
    pub(super) feed: String,
    /// Where the server is.
    pub(super) port: u16,
}

impl Logins {
    /// The same where somebody listens on the server's behalf.
    pub(super) fn at(&self, port: u16) -> Self {
        let (from, to) = (format!("@127.0.0.1:{}/", self.port), format!("@127.0.0.1:{port}/"));
        let [owner, app, feed] = [&self.owner, &self.app, &self.feed].map(|url| url.replace(&from, &to));
        Self { owner, app, feed, port }
    }
}

const PASSWORD: &str = "only-in-this-throw-away-cluster";

/// A server whose database this executable has migrated, for its control plane to log in.
pub(super) fn migrated(binary: &Path, host: Host) -> Result<(postgres::Server, Logins)> {
    let name = template_of(binary)?;
    let server = postgres::Server::start_with(host, |folder| {
        template::copy(&name, folder, |making| {
            let (mut server, own) = (postgres::Server::start()?, tempfile::tempdir()?);
            create(&server)?;
            // What any release understands: the executable may be an older one.
            let shape = Shape { drain_lead_seconds: None, wave_seconds: None, ..Shape::default() };
            let file = config::control_plane(own.path(), 0, &logins(&server), &shape)?;
            Program::run(binary, own.path(), &["migrate", "--config", &file])?;
            members(&server)?;
            server.shut_down();
            template::copy_all(server.folder(), making)
        })
    })?;
    let logins = logins(&server);
    Ok((server, logins))
}

/// Another one for each executable.
fn template_of(binary: &Path) -> Result<String> {
    let (mut hash, file) = (DefaultHasher::new(), fs::metadata(binary)?);
    (binary, file.len(), file.modified()?).hash(&mut hash);
    Ok(format!("migrated-{:016x}", hash.finish()))
}

/// Makes the database, its owner, and the two logins of the control plane.
fn create(server: &postgres::Server) -> Result<()> {
    sql(server, "postgres", &format!("CREATE ROLE tg_owner LOGIN CREATEROLE PASSWORD '{PASSWORD}'"))?;
    sql(server, "postgres", "CREATE DATABASE tidegate OWNER tg_owner")?;
    for login in ["tg_app", "tg_feed"] {
        sql(server, "postgres", &format!("CREATE ROLE {login} LOGIN PASSWORD '{PASSWORD}'"))?;
    }
    Ok(())
}

fn logins(server: &postgres::Server) -> Logins {
    let url = |login: &str| server.address().url(login, PASSWORD, "tidegate");
    Logins { owner: url("tg_owner"), app: url("tg_app"), feed: url("tg_feed"), port: server.address().port }
}

/// Makes the logins members of the roles that the migrations made.
fn members(server: &postgres::Server) -> Result<()> {
    sql(server, "tidegate", "GRANT tidegate_app TO tg_app")?;
    sql(server, "tidegate", "GRANT tidegate_feed TO tg_feed")
}

/// Runs a statement as the superuser.
pub(super) fn sql(server: &postgres::Server, database: &str, statement: &str) -> Result<()> {
    psql(server, database, &["-c", statement]).map(|_| ())
}

/// Rows of a query as the superuser, each with its columns as text.
pub(super) fn query(server: &postgres::Server, database: &str, statement: &str) -> Result<Vec<Vec<String>>> {
    let text = psql(server, database, &["-At", "-F", "\t", "-c", statement])?;
    Ok(text.lines().map(|row| row.split('\t').map(str::to_owned).collect()).collect())
}

fn psql(server: &postgres::Server, database: &str, arguments: &[&str]) -> Result<String> {
    let url = server.address().superuser_url(database);
    let output = Command::new(binaries::find("psql")?)
        .args(["-qX", "-v", "ON_ERROR_STOP=1"])
        .args(arguments)
        .arg(url)
        .output();
    let output = output.context("run psql")?;
    if !output.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
