//! Asking once, with the key as it is now, and judging the answer.

use std::time::Duration;

use wattline_core::reading::{IntensityKind, IntensityReading};
use wattline_core::{Seconds, Timestamp};

use crate::check::{Checked, SKEW_MAX, check};
use crate::failure::FetchError;
use crate::local;
use crate::moment;
use crate::plan::{Key, Plan};
use crate::secret::Secret;

/// Longer keys are no keys: the tokens of all providers are shorter than a line.
const KEY_BYTES_MAX: u64 = 8 << 10;

/// Asks one provider about one zone.
#[derive(Debug)]
pub(crate) struct Asker {
    plan: Plan,
    /// The key that was accepted last.
    accepted: Option<Secret>,
    /// The key that was refused last.
    refused: Option<Secret>,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) checked: Checked,
    /// What is current, for a person.
    pub(crate) found: String,
    /// Why nothing of it can be used now, if so.
    pub(crate) useless: Option<String>,
    /// How much the provider's clock is ahead of ours, in seconds; below zero when it is behind. `None` as long as the
    /// difference is small.
    pub(crate) skew_seconds: Option<f64>,
}

impl Asker {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, accepted: None, refused: None }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Asks once.
    pub(crate) async fn ask(&mut self, now: Timestamp) -> Result<Heard, FetchError> {
        let key = self.key().await?;
        match self.plan.provider.ask(key.as_ref(), now).await {
            Ok(told) => {
                let date = told.date;
                self.accepted = key;
                self.refused = None;
                Ok(self.judge(check(told, &self.plan.zone, self.plan.source, now), date, now))
            }
            // A key that was good is not suddenly bad: some providers answer so when they throttle.
            Err(FetchError::Denied { what }) if key.is_some() && key == self.accepted => {
                Err(FetchError::Throttled { after: None, what: format!("{what} (the key was accepted before)") })
            }
            Err(error) => {
                if matches!(error, FetchError::Denied { .. }) {
                    self.refused = key;
                }
                Err(error)
            }
        }
    }

    /// True when there is another key than the one that was refused.
    pub(crate) async fn has_new_key(&self) -> bool {
        matches!(self.plan.key, Key::File(_)) && self.key().await.is_ok_and(|key| key.is_some() && key != self.refused)
    }

    async fn key(&self) -> Result<Option<Secret>, FetchError> {
        let path = match &self.plan.key {
            Key::Nowhere => return Ok(None),
            Key::Given(secret) => return Ok(Some(secret.clone())),
            Key::File(path) => path,
        };
        let denied = |what: String| FetchError::Denied { what: format!("carbon.live.key_file: {what}") };
        let bytes = local::read(path.clone(), KEY_BYTES_MAX, self.plan.timeout).await.map_err(denied)?;
        let text = String::from_utf8(bytes)
            .map_err(|_secret| denied(format!("{} does not hold plain text", path.display())))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(denied(format!("{} is empty", path.display())));
        }
        Ok(Some(Secret::new(text)))
    }

    fn judge(&self, checked: Checked, date: Option<Timestamp>, now: Timestamp) -> Heard {
        let Plan { zone, max_age, .. } = &self.plan;
        let skew_seconds = date.map(|date| date.since(now).get() - now.since(date).get());
        let skew_seconds = skew_seconds.filter(|skew| skew.abs() > SKEW_MAX.get());
        let begun = checked.readings.iter().filter(|reading| reading.from <= now);
        let newest = begun.max_by_key(|reading| (reading.until.min(now), reading.from));
        let useless = match newest {
            None if checked.readings.is_empty() => Some(format!("there is no usable value for {zone}")),
            None => Some(format!("all values for {zone} begin later than now")),
            Some(reading) if now.since(reading.until) > seconds(*max_age) => {
                let end = moment::minutes(reading.until);
                Some(format!("the newest value for {zone} ended at {end}, longer ago than max_age"))
            }
            Some(_) => None,
        };
        // Whichever of the two is told, a wrong clock explains much.
        let clock = skew_seconds.map_or_else(String::new, |skew| {
            format!("; the provider's clock differs from this machine's by {skew:.0} s")
        });
        let found = newest.map_or_else(|| zone.to_string(), describe) + &clock;
        let useless = useless.map(|why| why + &clock);
        Heard { checked, found, useless, skew_seconds }
    }
}

fn describe(reading: &IntensityReading) -> String {
    let IntensityReading { zone, source: _, kind, grams, from, until, estimated } = reading;
    let (from, until) = (moment::minutes(*from), moment::minutes(*until));
    let kind = match kind {
        IntensityKind::Average => "",
        IntensityKind::Marginal => ", marginal",
    };
    let estimated = if *estimated { ", estimated" } else { "" };
    format!("{zone}: {:.0} gCO2e/kWh from {from} to {until}{kind}{estimated}", grams.get())
}

fn seconds(duration: Duration) -> Seconds {
    Seconds::new(duration.as_secs_f64())
}
