//! Prices of tokens of the user's own: negotiated ones, and those of models that no public list has.
//!
//! A TOML file of rows, prices in USD for a million tokens:
//!
//! ```toml
//! [[price]]
//! model = "us.anthropic.claude-sonnet-4-5*" # as calls name it; * stands for any characters
//! provider = "aws.bedrock"                  # by default any
//! tier = "flex"                             # by default the list price's tier
//! from = 2026-10-01                         # UTC; by default always
//! input = 3.0
//! output = 15.0
//! cache_read = 0.3                          # by default the price of input
//! cache_write = 3.75                        # by default the price of input
//! cache_write_1h = 6.0                      # by default the price of cache_write
//! ```
//!
//! A row that fits wins over the public list. Of several the one whose model has most characters wins, then one that
//! names the provider, then the one with the latest date that is not after the call; of equals the last in the file.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;
use wattline_core::Timestamp;

use super::did_you_mean;
use crate::inference::PerMillion;
use crate::inference::price::list::{seller, tier, without_address};

/// The highest price taken for one that was meant, in USD for a million tokens.
const MOST_USD: f64 = 1e6;

/// Rows that are read at most: a new model's price looks at all of them.
const MOST_ROWS: usize = 10_000;

/// Prices of tokens of the user's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PriceBook {
    rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    /// In lower case, as all names here.
    model: String,
    provider: Option<String>,
    tier: Option<String>,
    from: Timestamp,
    rates: PerMillion,
}

/// Why a file of prices is refused: where, and what would be right. Lines and columns are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct PriceFileError {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// What is wrong, and what is expected.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    price: Vec<Spanned<Written>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    model: Spanned<String>,
    provider: Option<Spanned<String>>,
    tier: Option<Spanned<String>>,
    from: Option<Spanned<Datetime>>,
    input: Spanned<f64>,
    output: Spanned<f64>,
    cache_read: Option<Spanned<f64>>,
    cache_write: Option<Spanned<f64>>,
    cache_write_1h: Option<Spanned<f64>>,
}

/// What is wrong, and where in the text.
type Fault = (Range<usize>, String);

impl PriceBook {
    /// Reads a file. The first fault is told; nothing of a faulty file is taken.
    pub fn parse(text: &str) -> Result<Self, PriceFileError> {
        Self::read(text).map_err(|(span, message)| {
            let before = text.get(..span.start).unwrap_or(text);
            let line = before.rsplit('\n').next().unwrap_or("");
            let (line, column) = (before.matches('\n').count() + 1, line.chars().count() + 1);
            PriceFileError { line, column, message }
        })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True without any row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rates of a sale. `tier` is `None` for the list price's tier.
    pub(crate) fn find(&self, provider: &str, model: &str, tier: Option<&str>, at: Timestamp) -> Option<PerMillion> {
        if self.rows.is_empty() {
            return None;
        }
        let (provider, tier) = (seller(provider), tier.map(str::to_lowercase));
        let names = [model.trim(), without_address(model)].map(str::to_lowercase);
        let fits = |row: &&Row| {
            row.from <= at
                && row.tier == tier
                && row.provider.as_ref().is_none_or(|named| *named == provider)
                && names.iter().any(|name| glob(&row.model, name))
        };
        self.rows.iter().filter(fits).max_by_key(|row| row.rank()).map(|row| row.rates)
    }

    fn read(text: &str) -> Result<Self, Fault> {
        let file: File = toml::from_str(text).map_err(|error| {
            let meant = unknown_key(error.message()).unwrap_or_default();
            (error.span().unwrap_or(0..0), format!("{}{meant}", error.message()))
        })?;
        let (mut rows, mut lines) = (Vec::new(), BTreeMap::new());
        for written in file.price {
            let span = written.span();
            if rows.len() == MOST_ROWS {
                return Err((span, format!("a row too many: expected at most {MOST_ROWS}")));
            }
            let row = Row::read(written.into_inner())?;
            let key = (row.model.clone(), row.provider.clone(), row.tier.clone(), row.from);
            if let Some(earlier) = lines.insert(key, span.start) {
                let line = text.get(..earlier).unwrap_or("").matches('\n').count() + 1;
                let wanted = "expected another model, provider, tier or from";
                return Err((span, format!("the row at line {line} is for the same: {wanted}")));
            }
            rows.push(row);
        }
        Ok(Self { rows })
    }
}

impl Row {
    fn read(written: Written) -> Result<Self, Fault> {
        let Written { model, provider, tier: word, from, input, output, cache_read, cache_write, cache_write_1h } =
            written;
        let (input, output) = (usd(&input)?, usd(&output)?);
        let cache_read = cache_read.as_ref().map_or(Ok(input), usd)?;
        let cache_write = cache_write.as_ref().map_or(Ok(input), usd)?;
        let cache_write_1h = cache_write_1h.as_ref().map_or(Ok(cache_write), usd)?;
        let word = word.as_ref().map(|word| name("tier", word)).transpose()?;
        Ok(Self {
            model: name("model", &model)?,
            provider: provider
                .as_ref()
                .map(|provider| name("provider", provider))
                .transpose()?
                .map(|name| seller(&name)),
            tier: tier(word.as_deref()).map(str::to_owned),
            from: from.as_ref().map_or(Ok(Timestamp::default()), midnight)?,
            rates: PerMillion { input, cache_read, cache_write, cache_write_1h, output, reasoning: output },
        })
    }

    /// The larger wins.
    fn rank(&self) -> (usize, bool, bool, Timestamp) {
        let stars = self.model.matches('*').count();
        (self.model.len() - stars, stars == 0, self.provider.is_some(), self.from)
    }
}

fn usd(written: &Spanned<f64>) -> Result<f64, Fault> {
    let usd = *written.get_ref();
    if (0.0..=MOST_USD).contains(&usd) {
        Ok(usd)
    } else {
        Err((written.span(), format!("{usd}: expected USD for a million tokens, 0 to {MOST_USD}")))
    }
}

fn name(key: &str, written: &Spanned<String>) -> Result<String, Fault> {
    let name = written.get_ref().trim().to_lowercase();
    if name.is_empty() { Err((written.span(), format!("{key}: expected a name"))) } else { Ok(name) }
}

/// Midnight UTC of a date that is written without a time.
fn midnight(written: &Spanned<Datetime>) -> Result<Timestamp, Fault> {
    let wrong = || (written.span(), format!("{}: expected a date such as 2026-10-01, from 1970 on", written.get_ref()));
    let (Some(date), None) = (written.get_ref().date, written.get_ref().time) else { return Err(wrong()) };
    let small = |number: u8| i8::try_from(number).unwrap_or(0);
    let midnight = i16::try_from(date.year)
        .ok()
        .and_then(|year| Date::new(year, small(date.month), small(date.day)).ok())
        .and_then(|date| jiff::tz::Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok())
        .and_then(|midnight| u64::try_from(midnight.as_nanosecond()).ok());
    midnight.map(Timestamp::from_unix_nanos).ok_or_else(wrong)
}

/// Whether a name is what a pattern describes, in which `*` stands for any characters, and for none.
fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}

/// The guess for a key that does not exist, from the parser's words.
fn unknown_key(message: &str) -> Option<String> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    let nearest = super::nearest(wrong, quoted);
    nearest.first().map(|name| did_you_mean(&[name]))
}

#[cfg(test)]
mod tests;
