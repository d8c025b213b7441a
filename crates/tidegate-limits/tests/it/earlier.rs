//! Nodes of earlier releases beside this one's: their recorded scripts, asked as those nodes asked them.
//!
//! `tests/recorded` has what each recorded release (`proto/recorded`) runs in Redis. A later release that changes what
//! keys mean changes it for nodes of these releases, too, while an installation is upgraded or taken back.

use tidegate_limits::{End, Hold};
use tidegate_testkit::redis::Server;
use tidegate_types::BudgetId;
use tidegate_types::resource::OpeningBalance;

use crate::support::{ORGANIZATION, month};

/// What one release runs.
pub(crate) struct Release {
    pub(crate) name: &'static str,
    admit: &'static str,
    settle: &'static str,
    epoch: &'static str,
    /// It knows what nodes have in advance.
    exchange: Option<&'static str>,
}

/// Recorded releases, the oldest first.
pub(crate) const RELEASES: [Release; 2] = [
    Release {
        name: "5519950",
        admit: include_str!("../recorded/0.1.0-5519950/admit.lua"),
        settle: include_str!("../recorded/0.1.0-5519950/settle.lua"),
        epoch: include_str!("../recorded/0.1.0-5519950/epoch.lua"),
        exchange: None,
    },
    Release {
        name: "d42f526",
        admit: include_str!("../recorded/0.1.0-d42f526/admit.lua"),
        settle: include_str!("../recorded/0.1.0-d42f526/settle.lua"),
        epoch: include_str!("../recorded/0.1.0-d42f526/epoch.lua"),
        exchange: Some(include_str!("../recorded/0.1.0-d42f526/exchange.lua")),
    },
];

/// What a node of such a release is told of a hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Placed,
    /// A budget has too little left: what it says is spent, held, unresolved, and its limit.
    Refused([i64; 4]),
    NoEpoch,
}

/// What such a node has of one budget in advance, as it keeps book of it.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Advance {
    number: u64,
    pub(crate) granted: i64,
    pub(crate) spent: i64,
}

/// A node of an earlier release.
pub(crate) struct Node<'a> {
    pub(crate) release: &'static Release,
    pub(crate) server: &'a Server,
    /// The process of Redis.
    pub(crate) run: String,
}

fn key(rest: &str) -> String {
    format!("tg:{{{}}}:{rest}", ORGANIZATION.ulid())
}

fn field(budget: BudgetId) -> String {
    format!("{}:{}", budget.ulid(), month().start.as_micros())
}

fn millis(at: tidegate_types::Timestamp) -> String {
    (at.as_micros() / 1_000).to_string()
}

impl Node<'_> {
    fn run(&self, script: &str, keys: &[String], arguments: &[String]) -> Vec<i64> {
        let count = keys.len().to_string();
        let mut words = vec!["EVAL", script, &count];
        words.extend(keys.iter().chain(arguments).map(String::as_str));
        let said = self.server.command(&words).unwrap();
        let number = |line: &str| line.parse().unwrap_or_else(|_| panic!("{}: {said}", self.release.name));
        said.lines().map(number).collect()
    }

    fn hold_keys(&self, hold: &Hold) -> (Vec<String>, String) {
        let member = format!("{}:{}", hold.call_id.ulid(), hold.attempt);
        let mut keys = vec![key("e"), key(&format!("h:{member}")), key("d")];
        keys.extend(hold.budgets.iter().map(|part| key(&format!("b:{}", field(part.budget_id)))));
        (keys, member)
    }

    /// Opens an epoch, its marker named as that release names it.
    pub(crate) fn open(&self, epoch: u64, balances: &[OpeningBalance]) {
        let head = |step: &str| {
            [step, &epoch.to_string(), &self.run, &format!("7.{epoch:x}")].map(str::to_owned).to_vec()
        };
        let expiry = millis(month().end);
        assert_eq!(self.run(self.release.epoch, &[key("e"), key("d")], &head("begin")), [0]);
        for balance in balances {
            let amounts = [balance.spent, balance.unresolved].map(|amount| amount.get().to_string());
            let arguments = [head("balance"), amounts.to_vec(), vec![expiry.clone()]].concat();
            let keys = [key("e"), key(&format!("b:{}", field(balance.budget_id)))];
            assert_eq!(self.run(self.release.epoch, &keys, &arguments), [0]);
        }
        assert_eq!(self.run(self.release.epoch, &[key("e"), key("d")], &head("finish")), [0]);
    }

    /// Places a hold.
    pub(crate) fn place(&self, hold: &Hold) -> Answer {
        let (keys, member) = self.hold_keys(hold);
        let count = hold.budgets.len().to_string();
        let deadline = millis(hold.deadline);
        let expiry = millis(month().end);
        let mut arguments = [&count, "0", "0", &hold.epoch.to_string(), &self.run, &hold.step.to_string()]
            .map(str::to_owned)
            .to_vec();
        arguments.extend([deadline, expiry.clone(), member]);
        for part in &hold.budgets {
            let hard = u8::from(part.hard).to_string();
            let amounts = [part.amount, part.limit].map(|amount| amount.get().to_string());
            let revision = part.limit_revision.to_string();
            arguments.extend([field(part.budget_id), hard]);
            arguments.extend(amounts);
            arguments.extend([revision, expiry.clone()]);
        }
        match *self.run(self.release.admit, &keys, &arguments) {
            [0, ..] => Answer::Placed,
            [3, _, _, spent, held, unresolved, limit, ..] => {
                Answer::Refused([spent, held, unresolved, limit])
            }
            [4, ..] => Answer::NoEpoch,
            ref other => panic!("{}: {other:?}", self.release.name),
        }
    }

    /// Ends an attempt; whether there was an epoch to do so under.
    pub(crate) fn settle(&self, hold: &Hold, end: End) -> bool {
        let (keys, member) = self.hold_keys(hold);
        let (ending, cost) = match end {
            End::Spent(cost) => ("s", cost.get()),
            End::Void => ("v", 0),
            End::Unresolved => ("u", 0),
        };
        let mut arguments =
            [&self.run, &hold.epoch.to_string(), ending, &cost.to_string(), "300", &member, "3600000"]
                .map(str::to_owned)
                .to_vec();
        for part in &hold.budgets {
            arguments.extend([field(part.budget_id), millis(month().end)]);
        }
        self.run(self.release.settle, &keys, &arguments) == [0]
    }

    /// Tells what it has spent of its grant, keeps `keep` of it and wants `want` more, of a budget with this limit.
    pub(crate) fn exchange(
        &self,
        epoch: u64,
        (budget, limit): (BudgetId, i64),
        advance: &mut Advance,
        keep: i64,
        want: i64,
    ) {
        let Some(script) = self.release.exchange else { return };
        advance.number += 1;
        let record = key(&format!("n:9:{}", field(budget)));
        let keys = [key("e"), key(&format!("b:{}", field(budget))), record];
        let numbers = [1, advance.spent, 0, advance.spent + keep, want, 1, limit, 1];
        let mut arguments = [&epoch.to_string(), &self.run, &advance.number.to_string(), "4", "50"]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(numbers.map(|number| number.to_string()));
        arguments.push(millis(month().end));
        match *self.run(script, &keys, &arguments) {
            [0, _, granted, ..] => advance.granted = granted,
            ref other => panic!("{}: {other:?}", self.release.name),
        }
    }
}
