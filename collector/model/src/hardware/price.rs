//! What an instance costs on demand, and the user's own prices.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use wattline_core::{Text, UsdPerHour};

use crate::grid::table::Table;

pub(super) const TABLE: Table = Table::new(include_str!("../../data/ec2_price.csv"));

/// The first line of a user's file of prices.
const HEADER: [&str; 3] = ["region", "instance_type", "usd_per_hour"];

/// The region in a user's file that stands for all without a line of their own.
const ANYWHERE: &str = "*";

/// More lines than all types in all regions have.
const MOST_LINES: usize = 100_000;

/// No instance costs more for an hour; a figure above is another currency or another unit.
const HIGHEST_USD_PER_HOUR: f64 = 10_000.0;

/// Where prices of a region that the table does not have are taken from, in this order.
const STAND_INS: [&str; 3] = ["us-east-1", "us-gov-west-1", "us-gov-east-1"];

/// What an instance costs.
#[derive(Clone, Debug, PartialEq)]
pub struct InstancePrice {
    /// For an hour, used or not.
    pub usd_per_hour: UsdPerHour,
    /// The region that the price holds in; `*` for the user's price of all regions.
    pub region: Text,
    /// The day it was read, `2026-07-20`; `None` for the user's own.
    pub date: Option<Text>,
    /// Who published it; `configured` for the user's own.
    pub source: Text,
    /// It is the price of another region. Regions differ by up to a half, so it is a hint, not the price.
    pub estimated: bool,
}

/// What an instance costs on demand with Linux, of the table inside the program. `region` may be an availability zone.
///
/// A region that the table does not have is answered with another region's price, named and flagged as estimated. A type
/// that it does not have has no price: a guess would be taken for one.
pub fn price(provider: &str, region: &str, name: &str) -> Option<InstancePrice> {
    if !provider.trim().eq_ignore_ascii_case("aws") {
        return None;
    }
    let name = name.trim().to_ascii_lowercase();
    let region = region.trim().to_ascii_lowercase();
    let zone = region.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let exact = row(&region, &name).or_else(|| row(zone, &name));
    let row = exact.or_else(|| STAND_INS.iter().find_map(|region| row(region, &name)))?;
    Some(InstancePrice {
        usd_per_hour: UsdPerHour::new(row.usd_per_hour),
        region: Text::Static(row.region),
        date: Some(Text::Static(row.date)),
        source: Text::Static(row.source),
        estimated: exact.is_none(),
    })
}

fn row(region: &str, name: &str) -> Option<Row> {
    let prices: &BTreeMap<(&str, &str), Row> = &PRICES;
    prices.get(&(region, name)).copied()
}

pub(super) static PRICES: LazyLock<BTreeMap<(&'static str, &'static str), Row>> =
    LazyLock::new(|| TABLE.rows().filter_map(Row::parse).map(|row| ((row.region, row.name), row)).collect());

#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) region: &'static str,
    pub(super) name: &'static str,
    pub(super) usd_per_hour: f64,
    pub(super) date: &'static str,
    source: &'static str,
}

impl Row {
    fn parse([region, name, usd, date, source, _year, _licence]: [&'static str; 7]) -> Option<Self> {
        Some(Self { region, name, usd_per_hour: usd.parse().ok()?, date, source })
    }
}

/// The user's own prices: what they really pay, or regions that the table does not have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PriceFile {
    prices: BTreeMap<(String, String), UsdPerHour>,
}

/// Why a file of prices was not taken. Lines and columns count from one; a column is that of the first character.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceFileError {
    /// Something else was expected.
    #[error("line {line}, column {column}: expected {expected}, found `{found}`")]
    Unexpected {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
        /// What should stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A line says again what another says.
    #[error("line {line}, column 1: the price of {name} in {region} stands on line {first} already")]
    Duplicate {
        /// The line.
        line: usize,
        /// The line that has it.
        first: usize,
        /// Its region.
        region: String,
        /// Its type.
        name: String,
    },
    /// The file is longer than any list of prices.
    #[error("line {line}, column 1: expected the end of the file, which may have {MOST_LINES} lines")]
    TooLong {
        /// The first line that is too much.
        line: usize,
    },
}

impl PriceFile {
    /// Reads `region,instance_type,usd_per_hour` below a line that says just that. The region `*` is for all that have no
    /// line of their own. Empty lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// The first line that is not of that form, with the column and what was expected there.
    pub fn parse(text: &str) -> Result<Self, PriceFileError> {
        let mut file = Self::default();
        let mut first_lines: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut header_seen = false;
        for (index, raw) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = index + 1;
            if line > MOST_LINES {
                return Err(PriceFileError::TooLong { line });
            }
            if raw.trim().is_empty() || raw.trim_start().starts_with('#') {
                continue;
            }
            let fields = fields(raw, line)?;
            if !header_seen {
                header(&fields, line)?;
                header_seen = true;
                continue;
            }
            let (key, usd) = entry(&fields, line)?;
            if let Some(first) = first_lines.insert(key.clone(), line) {
                let (region, name) = key;
                return Err(PriceFileError::Duplicate { line, first, region, name });
            }
            file.prices.insert(key, usd);
        }
        Ok(file)
    }

    /// The user's price of a type in a region, else in all regions. Case does not matter.
    pub fn price(&self, region: &str, name: &str) -> Option<InstancePrice> {
        let name = name.trim().to_ascii_lowercase();
        [region.trim().to_ascii_lowercase(), ANYWHERE.to_owned()].into_iter().find_map(|region| {
            let key = (region, name.clone());
            Some(InstancePrice {
                usd_per_hour: *self.prices.get(&key)?,
                region: Text::from(key.0),
                date: None,
                source: Text::Static("configured"),
                estimated: false,
            })
        })
    }

    /// How many prices it has.
    pub fn len(&self) -> usize {
        self.prices.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.prices.is_empty()
    }
}

/// A field with the column of its first character.
type Field<'a> = (usize, &'a str);

fn fields(raw: &str, line: usize) -> Result<[Field<'_>; 3], PriceFileError> {
    let mut column = 1;
    let mut found = Vec::new();
    for field in raw.split(',') {
        let blank = field.chars().take_while(|c| c.is_whitespace()).count();
        found.push((column + blank, field.trim()));
        column += field.chars().count() + 1;
    }
    let extra = found.get(3).copied();
    <[Field<'_>; 3]>::try_from(found).map_err(|found| match extra {
        Some((column, field)) => unexpected(line, column, "the end of the line", field),
        None => {
            let next = if found.len() == 1 { "a comma and the instance type" } else { "a comma and the price" };
            unexpected(line, raw.chars().count() + 1, next, "")
        }
    })
}

fn header(fields: &[Field<'_>; 3], line: usize) -> Result<(), PriceFileError> {
    for ((column, field), wanted) in fields.iter().zip(HEADER) {
        if !field.eq_ignore_ascii_case(wanted) {
            let expected = "the names of the columns: region,instance_type,usd_per_hour";
            return Err(unexpected(line, *column, expected, field));
        }
    }
    Ok(())
}

fn entry(fields: &[Field<'_>; 3], line: usize) -> Result<((String, String), UsdPerHour), PriceFileError> {
    let [(at_region, region), (at_name, name), (at_price, price)] = *fields;
    let word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    if !word(region) {
        return Err(unexpected(line, at_region, "a region such as us-east-1, or * for all", region));
    }
    if !word(name) {
        return Err(unexpected(line, at_name, "an instance type such as m5.large", name));
    }
    let usd: f64 = price
        .parse()
        .ok()
        .filter(|usd| (0.0..=HIGHEST_USD_PER_HOUR).contains(usd))
        .ok_or_else(|| unexpected(line, at_price, "US dollars for an hour between 0 and 10000", price))?;
    Ok(((region.to_ascii_lowercase(), name.to_ascii_lowercase()), UsdPerHour::new(usd)))
}

fn unexpected(line: usize, column: usize, expected: &'static str, found: &str) -> PriceFileError {
    /// A message need not repeat a whole file that has no line breaks.
    const LONGEST: usize = 40;
    PriceFileError::Unexpected { line, column, expected, found: found.chars().take(LONGEST).collect() }
}
