//! A report as it is written.

use std::fmt::Write;

use anyhow::Result;

use super::{Account, Entry};
use crate::cli::{Format, Shape};
use crate::units;

/// The names of the columns in CSV and of the members in JSON.
const COLUMNS: [&str; 12] = [
    "name",
    "energy_j",
    "carbon_operational_g",
    "carbon_embodied_g",
    "cost_usd",
    "method",
    "calls",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
];

impl Account {
    /// The report in the format that was asked for.
    pub fn written(&self, shape: &Shape) -> Result<String> {
        let top = usize::try_from(shape.top).unwrap_or(usize::MAX);
        Ok(match shape.format {
            _ if shape.json => serde_json::to_string_pretty(self)? + "\n",
            Format::Json => serde_json::to_string_pretty(self)? + "\n",
            Format::Csv => self.csv(),
            Format::Text => self.text(top),
            Format::Markdown => self.markdown(top),
        })
    }

    fn csv(&self) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let mut page = format!("{}\n", COLUMNS.join(","));
        for Entry {
            name,
            energy_j,
            carbon_operational_g,
            carbon_embodied_g,
            cost_usd,
            method,
            calls,
            input_tokens,
            cache_read_tokens,
            cache_write_tokens,
            output_tokens,
            reasoning_tokens,
        } in self.rows.iter().chain([&self.total])
        {
            let optional = |value: &Option<f64>| value.map_or_else(String::new, |value| value.to_string());
            let method = method.map_or("", |method| method.as_str());
            let tokens = [input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens];
            let calls = [calls].into_iter().chain(tokens).map(optional).collect::<Vec<_>>().join(",");
            let name = quoted(name);
            writeln!(page, "{name},{energy_j},{carbon_operational_g},{carbon_embodied_g},{cost_usd},{method},{calls}")
                .ok();
        }
        page
    }

    /// The rows as cells, the heads first. What is beyond `top` rows is in one.
    fn cells(&self, top: usize) -> Vec<Vec<String>> {
        let is_of_calls = self.total.calls.is_some();
        let mut heads = vec![self.by.to_uppercase()];
        if is_of_calls {
            heads.extend(["calls", "tokens in", "cached", "tokens out"].map(str::to_owned));
        }
        heads.extend(["energy", "share", "electricity", "embodied", "cost", "method"].map(str::to_owned));
        let cells = |entry: &Entry| {
            let mut cells = vec![entry.name.clone()];
            if is_of_calls {
                let count = |count: Option<f64>| format!("{:.0}", count.unwrap_or_default());
                let cached =
                    entry.cache_read_tokens.unwrap_or_default() / entry.input_tokens.unwrap_or_default().max(1.0);
                let cached = format!("{:.1} %", cached * 100.0);
                cells.extend([count(entry.calls), count(entry.input_tokens), cached, count(entry.output_tokens)]);
            }
            let share = if self.total.energy_j > 0.0 { entry.energy_j / self.total.energy_j * 100.0 } else { 0.0 };
            cells.extend([
                units::watt_hours(entry.energy_j),
                format!("{share:.1} %"),
                units::mass(entry.carbon_operational_g),
                units::mass(entry.carbon_embodied_g),
                dollars(entry.cost_usd),
                entry.method.map_or("-", |method| method.as_str()).to_owned(),
            ]);
            cells
        };
        let mut table = vec![heads];
        table.extend(self.rows.iter().take(top).map(cells));
        let beyond = self.rows.get(top..).unwrap_or_default();
        if !beyond.is_empty() {
            let name = format!("({} more)", beyond.len());
            table.push(cells(&beyond.iter().fold(Entry { name, ..Entry::default() }, Entry::plus)));
        }
        table.push(cells(&self.total));
        table
    }

    fn heading(&self) -> String {
        let Self { since, until, resolution, covered, .. } = self;
        let mut heading = format!("{since} to {until}, by whole {resolution}s");
        if let Some([first, last]) = covered {
            write!(heading, "; the books have {first} to {last}").ok();
        }
        heading
    }

    fn range(&self) -> Option<String> {
        let range = |value: f64, factor: f64, show: fn(f64) -> String| {
            let (_, range) = units::ranged(value, value / factor, value * factor, show);
            range
        };
        let energy = range(self.total.energy_j, self.energy_factor?, units::watt_hours);
        let carbon = self.total.carbon_operational_g + self.total.carbon_embodied_g;
        let carbon = self.carbon_factor.map(|factor| format!(", carbon {}", range(carbon, factor, units::mass)));
        Some(format!("90 % range of the total: energy {energy}{}", carbon.unwrap_or_default()))
    }

    fn text(&self, top: usize) -> String {
        let cells = self.cells(top);
        let width = |column: usize| {
            let widths = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            widths.max().unwrap_or_default()
        };
        let mut page = format!("{}\n\n", self.heading());
        for row in &cells {
            for (column, cell) in row.iter().enumerate() {
                let width = width(column);
                // Names and methods are read from the left, figures from the right.
                let is_word = column == 0 || column + 1 == row.len();
                if is_word { write!(page, "{cell:<width$}") } else { write!(page, "  {cell:>width$}") }.ok();
                if column + 2 == row.len() {
                    page.push_str("  ");
                }
            }
            page.truncate(page.trim_end().len());
            page.push('\n');
        }
        if let Some(range) = self.range() {
            write!(page, "\n{range}\n").ok();
        }
        page
    }

    fn markdown(&self, top: usize) -> String {
        let mut page = format!("{}\n\n", self.heading());
        for (number, row) in self.cells(top).iter().enumerate() {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            writeln!(page, "| {} |", cells.join(" | ")).ok();
            if number == 0 {
                let last = row.len().saturating_sub(1);
                let line = |column| if column == 0 || column == last { "---" } else { "--:" };
                writeln!(page, "|{}|", (0..row.len()).map(line).collect::<Vec<_>>().join("|")).ok();
            }
        }
        if let Some(range) = self.range() {
            write!(page, "\n{range}\n").ok();
        }
        page
    }
}

impl Entry {
    fn plus(self, other: &Self) -> Self {
        let add = |a: Option<f64>, b: Option<f64>| {
            Some(a.unwrap_or_default() + b.unwrap_or_default()).filter(|_| b.is_some())
        };
        Self {
            name: self.name,
            energy_j: self.energy_j + other.energy_j,
            carbon_operational_g: self.carbon_operational_g + other.carbon_operational_g,
            carbon_embodied_g: self.carbon_embodied_g + other.carbon_embodied_g,
            cost_usd: self.cost_usd + other.cost_usd,
            method: self.method.max(other.method),
            calls: add(self.calls, other.calls),
            input_tokens: add(self.input_tokens, other.input_tokens),
            cache_read_tokens: add(self.cache_read_tokens, other.cache_read_tokens),
            cache_write_tokens: add(self.cache_write_tokens, other.cache_write_tokens),
            output_tokens: add(self.output_tokens, other.output_tokens),
            reasoning_tokens: add(self.reasoning_tokens, other.reasoning_tokens),
        }
    }
}

/// Four digits that count: a day of a small machine is a fraction of a cent.
fn dollars(value: f64) -> String {
    if value == 0.0 || value >= 1.0 {
        return format!("{value:.2} USD");
    }
    let digits = (-value.log10()).ceil().clamp(0.0, 9.0) + 3.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 3 and 12")]
    let digits = digits as usize;
    format!("{value:.digits$} USD")
}
