//! A file of the user's, for places without a network, for contracts with their own figures, and for tests.
//!
//! It is read again for every question, so that whoever writes it need not tell. Two forms, told apart by the ending:
//!
//! `.csv`: a head that names the columns, then a row for each interval. Lines that begin with `#` are passed over.
//!
//! ```text
//! from,until,grams,estimated,kind
//! 2026-11-22T13:00Z,2026-11-22T14:00Z,302,false,average
//! ```
//!
//! `.json`: a list of objects with the same names.
//!
//! ```text
//! [{"from": "2026-11-22T13:00Z", "until": "2026-11-22T14:00Z", "grams": 302, "estimated": true}]
//! ```
//!
//! `from` and `until` are RFC 3339 with an offset; `grams` is gCO2e/kWh. `estimated` (default `false`) and `kind`
//! (`average`, the default, or `marginal`) may be left out. Unlike with a provider, a row or a column that cannot be
//! read is an error with its line: the file is somebody's to mend. The values that were read before stay.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use wattline_core::Timestamp;
use wattline_core::reading::IntensityKind;

use super::{Asking, Point, Provider, Told, no_data};
use crate::failure::FetchError;
use crate::local;
use crate::moment;
use crate::secret::{Secret, clean};

/// Larger files are not read: a year of quarter hours is 2 MB.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A file, and how it is written.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) form: Form,
    pub(crate) timeout: Duration,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Rows with a head.
    Csv,
    /// A list of objects.
    Json,
}

impl Form {
    /// By the ending of the name.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

impl Provider for File {
    fn ask<'a>(&'a mut self, _key: Option<&'a Secret>, _now: Timestamp) -> Asking<'a> {
        Box::pin(async move {
            let bytes = local::read(self.path.clone(), FILE_BYTES_MAX, self.timeout)
                .await
                .map_err(|what| FetchError::Failed { what })?;
            let told = parse(&bytes, self.form)
                .map_err(|what| FetchError::Failed { what: format!("reading {}: {what}", self.path.display()) })?;
            if told.points.is_empty() {
                return Err(no_data(format!("{} holds no interval", self.path.display())));
            }
            Ok(told)
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    from: String,
    until: String,
    grams: f64,
    #[serde(default)]
    estimated: bool,
    #[serde(default)]
    kind: Kind,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Average,
    Marginal,
}

impl Row {
    fn point(self) -> Result<Point, String> {
        let moment = |name: &str, text: &str| {
            let problem = || format!("{name} is {:?}, not a time such as 2026-11-22T13:00Z", clean(text, []));
            moment::parse(text).ok_or_else(problem)
        };
        let (from, until) = (moment("from", &self.from)?, moment("until", &self.until)?);
        let kind = match self.kind {
            Kind::Average => IntensityKind::Average,
            Kind::Marginal => IntensityKind::Marginal,
        };
        Ok(Point { kind, grams: self.grams, from, until, estimated: self.estimated })
    }
}

pub(crate) fn parse(bytes: &[u8], form: Form) -> Result<Told, String> {
    let points = match form {
        Form::Json => {
            let rows: Vec<Row> = serde_json::from_slice(bytes).map_err(|error| clean(&error.to_string(), []))?;
            let numbered = rows.into_iter().zip(1_u64..);
            let points = numbered.map(|(row, number)| row.point().map_err(|what| format!("interval {number}: {what}")));
            points.collect::<Result<Vec<_>, _>>()?
        }
        Form::Csv => csv(std::str::from_utf8(bytes).map_err(|error| error.to_string())?)?,
    };
    Ok(Told { points, ..Told::default() })
}

fn csv(text: &str) -> Result<Vec<Point>, String> {
    let lines = text.trim_start_matches('\u{feff}').lines().zip(1_u64..);
    let mut lines = lines.map(|(line, number)| (line.trim(), number)).filter(|(line, _)| {
        let is_comment = line.starts_with('#');
        !is_comment && !line.is_empty()
    });
    let Some((head, number)) = lines.next() else { return Err("there is no head that names the columns".to_owned()) };
    let head: Vec<&str> = head.split(',').map(str::trim).collect();
    for name in &head {
        if !["from", "until", "grams", "estimated", "kind"].contains(name) {
            return Err(format!("line {number}: there is no column {:?}", clean(name, [])));
        }
    }
    for needed in ["from", "until", "grams"] {
        if head.iter().filter(|name| **name == needed).count() != 1 {
            return Err(format!("line {number}: the column {needed} must be there once"));
        }
    }
    lines.map(|(line, number)| row(line, &head).map_err(|what| format!("line {number}: {what}"))).collect()
}

fn row(line: &str, head: &[&str]) -> Result<Point, String> {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    if cells.len() != head.len() {
        return Err(format!("there are {} cells under {} names", cells.len(), head.len()));
    }
    let cell = |name: &str| {
        let mut columns = head.iter().zip(&cells);
        columns.find(|(column, _)| **column == name).map(|(_, cell)| *cell).unwrap_or_default()
    };
    let wrong = |name: &str, words: &str| format!("{name} is {:?}, not {words}", clean(cell(name), []));
    let row = Row {
        from: cell("from").to_owned(),
        until: cell("until").to_owned(),
        grams: cell("grams").parse().map_err(|_number| wrong("grams", "a number"))?,
        estimated: match cell("estimated") {
            "" | "false" => false,
            "true" => true,
            _ => return Err(wrong("estimated", "true or false")),
        },
        kind: match cell("kind") {
            "" | "average" => Kind::Average,
            "marginal" => Kind::Marginal,
            _ => return Err(wrong("kind", "average or marginal")),
        },
    };
    row.point()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let csv = parse(include_bytes!("../../testdata/file/series.csv"), Form::Csv).unwrap();
        let json = parse(include_bytes!("../../testdata/file/series.json"), Form::Json).unwrap();
        assert_eq!(csv, json);
        assert_eq!(csv.points.len(), 3);
        assert_eq!(csv.points[1].kind, IntensityKind::Average);
        assert!(csv.points[1].estimated && !csv.points[0].estimated);
        assert_eq!(csv.points[2].kind, IntensityKind::Marginal);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        let head = "from,until,grams\n";
        for (text, expected) in [
            ("", "no head"),
            ("from,until\n", "line 1: the column grams must be there once"),
            ("from,until,grams,colour\n", "line 1: there is no column \"colour\""),
            ("# x\n\nfrom,until,grams\n1,2\n", "line 4: there are 2 cells under 3 names"),
            (&format!("{head}2026-11-22T13:00Z,2026-11-22T14:00Z,much"), "line 2: grams is \"much\""),
            (&format!("{head}yesterday,2026-11-22T14:00Z,1"), "line 2: from is \"yesterday\""),
        ] {
            let problem = parse(text.as_bytes(), Form::Csv).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        let problem = parse(b"[{\"from\": \"x\", \"untill\": 3}]", Form::Json).unwrap_err();
        assert!(problem.contains("untill") && problem.contains("line 1 column"), "{problem}");
        let problem = parse(br#"[{"from":"x","until":"y","grams":3}]"#, Form::Json).unwrap_err();
        assert!(problem.starts_with("interval 1: from is"), "{problem}");
    }

    #[test]
    fn the_ending_tells_the_form() {
        assert_eq!(Form::of(Path::new("/a/b.CSV")), Some(Form::Csv));
        assert_eq!(Form::of(Path::new("b.json")), Some(Form::Json));
        assert_eq!(Form::of(Path::new("/a/csv")), None);
    }

    proptest! {
        #[test]
        fn no_file_is_a_panic(bytes: Vec<u8>, text: String) {
            for form in [Form::Csv, Form::Json] {
                let _told = parse(&bytes, form);
                let _told = parse(format!("from,until,grams\n{text}").as_bytes(), form);
            }
        }
    }
}
