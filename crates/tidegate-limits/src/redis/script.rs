//! The scripts, and building calls of them.

use redis::{Cmd, Pipeline};

/// One script: its text and the name under which the server caches it.
pub(super) struct Script {
    code: &'static str,
    sha: String,
}

impl Script {
    fn new(code: &'static str) -> Self {
        Self { code, sha: redis::Script::new(code).get_hash().to_owned() }
    }

    /// Begins a call; keys, then arguments, are to be added.
    pub(super) fn call(&self, keys: usize, arguments: usize) -> Cmd {
        let mut command = Cmd::with_capacity(3 + keys + arguments, 64 + 76 * keys + 20 * arguments);
        command.arg("EVALSHA").arg(self.sha.as_str()).arg(keys);
        command
    }
}

/// Every script of the limiter.
pub(super) struct Scripts {
    pub(super) admit: Script,
    pub(super) settle: Script,
    pub(super) release: Script,
    pub(super) renew: Script,
    pub(super) epoch: Script,
    pub(super) present: Script,
    pub(super) balances: Script,
    pub(super) exchange: Script,
    pub(super) reclaim: Script,
    pub(super) rates: Script,
    pub(super) slots: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            admit: Script::new(concat!(
                include_str!("scripts/windows.lua"),
                include_str!("scripts/admit.lua")
            )),
            settle: Script::new(concat!(
                include_str!("scripts/windows.lua"),
                include_str!("scripts/settle.lua")
            )),
            release: Script::new(include_str!("scripts/release.lua")),
            renew: Script::new(include_str!("scripts/renew.lua")),
            epoch: Script::new(concat!(
                include_str!("scripts/windows.lua"),
                include_str!("scripts/epoch.lua")
            )),
            present: Script::new(include_str!("scripts/present.lua")),
            balances: Script::new(concat!(
                include_str!("scripts/windows.lua"),
                include_str!("scripts/balances.lua")
            )),
            exchange: Script::new(concat!(
                include_str!("scripts/windows.lua"),
                include_str!("scripts/exchange.lua")
            )),
            reclaim: Script::new(concat!(
                include_str!("scripts/windows.lua"),
                include_str!("scripts/reclaim.lua")
            )),
            rates: Script::new(include_str!("scripts/rates.lua")),
            slots: Script::new(include_str!("scripts/slots.lua")),
        }
    }

    /// Makes the server know every script.
    pub(super) fn load(&self, pipeline: &mut Pipeline) {
        let Self { admit, settle, release, renew, epoch, present, .. } = self;
        let Self { balances, exchange, reclaim, rates, slots, .. } = self;
        for script in
            [admit, settle, release, renew, epoch, present, balances, exchange, reclaim, rates, slots]
        {
            pipeline.cmd("SCRIPT").arg("LOAD").arg(script.code);
        }
    }
}
