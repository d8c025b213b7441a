//! `tidegate session …`: signing in and out.

use clap::Subcommand;
use serde_json::json;

use super::body::read_text;
use super::request::Request;

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Sign in; prints a token for TIDEGATE_TOKEN.
    Create {
        /// E-mail address.
        #[arg(long)]
        email: String,
        /// File that holds the password; - for standard input.
        #[arg(long, default_value = "-")]
        password_file: String,
    },
    /// Use a single-use sign-in link: sets the password and signs in.
    Redeem {
        /// The link, or the token in it.
        link: String,
        /// File that holds the new password; - for standard input.
        #[arg(long, default_value = "-")]
        password_file: String,
    },
    /// Who the token belongs to and what it may do.
    Show,
    /// Sign out: the token stops working.
    Delete,
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        Ok(match self {
            Self::Create { email, password_file } => {
                let password = read_text(&password_file)?;
                let body = json!({"email": email, "password": password.trim_end_matches(['\r', '\n'])});
                Request::post("/sessions", body, &[])
            }
            Self::Redeem { link, password_file } => {
                let password = read_text(&password_file)?;
                // The token is what follows the last '=', '#' or '/' of a link.
                let token = link.rsplit(['=', '#', '/']).next().unwrap_or(&link).to_owned();
                let body = json!({"token": token, "password": password.trim_end_matches(['\r', '\n'])});
                Request::post("/sessions/link", body, &[])
            }
            Self::Show => Request::get("/me", &[]),
            Self::Delete => Request::delete("/sessions/current"),
        })
    }
}
