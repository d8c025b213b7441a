//! Exit codes: what went wrong, for scripts. 2 is clap's own, for wrong arguments.

use std::process::ExitCode;

use serde_json::Value;

use super::client::Failure;

/// Arguments or body cannot be accepted (also 400, 413, 415, 422).
pub(crate) const INVALID: ExitCode = INVALID_CODE;
const INVALID_CODE: ExitCode = ExitCode::FAILURE;

impl Failure {
    /// 1 invalid or other refusal · 3 not signed in or not allowed · 4 not found · 5 conflict or
    /// newer version · 6 too many attempts · 7 control plane away or failing.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Away(_) => ExitCode::from(7),
            Self::Refused { status, .. } => match status {
                401 | 403 => ExitCode::from(3),
                404 => ExitCode::from(4),
                409 | 412 | 428 => ExitCode::from(5),
                429 => ExitCode::from(6),
                500.. => ExitCode::from(7),
                _ => INVALID,
            },
        }
    }
}

/// 0, or 8 when `--wait` was given and not every node has applied the change.
pub(crate) fn of_answer(answer: &Value) -> ExitCode {
    let applied = answer.pointer("/fleet/applied").and_then(Value::as_bool);
    if applied == Some(false) { ExitCode::from(8) } else { ExitCode::SUCCESS }
}

/// 0 where what was checked holds, 1 where it does not, 2 where it could not be checked, which is printed.
pub(crate) fn of_check(checked: anyhow::Result<bool>) -> ExitCode {
    match checked {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            ExitCode::from(2)
        }
    }
}
