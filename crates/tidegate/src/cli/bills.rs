//! Cost exports of real providers: amounts by day, without a line for each call.
//!
//! Sources: OpenAI's `GET /v1/organization/costs` (amounts in USD as JSON numbers), Anthropic's
//! `GET /v1/organizations/cost_report` (amounts in cents as decimal texts), AWS' Cost and Usage Reports
//! (legacy and 2.0 column names), and FOCUS files of whoever writes them.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use tidegate_types::{NanoUsd, Timestamp};

/// What was billed for a span of time: sums by first and last instant.
pub(super) type Buckets = BTreeMap<(Timestamp, Timestamp), NanoUsd>;

/// Amounts as decimal texts of any length, also `6e-05`, in units of 10^`shift` USD: to the nearest
/// nano-USD.
fn amount(text: &str, shift: i32) -> anyhow::Result<NanoUsd> {
    let text = text.trim().trim_matches('"');
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().context("an exponent")?),
        None => (text, 0),
    };
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, fraction].concat();
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
    ensure!(plain && (1..=36).contains(&digits.len()), "{text:?} is not an amount");
    let digits: i128 = digits.parse().with_context(|| format!("{text:?} is not an amount"))?;
    // So many places must go (or come) until the last digit is a nano-USD.
    let places = i32::try_from(fraction.len())? - exponent - shift - 9;
    let scaled = match u32::try_from(places) {
        Ok(places) if places > 38 => 0,
        Ok(places) => {
            let unit = 10i128.pow(places);
            (digits + unit / 2).div_euclid(unit)
        }
        Err(_) => digits
            .checked_mul(10i128.checked_pow(places.unsigned_abs()).context("an amount out of range")?)
            .context("an amount out of range")?,
    };
    let nano = i64::try_from(scaled).context("an amount out of range")?;
    Ok(NanoUsd::new(if negative { -nano } else { nano }))
}

fn add(buckets: &mut Buckets, span: (Timestamp, Timestamp), cost: NanoUsd) -> anyhow::Result<()> {
    ensure!(span.0 < span.1, "a span of time that ends before it begins");
    *buckets.entry(span).or_default() += cost;
    Ok(())
}

#[derive(Deserialize)]
struct OpenaiPage {
    data: Vec<OpenaiBucket>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct OpenaiBucket {
    start_time: i64,
    end_time: i64,
    results: Vec<OpenaiResult>,
}

#[derive(Deserialize)]
struct OpenaiResult {
    amount: OpenaiAmount,
}

#[derive(Deserialize)]
struct OpenaiAmount {
    value: Box<RawValue>,
    currency: String,
}

/// OpenAI's costs, one page of the answer.
pub(super) fn openai(text: &str) -> anyhow::Result<Buckets> {
    let page: OpenaiPage = serde_json::from_str(text).context("read OpenAI's costs")?;
    ensure!(!page.has_more, "the file is one page of several: ask with a larger limit");
    let mut buckets = Buckets::new();
    for bucket in page.data {
        let span = (Timestamp::from_seconds(bucket.start_time), Timestamp::from_seconds(bucket.end_time));
        buckets.entry(span).or_default();
        for result in bucket.results {
            let currency = &result.amount.currency;
            ensure!(currency.eq_ignore_ascii_case("usd"), "amounts in {currency}, not in USD");
            add(&mut buckets, span, amount(result.amount.value.get(), 0)?)?;
        }
    }
    Ok(buckets)
}

#[derive(Deserialize)]
struct AnthropicPage {
    data: Vec<AnthropicBucket>,
    has_more: bool,
}

#[derive(Deserialize)]
struct AnthropicBucket {
    starting_at: Timestamp,
    ending_at: Timestamp,
    results: Vec<AnthropicResult>,
}

#[derive(Deserialize)]
struct AnthropicResult {
    amount: String,
    currency: String,
}

/// Anthropic's cost report, one page of the answer. Priority Tier is not on it.
pub(super) fn anthropic(text: &str) -> anyhow::Result<Buckets> {
    let page: AnthropicPage = serde_json::from_str(text).context("read Anthropic's cost report")?;
    ensure!(!page.has_more, "the file is one page of several: ask with a larger limit");
    let mut buckets = Buckets::new();
    for bucket in page.data {
        let span = (bucket.starting_at, bucket.ending_at);
        buckets.entry(span).or_default();
        for result in bucket.results {
            ensure!(result.currency == "USD", "amounts in {}, not in USD", result.currency);
            add(&mut buckets, span, amount(&result.amount, -2)?)?;
        }
    }
    Ok(buckets)
}

/// Names of the columns that are read.
struct Names {
    start: &'static [&'static str],
    cost: &'static [&'static str],
    currency: &'static [&'static str],
    service: &'static [&'static str],
}

/// AWS' Cost and Usage Report: the lines of one service (`AmazonBedrock`), summed by UTC day.
pub(super) fn aws(text: &str, service: &str) -> anyhow::Result<Buckets> {
    by_day(
        text,
        service,
        &Names {
            start: &["line_item_usage_start_date", "lineItem/UsageStartDate"],
            cost: &["line_item_unblended_cost", "lineItem/UnblendedCost"],
            currency: &["line_item_currency_code", "lineItem/CurrencyCode"],
            service: &["line_item_product_code", "lineItem/ProductCode"],
        },
    )
}

/// A FOCUS file: the lines of one service, summed by UTC day.
pub(super) fn focus(text: &str, service: &str) -> anyhow::Result<Buckets> {
    by_day(
        text,
        service,
        &Names {
            start: &["ChargePeriodStart"],
            cost: &["BilledCost"],
            currency: &["BillingCurrency"],
            service: &["ServiceName"],
        },
    )
}

const DAY: i64 = 86_400;

fn by_day(text: &str, service: &str, names: &Names) -> anyhow::Result<Buckets> {
    let mut lines = csv(text)?.into_iter();
    let head = lines.next().context("the file is empty")?;
    let column = |wanted: &[&str]| {
        let place = head.iter().position(|name| wanted.contains(&name.trim_start_matches('\u{feff}')));
        place.with_context(|| format!("the file has no column {}", wanted.join(" or ")))
    };
    let (start, cost) = (column(names.start)?, column(names.cost)?);
    let (currency, product) = (column(names.currency)?, column(names.service)?);
    let mut buckets = Buckets::new();
    for (number, line) in lines.enumerate() {
        let field = |place: usize| line.get(place).map_or("", String::as_str);
        if !field(product).to_lowercase().contains(&service.to_lowercase()) || field(cost).is_empty() {
            continue;
        }
        let number = number + 2;
        ensure!(field(currency) == "USD", "line {number}: an amount in {}, not in USD", field(currency));
        // `2026-11-01T00:00:00Z`, also with a space and without a zone: then it is UTC.
        let written = field(start).replacen(' ', "T", 1);
        let written = if written.ends_with('Z') || written.contains('+') { written } else { written + "Z" };
        let at: Timestamp = written.parse().ok().with_context(|| format!("line {number}: a time"))?;
        let day = at.as_seconds().div_euclid(DAY) * DAY;
        let span = (Timestamp::from_seconds(day), Timestamp::from_seconds(day + DAY));
        add(&mut buckets, span, amount(field(cost), 0).with_context(|| format!("line {number}"))?)?;
    }
    if buckets.is_empty() {
        bail!("no line of the file is of service {service:?}");
    }
    Ok(buckets)
}

/// Lines of a CSV file with quoted fields (RFC 4180).
fn csv(text: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let (mut lines, mut line, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut characters) = (false, text.chars().peekable());
    while let Some(character) = characters.next() {
        match (character, quoted) {
            ('"', true) if characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            ('"', true) => quoted = false,
            ('"', false) if field.is_empty() => quoted = true,
            (',', false) => line.push(std::mem::take(&mut field)),
            ('\r', false) if characters.peek() == Some(&'\n') => {}
            ('\n', false) => {
                line.push(std::mem::take(&mut field));
                lines.push(std::mem::take(&mut line));
            }
            (other, _) => field.push(other),
        }
    }
    ensure!(!quoted, "a quoted field does not end");
    if !field.is_empty() || !line.is_empty() {
        line.push(field);
        lines.push(line);
    }
    lines.retain(|line| line.iter().any(|field| !field.is_empty()));
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(buckets: &Buckets) -> Vec<(String, i64)> {
        buckets.iter().map(|((from, _), cost)| (from.to_string(), cost.get())).collect()
    }

    #[test]
    fn amounts_are_read_without_floats() {
        for (text, shift, nano) in [
            ("0.06", 0, 60_000_000),
            ("6e-05", 0, 60_000),
            ("1.5E+2", 0, 150_000_000_000),
            ("0.0600000000000000012", 0, 60_000_000),
            ("123.45", -2, 1_234_500_000),
            ("-0.0000000005", 0, -1),
            ("0.00000000049", 0, 0),
            ("9007199.254740993", 0, (1 << 53) + 1),
            ("100000.000000001", 0, 100_000_000_000_001),
            ("1e-60", 0, 0),
        ] {
            assert_eq!(amount(text, shift).unwrap().get(), nano, "{text}");
        }
        for text in ["", "much", "1e99", "--1", "1.2.3", "NaN"] {
            assert!(amount(text, 0).is_err(), "{text}");
        }
    }

    #[test]
    fn openais_costs_are_summed_by_bucket() {
        let text = r#"{"object": "page", "data": [{"object": "bucket", "start_time": 1730419200, "end_time": 1730505600,
            "results": [{"object": "organization.costs.result", "amount": {"value": 0.06, "currency": "usd"},
                "line_item": "gpt-5, input", "project_id": null},
                {"object": "organization.costs.result", "amount": {"value": 1e-05, "currency": "usd"}}]},
            {"object": "bucket", "start_time": 1730505600, "end_time": 1730592000, "results": []}],
            "has_more": false, "next_page": null}"#;
        let expected =
            [("2024-11-01T00:00:00Z".to_owned(), 60_010_000), ("2024-11-02T00:00:00Z".to_owned(), 0)];
        assert_eq!(sums(&openai(text).unwrap()), expected);
        assert!(openai(&text.replace("\"has_more\": false", "\"has_more\": true")).is_err());
        assert!(openai(&text.replace("usd", "eur")).is_err());
    }

    #[test]
    fn anthropics_amounts_are_cents() {
        let text = r#"{"data": [{"starting_at": "2026-11-01T00:00:00Z", "ending_at": "2026-11-02T00:00:00Z",
            "results": [{"amount": "123.45", "currency": "USD", "cost_type": "tokens", "description": "Claude usage"},
                {"amount": "0.005", "currency": "USD"}]}], "has_more": false, "next_page": null}"#;
        assert_eq!(sums(&anthropic(text).unwrap()), [("2026-11-01T00:00:00Z".to_owned(), 1_234_550_000)]);
        assert!(anthropic(r#"{"error": {"type": "not_found"}}"#).is_err());
    }

    #[test]
    fn aws_reports_of_both_generations_are_summed_by_day() {
        for (start, cost, currency, code) in [
            (
                "line_item_usage_start_date",
                "line_item_unblended_cost",
                "line_item_currency_code",
                "line_item_product_code",
            ),
            (
                "lineItem/UsageStartDate",
                "lineItem/UnblendedCost",
                "lineItem/CurrencyCode",
                "lineItem/ProductCode",
            ),
        ] {
            let text = format!(
                "note,{start},{cost},{currency},{code}\r\n\"a, \"\"b\"\"\",2026-11-01T00:00:00Z,0.5,USD,AmazonBedrock\r\n\
                 ,2026-11-01T23:00:00.000Z,0.25,USD,AmazonBedrock\r\n,2026-11-02 01:00:00,1,USD,AmazonBedrock\r\n\
                 ,2026-11-02T00:00:00Z,99,USD,AmazonS3\r\n"
            );
            let expected = [
                ("2026-11-01T00:00:00Z".to_owned(), 750_000_000),
                ("2026-11-02T00:00:00Z".to_owned(), 1_000_000_000),
            ];
            assert_eq!(sums(&aws(&text, "bedrock").unwrap()), expected);
            assert!(aws(&text, "lambda").is_err());
        }
        assert!(aws("a,b\n1,2\n", "x").is_err());
        assert!(csv("\"open").is_err());
    }

    #[test]
    fn a_focus_file_is_read_whoever_wrote_it() {
        let text = "\u{feff}BilledCost,BillingCurrency,ChargePeriodStart,ServiceName\n0.1,USD,2026-11-01T05:00:00Z,Azure OpenAI\n";
        assert_eq!(sums(&focus(text, "openai").unwrap()), [("2026-11-01T00:00:00Z".to_owned(), 100_000_000)]);
    }
}
