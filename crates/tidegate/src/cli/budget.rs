//! `tidegate budget …`

use clap::{Args, Subcommand};
use serde_json::json;

use super::body::{Body, JsonArg};
use super::request::{Columns, PageArgs, Request};

const COLUMNS: Columns = &[
    ("id", "/id"),
    ("name", "/name"),
    ("limit", "/limit"),
    ("limit now", "/limit_now"),
    ("spent", "/spend/spent"),
    ("held", "/spend/held"),
    ("unresolved", "/spend/unresolved"),
    ("window", "/window"),
    ("scope", "/scope"),
    ("enforcement", "/enforcement"),
];

/// What may be said about a budget at any time.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// hard (calls that do not fit are refused) or soft.
    #[arg(long)]
    enforcement: Option<String>,
    /// strict (never over) or expected.
    #[arg(long)]
    mode: Option<String>,
    /// Whether calls over the organization's own credentials count.
    #[arg(long)]
    count_byok: Option<bool>,
    /// A percentage of the limit at which an alert is due. May be repeated, ascending.
    #[arg(long = "alert-at", value_name = "PERCENT")]
    alerts: Vec<u8>,
    #[command(flatten)]
    json: JsonArg,
}

/// Which calls a budget covers.
#[derive(Debug, Args)]
pub(crate) struct ScopeFlags {
    /// Calls of this team.
    #[arg(long)]
    team: Option<String>,
    /// Calls with this key.
    #[arg(long)]
    key: Option<String>,
    /// Calls for this end user.
    #[arg(long)]
    end_user: Option<String>,
    /// Calls with this tag: name=value.
    #[arg(long)]
    tag: Option<String>,
    /// Attempts at this model.
    #[arg(long)]
    model: Option<String>,
    /// Attempts at this provider.
    #[arg(long)]
    provider: Option<String>,
}

/// A new budget.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Unique in the organization.
    name: String,
    /// Most that may be spent in a window, USD.
    #[arg(long)]
    limit: String,
    /// Starts afresh each minute, hour, day, week, month, quarter or year.
    #[arg(long, required_unless_present_any = ["lifetime", "from"])]
    every: Option<String>,
    /// For ever.
    #[arg(long, conflicts_with_all = ["every", "from"])]
    lifetime: bool,
    /// First instant of a fixed term (RFC 3339).
    #[arg(long, requires = "until")]
    from: Option<String>,
    /// First instant after a fixed term.
    #[arg(long, requires = "from")]
    until: Option<String>,
    /// Count what the present window has used before.
    #[arg(long)]
    count_past: bool,
    #[command(flatten)]
    scope: ScopeFlags,
    #[command(flatten)]
    flags: Flags,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists budgets and what they have spent.
    List(PageArgs),
    /// Makes a budget. Its window and scope cannot be changed later.
    Create(Box<Create>),
    /// Shows one and what it has spent.
    Get {
        /// Its id.
        id: String,
    },
    /// Changes one.
    Update {
        /// Its id.
        id: String,
        /// New name.
        #[arg(long)]
        name: Option<String>,
        /// New limit, USD.
        #[arg(long)]
        limit: Option<String>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Raises a limit for a time; it falls back by itself.
    Raise {
        /// Its id.
        id: String,
        /// Added to the limit, USD.
        #[arg(long)]
        by: String,
        /// First instant at which it no longer holds (RFC 3339).
        #[arg(long)]
        until: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Takes temporary raises back before their end.
    Lower {
        /// Its id.
        id: String,
    },
    /// Removes one.
    Delete {
        /// Its id.
        id: String,
    },
}

impl Flags {
    fn body(self) -> anyhow::Result<Body> {
        let mut body = Body::from(&self.json)?;
        body.set("enforcement", self.enforcement).set("mode", self.mode).set("count_byok", self.count_byok);
        body.set_list("alert_at_percent", self.alerts);
        Ok(body)
    }
}

impl Create {
    fn request(self) -> anyhow::Result<Request> {
        let mut body = self.flags.body()?;
        let window = match (self.every, self.from, self.until) {
            (Some(every), ..) => json!({"every": every}),
            (None, Some(start), Some(end)) => json!({"start": start, "end": end}),
            _ => json!({"lifetime": true}),
        };
        let mut scope = Body::default();
        scope.set("team", self.scope.team).set("key", self.scope.key).set("end_user", self.scope.end_user);
        scope.set("tag", self.scope.tag).set("model", self.scope.model).set("provider", self.scope.provider);
        body.set("count_past", self.count_past.then_some(true));
        body.set("name", Some(self.name)).set("limit", Some(self.limit)).set("window", Some(window));
        Ok(Request::post("/budgets", body.set_object("scope", scope).value(), COLUMNS))
    }
}

impl Verb {
    pub(super) fn request(self) -> anyhow::Result<Request> {
        let one = |id: &str| format!("/budgets/{id}");
        Ok(match self {
            Self::List(page) => Request::list("/budgets", page, COLUMNS),
            Self::Create(create) => create.request()?,
            Self::Get { id } => Request::get(one(&id), COLUMNS),
            Self::Update { id, name, limit, flags } => Request::patch(
                one(&id),
                flags.body()?.set("name", name).set("limit", limit).change()?,
                COLUMNS,
            ),
            Self::Raise { id, by, until, reason } => {
                let body = json!({"amount": by, "until": until, "reason": reason});
                Request::post(format!("{}/raises", one(&id)), body, COLUMNS)
            }
            Self::Lower { id } => Request::delete(format!("{}/raises", one(&id))),
            Self::Delete { id } => Request::delete(one(&id)),
        })
    }
}
