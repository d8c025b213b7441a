//! Money as integers. Prices are pico-USD per unit, amounts are nano-USD.
//!
//! Decimal strings exist only at the edges; no float ever carries money.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount in nano-USD (10⁻⁹ USD). Range about ±9.2 billion USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NanoUsd(i64);

/// A price in pico-USD (10⁻¹² USD) for one unit (a token, an image, a second, …).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PicoUsd(i64);

impl NanoUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX);

    /// From nano-USD.
    #[must_use]
    pub const fn new(nano: i64) -> Self {
        Self(nano)
    }

    /// In nano-USD.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Rounds a sum of pico-USD up to whole nano-USD, once. `None` when out of range.
    #[must_use]
    pub fn from_pico_rounded_up(pico: i128) -> Option<Self> {
        let nano = pico.div_euclid(1000) + i128::from(pico.rem_euclid(1000) != 0);
        i64::try_from(nano).ok().map(Self)
    }

    /// Sum, or `None` on overflow.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// Sum, held at the ends of the range.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Difference, held at the ends of the range.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl PicoUsd {
    /// Free.
    pub const ZERO: Self = Self(0);

    /// From pico-USD.
    #[must_use]
    pub const fn new(pico: i64) -> Self {
        Self(pico)
    }

    /// In pico-USD.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl Add for NanoUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}
impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
impl Sub for NanoUsd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.saturating_sub(other)
    }
}
impl SubAssign for NanoUsd {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}
impl Neg for NanoUsd {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}
impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

/// Why a text is not an amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not of the form `-?digits(.digits)?`.
    #[error("not a decimal number such as 12.50")]
    NotDecimal,
    /// More decimal places than the unit can carry.
    #[error("more than {0} decimal places")]
    TooPrecise(u32),
    /// Outside the range of the unit.
    #[error("out of range")]
    OutOfRange,
}

/// Reads a plain decimal (no exponent, no sign but `-`) scaled by 10^`places`.
fn parse_scaled(text: &str, places: u32) -> Result<i64, MoneyError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let well_formed = !whole.is_empty()
        && whole.bytes().all(|b| b.is_ascii_digit())
        && fraction.bytes().all(|b| b.is_ascii_digit())
        && (digits.len() == whole.len() || !fraction.is_empty());
    if !well_formed {
        return Err(MoneyError::NotDecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = (places as usize).checked_sub(fraction.len()).ok_or(MoneyError::TooPrecise(places))?;
    let scaled = whole
        .bytes()
        .chain(fraction.bytes())
        .chain(std::iter::repeat_n(b'0', missing))
        .try_fold(0i64, |sum, digit| sum.checked_mul(10)?.checked_add(i64::from(digit - b'0')))
        .ok_or(MoneyError::OutOfRange)?;
    Ok(if negative { -scaled } else { scaled })
}

/// Writes a scaled integer as a plain decimal without trailing zeros. From its last digit, without
/// formatting: it is done for every answer.
fn format_scaled(f: &mut fmt::Formatter<'_>, value: i64, places: u32) -> fmt::Result {
    // 19 digits at most, or as many as there are places and a zero before the point; point and sign.
    let mut text = [0; 24];
    let mut room = text.iter_mut().rev();
    let mut length = 0;
    let mut put = |byte: u8| {
        if let Some(slot) = room.next() {
            (*slot, length) = (byte, length + 1);
        }
    };
    let (mut left, mut place, mut fraction) = (value.unsigned_abs(), 0, false);
    while place <= places || left > 0 {
        let digit = (left % 10) as u8;
        if place == places && fraction {
            put(b'.');
        }
        fraction |= digit > 0;
        if place >= places || fraction {
            put(b'0' + digit);
        }
        (left, place) = (left / 10, place + 1);
    }
    if value < 0 {
        put(b'-');
    }
    let shown = text.get(text.len() - length..).unwrap_or_default();
    f.write_str(std::str::from_utf8(shown).map_err(|_| fmt::Error)?)
}

impl FromStr for NanoUsd {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        parse_scaled(text, 9).map(Self)
    }
}
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_scaled(f, self.0, 9)
    }
}
impl FromStr for PicoUsd {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        parse_scaled(text, 12).map(Self)
    }
}
impl fmt::Display for PicoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_scaled(f, self.0, 12)
    }
}

/// Serialised as a decimal string in USD.
impl Serialize for NanoUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for NanoUsd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
/// Serialised as a decimal string in USD per unit.
impl Serialize for PicoUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for PicoUsd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_without_trailing_zeros_and_read_back() {
        for (nano, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (-1, "-0.000000001"),
            (10, "0.00000001"),
            (120_000_000, "0.12"),
            (1_000_000_000, "1"),
            (-12_500_000_000, "-12.5"),
            (i64::MAX, "9223372036.854775807"),
            (i64::MIN + 1, "-9223372036.854775807"),
        ] {
            assert_eq!(NanoUsd::new(nano).to_string(), text);
            assert_eq!(text.parse(), Ok(NanoUsd::new(nano)));
        }
        assert_eq!(NanoUsd::new(i64::MIN).to_string(), "-9223372036.854775808");
        assert_eq!(PicoUsd::new(2_500_000).to_string(), "0.0000025");
    }
}
