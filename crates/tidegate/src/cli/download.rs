//! Answers that are files.

use std::process::ExitCode;

use super::client::Client;
use super::request::Request;
use super::{Connection, exit, output};

/// Writes the answer to a file, or to standard output where `file` is `-`.
pub(super) async fn run(connection: &Connection, request: &Request, file: &str) -> ExitCode {
    let out: std::io::Result<Box<dyn std::io::Write + Send>> = match file {
        "-" => Ok(Box::new(std::io::stdout())),
        file => std::fs::File::create(file).map(|file| Box::new(file) as Box<_>),
    };
    let mut out = match out {
        Ok(out) => out,
        Err(error) => {
            eprintln!("error: write {file}: {error}");
            return exit::INVALID;
        }
    };
    let done = match Client::new(connection) {
        Ok(client) => client.download(request, &mut out).await,
        Err(failure) => Err(failure),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{}", output::render_failure(&failure, connection.output));
            failure.code()
        }
    }
}
