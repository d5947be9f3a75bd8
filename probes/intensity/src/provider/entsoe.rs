//! The transparency platform of ENTSO-E.
//!
//! `GET /api?documentType=A75&processType=A16&in_Domain={EIC}&periodStart=&periodEnd=&securityToken=` gives actual
//! generation by type (Regulation (EU) 543/2013, article 16.1.b and c) as XML, or as a ZIP of it. It knows no carbon:
//! the intensity is the mean of published factors, weighted by generation. So it is that of production inside the
//! zone, without trade, and always called an estimate. Values come an hour or more late.
//! <https://transparencyplatform.zendesk.com>, "Web API".

mod document;
mod fuel;
mod mix;
mod zip;

use wattline_core::Timestamp;

use super::{Asking, Provider, Told};
use crate::failure::FetchError;
use crate::moment;
use crate::secret::Secret;
use crate::web::{Proof, Web};

use document::Document;

/// Where the provider itself is.
pub(crate) const ENDPOINT: &str = "https://web-api.tp.entsoe.eu";

/// Generation is asked for as far back as a value may be used, and an hour more, because the platform answers in whole
/// hours.
const HISTORY_SECONDS: u64 = 7 * 3600;

/// A bidding zone or a country of ENTSO-E.
#[derive(Debug)]
pub(crate) struct EntsoE {
    pub(crate) web: Web,
    /// Its energy identification code.
    pub(crate) domain: String,
}

impl Provider for EntsoE {
    fn ask<'a>(&'a mut self, key: Option<&'a Secret>, now: Timestamp) -> Asking<'a> {
        Box::pin(async move {
            let Some(key) = key else {
                return Err(FetchError::Denied { what: "ENTSO-E wants a security token".to_owned() });
            };
            let end = moment::ahead(moment::floor(now, 3600), 3600);
            let start = Timestamp::from_unix_nanos(end.unix_nanos().saturating_sub(HISTORY_SECONDS * 1_000_000_000));
            let (start, end) = (moment::compact(start), moment::compact(end));
            let query = [
                ("documentType", "A75"),
                ("processType", "A16"),
                ("in_Domain", self.domain.as_str()),
                ("periodStart", start.as_str()),
                ("periodEnd", end.as_str()),
            ];
            let answer = self.web.get(&["api"], &query, Proof::Query("securityToken", key), now).await?;
            Ok(Told { date: answer.date, ..parse(&answer.body)? })
        })
    }
}

/// Reads XML or a ZIP of XML files.
pub(crate) fn parse(body: &[u8]) -> Result<Told, FetchError> {
    let mut document = Document::default();
    if zip::is_zip(body) {
        for file in
            zip::files(body).map_err(|what| FetchError::Failed { what: format!("the ZIP of ENTSO-E: {what}") })?
        {
            document.read(&file)?;
        }
    } else {
        document.read(body)?;
    }
    mix::intensities(&document)
}

#[cfg(test)]
mod tests;
