//! What all providers have in common.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde::de::DeserializeOwned;
use wattline_core::Timestamp;
use wattline_core::reading::IntensityKind;

use crate::failure::FetchError;
use crate::secret::{Secret, clean};

pub(crate) mod constant;
pub(crate) mod electricity_maps;
pub(crate) mod energy_charts;
pub(crate) mod entsoe;
pub(crate) mod file;
pub(crate) mod uk;
pub(crate) mod watttime;

/// Tells the carbon intensity of one zone.
pub(crate) trait Provider: Send + Sync + fmt::Debug {
    /// Asks once. Called never twice at a time, in a task of its own; bounds its own time. May be dropped at any
    /// point, and asked again afterwards.
    fn ask<'a>(&'a mut self, key: Option<&'a Secret>, now: Timestamp) -> Asking<'a>;
}

/// A question under way.
pub(crate) type Asking<'a> = Pin<Box<dyn Future<Output = Result<Told, FetchError>> + Send + 'a>>;

/// What a provider told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    /// Values, not yet checked.
    pub(crate) points: Vec<Point>,
    /// Values that were there but could not be read, such as one with a wrong time.
    pub(crate) unreadable: u64,
    /// The provider's clock when it answered.
    pub(crate) date: Option<Timestamp>,
}

/// One value, as it was told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) kind: IntensityKind,
    pub(crate) grams: f64,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) estimated: bool,
}

impl Told {
    /// Adds a value, or counts it when it could not be read.
    pub(crate) fn push(&mut self, point: Option<Point>) {
        match point {
            Some(point) => self.points.push(point),
            None => self.unreadable = self.unreadable.saturating_add(1),
        }
    }
}

/// Reads JSON, and says what came instead.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, FetchError> {
    serde_json::from_slice(body).map_err(|error| {
        let what = if is_page(body) {
            "the answer is a page for a browser, not JSON; a proxy or a portal may stand between".to_owned()
        } else {
            // The words of serde name the place and may quote the value.
            format!("the answer is not the JSON that was expected: {}", clean(&error.to_string(), []))
        };
        FetchError::Failed { what }
    })
}

/// True for what is meant for a browser.
pub(crate) fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// A good answer without a value in it.
pub(crate) fn no_data(what: impl Into<String>) -> FetchError {
    FetchError::NoData { what: what.into() }
}
