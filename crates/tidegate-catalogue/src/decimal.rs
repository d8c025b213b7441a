//! Prices from their text: exact, without floats.
//!
//! Price files write `0.0375` per million tokens or `1.25e-07` per token. Knows nothing of units.

use tidegate_types::PicoUsd;

/// Decimal places of a pico-USD.
const PICO: i32 = 12;
/// Longest run of digits that is read; longer ones are no prices.
const MOST_DIGITS: usize = 30;

/// Why a text is not a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not a JSON number, or below zero.
    #[error("is not a price")]
    NotPrice,
    /// It has parts below a pico-USD.
    #[error("is finer than a pico-USD")]
    TooFine,
    /// More than fits.
    #[error("is out of range")]
    OutOfRange,
}

/// The price of one unit, where `text` (a JSON number) is the price of `per` units in USD.
///
/// # Errors
/// [`DecimalError`] when it is no price or cannot be expressed exactly.
pub fn price_of_one(text: &str, per: u32) -> Result<PicoUsd, DecimalError> {
    let (numerator, denominator) = fraction(text, per)?;
    if numerator % denominator != 0 {
        return Err(DecimalError::TooFine);
    }
    narrowed(numerator / denominator)
}

/// As [`price_of_one`], rounded up to the next pico-USD: for units whose size does not divide the
/// quoted one, such as seconds of an hour.
///
/// # Errors
/// [`DecimalError`] when it is no price or out of range.
pub fn price_rounded_up(text: &str, per: u32) -> Result<PicoUsd, DecimalError> {
    let (numerator, denominator) = fraction(text, per)?;
    narrowed(numerator / denominator + u128::from(numerator % denominator != 0))
}

fn narrowed(pico: u128) -> Result<PicoUsd, DecimalError> {
    i64::try_from(pico).map(PicoUsd::new).map_err(|_| DecimalError::OutOfRange)
}

/// `text / per` in pico-USD as a fraction.
fn fraction(text: &str, per: u32) -> Result<(u128, u128), DecimalError> {
    let (digits, exponent) = scaled(text)?;
    let places = exponent.checked_add(PICO).ok_or(DecimalError::OutOfRange)?;
    let power = 10u128.checked_pow(places.unsigned_abs());
    let per = u128::from(per.max(1));
    if digits == 0 {
        return Ok((0, 1));
    }
    let power = power.ok_or(if places < 0 { DecimalError::TooFine } else { DecimalError::OutOfRange })?;
    if places < 0 {
        let denominator = power.checked_mul(per).ok_or(DecimalError::TooFine)?;
        Ok((digits, denominator))
    } else {
        Ok((digits.checked_mul(power).ok_or(DecimalError::OutOfRange)?, per))
    }
}

/// A JSON number as digits and a power of ten.
fn scaled(text: &str) -> Result<(u128, i32), DecimalError> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().map_err(|_| DecimalError::NotPrice)?),
        None => (text, 0i32),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = whole.len() + fraction.len();
    let decimal = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || digits > MOST_DIGITS || !decimal(whole) || !decimal(fraction) {
        return Err(DecimalError::NotPrice);
    }
    let value = whole
        .bytes()
        .chain(fraction.bytes())
        .try_fold(0u128, |sum, digit| sum.checked_mul(10)?.checked_add(u128::from(digit - b'0')))
        .ok_or(DecimalError::OutOfRange)?;
    let places = i32::try_from(fraction.len()).map_err(|_| DecimalError::OutOfRange)?;
    Ok((value, exponent.checked_sub(places).ok_or(DecimalError::OutOfRange)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_per_million_is_exact() {
        assert_eq!(price_of_one("0.0375", 1_000_000), Ok(PicoUsd::new(37_500)));
        assert_eq!(price_of_one("1.25e-07", 1), Ok(PicoUsd::new(125_000)));
        assert_eq!(price_of_one("1E-5", 1), Ok(PicoUsd::new(10_000_000)));
        assert_eq!(price_of_one("10", 1_000), Ok(PicoUsd::new(10_000_000_000)));
        assert_eq!(price_of_one("0.0", 1_000), Ok(PicoUsd::ZERO));
    }

    #[test]
    fn what_is_too_fine_is_said_so_and_may_be_rounded_up() {
        assert_eq!(price_of_one("0.111", 3_600), Err(DecimalError::TooFine));
        assert_eq!(price_rounded_up("0.111", 3_600), Ok(PicoUsd::new(30_833_334)));
        assert_eq!(price_of_one("1e-13", 1), Err(DecimalError::TooFine));
        assert_eq!(price_of_one("1e-999999999", 1), Err(DecimalError::TooFine));
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for text in ["", "-1", "abc", "1.2.3", "1e", "null", "1e99999999999", ".5"] {
            assert_eq!(price_of_one(text, 1), Err(DecimalError::NotPrice), "{text}");
        }
        assert_eq!(price_of_one("1e30", 1), Err(DecimalError::OutOfRange));
        assert_eq!(price_of_one("99999999", 1), Err(DecimalError::OutOfRange));
    }
}
