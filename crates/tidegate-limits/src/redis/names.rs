//! Names of keys and members in Redis. Every key of an organization carries `{<its ULID>}`, so
//! that all of them live in one hash slot and one script may touch them together.

use smallvec::SmallVec;
use tidegate_types::window::Window;
use tidegate_types::{BudgetId, CallId, OrganizationId};

use crate::admit::RateScope;
use crate::error::RateKind;

/// A key or member, built without an allocation.
pub(super) type Name = SmallVec<[u8; 112]>;

/// The keys of one organization: `tg:{<ulid>}:…`.
pub(super) struct Names {
    prefix: [u8; 32],
}

impl Names {
    pub(super) fn of(organization: OrganizationId) -> Self {
        let mut prefix = *b"tg:{..........................}:";
        prefix[4..30].copy_from_slice(&organization.ulid_bytes());
        Self { prefix }
    }

    fn key(&self, kind: u8) -> Name {
        let mut name = Name::from_slice(&self.prefix);
        name.push(kind);
        name
    }

    /// Epoch marker: `<epoch> <run id> <nonce>`.
    pub(super) fn epoch(&self) -> Name {
        self.key(b'e')
    }

    /// Windows that the epoch has begun, by when their counters may be forgotten (ZSET).
    pub(super) fn windows(&self) -> Name {
        self.key(b'w')
    }

    /// Open holds by deadline (ZSET).
    pub(super) fn deadlines(&self) -> Name {
        self.key(b'd')
    }

    /// A hold (hash).
    pub(super) fn hold(&self, member: &[u8]) -> Name {
        let mut name = self.key(b'h');
        name.push(b':');
        name.extend_from_slice(member);
        name
    }

    /// Counters of a budget's window (hash); `field` is [`budget_field`].
    pub(super) fn budget(&self, field: &[u8]) -> Name {
        let mut name = self.key(b'b');
        name.push(b':');
        name.extend_from_slice(field);
        name
    }

    /// What one process has of a budget's window in advance (hash).
    pub(super) fn grant(&self, process: u64, field: &[u8]) -> Name {
        let mut name = self.key(b'n');
        name.push(b':');
        name.extend_from_slice(itoa::Buffer::new().format(process).as_bytes());
        name.push(b':');
        name.extend_from_slice(field);
        name
    }

    /// The records of what one process has in advance, and the budgets of each (hash).
    pub(super) fn grants(&self, mark: &[u8]) -> Name {
        let mut name = self.key(b'm');
        name.push(b':');
        name.extend_from_slice(mark);
        name
    }

    /// Like [`Self::grant`], of a process that never said anything of this window.
    pub(super) fn late_grant(&self, mark: &[u8], field: &[u8]) -> Name {
        let mut name = self.key(b'n');
        name.push(b':');
        name.extend_from_slice(mark);
        name.push(b':');
        name.extend_from_slice(field);
        name
    }

    /// A bucket's TAT (string).
    pub(super) fn bucket(&self, kind: RateKind, scope: RateScope) -> Name {
        let kind = match kind {
            RateKind::Requests => b'r',
            RateKind::Tokens => b't',
        };
        self.scoped(kind, scope)
    }

    /// What processes have of a bucket in advance (hash).
    pub(super) fn advances(&self, kind: RateKind, scope: RateScope) -> Name {
        let kind = match kind {
            RateKind::Requests => b'p',
            RateKind::Tokens => b'q',
        };
        self.scoped(kind, scope)
    }

    /// Calls in flight by expiry (ZSET).
    pub(super) fn slots(&self, scope: RateScope) -> Name {
        self.scoped(b'c', scope)
    }

    /// Numbers of processes' last messages about slots that they have in advance (hash).
    pub(super) fn slot_numbers(&self, scope: RateScope) -> Name {
        self.scoped(b's', scope)
    }

    fn scoped(&self, kind: u8, scope: RateScope) -> Name {
        let mut name = self.key(kind);
        let (letter, ulid) = match scope {
            RateScope::Organization => (b'o', None),
            RateScope::Team(id) => (b't', Some(id.ulid_bytes())),
            RateScope::Key(id) => (b'k', Some(id.ulid_bytes())),
            RateScope::Credential(id) => (b'c', Some(id.ulid_bytes())),
            RateScope::Model(id) => (b'm', Some(id.ulid_bytes())),
        };
        name.extend_from_slice(b":");
        name.push(letter);
        if let Some(ulid) = ulid {
            name.extend_from_slice(&ulid);
        }
        name
    }
}

/// A hold among an organization's deadlines: `<call>:<attempt>`.
pub(super) fn member(call: CallId, attempt: u16) -> Name {
    let mut name = Name::from_slice(&call.ulid_bytes());
    name.push(b':');
    name.extend_from_slice(itoa::Buffer::new().format(attempt).as_bytes());
    name
}

/// A budget's window among the fields of a hold: `<budget>:<start in microseconds>`.
pub(super) fn budget_field(budget: BudgetId, window: Window) -> Name {
    let mut name = Name::from_slice(&budget.ulid_bytes());
    name.push(b':');
    name.extend_from_slice(itoa::Buffer::new().format(window.start.as_micros()).as_bytes());
    name
}

#[cfg(test)]
mod tests {
    use tidegate_types::{KeyId, TeamId, Timestamp};

    use super::*;

    /// CRC16 (XMODEM) of the hash tag, modulo 16384: the Redis Cluster specification.
    fn slot(key: &[u8]) -> u16 {
        let open = key.iter().position(|b| *b == b'{').map_or(0, |at| at + 1);
        let close = key.iter().position(|b| *b == b'}').unwrap_or(key.len());
        let crc = key[open..close].iter().fold(0u16, |crc, byte| {
            (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            })
        });
        crc % 16384
    }

    fn all_keys(organization: OrganizationId, seed: u128) -> Vec<Name> {
        let names = Names::of(organization);
        let start = Timestamp::from_micros(i64::try_from(seed % 1_000_000_007).unwrap_or(0));
        let window = Window { start, end: Timestamp::from_micros(i64::MAX) };
        let scopes = [
            RateScope::Organization,
            RateScope::Team(TeamId::from_u128(seed)),
            RateScope::Key(KeyId::from_u128(seed)),
            RateScope::Credential(tidegate_types::CredentialId::from_u128(seed)),
            RateScope::Model(tidegate_types::ModelId::from_u128(seed)),
        ];
        let mut keys = vec![
            names.epoch(),
            names.windows(),
            names.deadlines(),
            names.hold(&member(CallId::from_u128(seed), 7)),
            names.budget(&budget_field(BudgetId::from_u128(seed), window)),
            names.grant(u64::MAX - 1, &budget_field(BudgetId::from_u128(seed), window)),
            names.grants(b"01ARZ3NDEKTSV4RRFFQ69G5FAV:7"),
            names.late_grant(
                b"01ARZ3NDEKTSV4RRFFQ69G5FAV:7",
                &budget_field(BudgetId::from_u128(seed), window),
            ),
        ];
        for scope in scopes {
            keys.push(names.bucket(RateKind::Requests, scope));
            keys.push(names.bucket(RateKind::Tokens, scope));
            keys.push(names.slots(scope));
            keys.push(names.advances(RateKind::Requests, scope));
            keys.push(names.slot_numbers(scope));
            keys.push(names.advances(RateKind::Tokens, scope));
        }
        keys
    }

    #[test]
    fn slot_function_agrees_with_the_specification() {
        assert_eq!(slot(b"{123456789}"), 0x31C3);
        assert_eq!(crate::redis::slot::of_tag(b"123456789"), 0x31C3);
        assert_eq!(crate::redis::slot::of_fleet(), usize::from(slot(b"tg:{fleet}:news")));
    }

    #[test]
    fn all_keys_of_an_organization_share_one_slot_and_none_are_equal() {
        let mut slots = std::collections::BTreeSet::new();
        for n in 0..200u128 {
            let organization =
                OrganizationId::from_u128(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
            let keys = all_keys(organization, n << 70 | n);
            let expected = slot(&keys[0]);
            assert_eq!(crate::redis::slot::of(organization), usize::from(expected));
            assert!(keys.iter().all(|key| slot(key) == expected && key.starts_with(b"tg:{")));
            let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
            assert_eq!(distinct.len(), keys.len());
            slots.insert(expected);
        }
        // Positive control: organizations do spread.
        assert!(slots.len() > 150);
    }
}
