//! What the destinations bill for what they are told.

use std::sync::Arc;

use wattline_core::attribute::{Attribute, key};
use wattline_core::sample::Period;
use wattline_core::{Instant, Sample, Seconds, Signal, Snapshot, Subject, metrics};
use wattline_export_cloudwatch::cost::{self, Bill};

use crate::config::Config;

/// The name of each destination whose prices are known, with its bill for a month of telling `snapshot`.
pub fn bills(config: &Config, snapshot: &Snapshot) -> Vec<(String, Bill)> {
    let otlp = config.exporters.otlp.iter().filter_map(|destination| {
        let endpoint = destination.metrics_endpoint.as_ref().unwrap_or(&destination.endpoint);
        let is_told = destination.signals.contains(&Signal::Metrics) && cost::takes_otlp(endpoint);
        is_told.then(|| (destination.name.clone(), Bill::of_otlp(snapshot, destination.interval)))
    });
    let emf = config.exporters.emf.iter().filter_map(|destination| {
        // A configuration that cannot work is refused elsewhere.
        Bill::of_emf(destination, snapshot).ok().map(|bill| (destination.name.clone(), bill))
    });
    otlp.chain(emf).collect()
}

/// A bill in words.
pub fn words(bill: &Bill) -> String {
    let Bill { bytes, metrics, usd } = *bill;
    let (gigabytes, usd) = (bytes / 1e9, usd.get());
    let each = if metrics > 0 { format!("{metrics} metrics and ") } else { String::new() };
    let cost::Price { source, year, .. } = cost::OTLP_METRICS;
    format!("about {usd:.2} USD a month for {each}{gigabytes:.2} GB ({source}, {year})")
}

/// The bills as figures, reckoned anew now and then: encoding all of it once more takes milliseconds.
#[derive(Debug, Default)]
pub struct Costs {
    bills: Vec<(String, Bill)>,
    reckoned_at: Option<Instant>,
}

impl Costs {
    const EVERY: Seconds = Seconds::new(600.0);

    /// Reckons at the next snapshot, because something has changed.
    pub const fn forget(&mut self) {
        self.reckoned_at = None;
    }

    /// One figure for each destination whose prices are known.
    pub fn samples(&mut self, config: &Config, snapshot: &Snapshot) -> Vec<Sample> {
        let now = snapshot.tick.at;
        if self.reckoned_at.is_none_or(|then| now.since(then).get() >= Self::EVERY.get()) {
            self.reckoned_at = Some(now);
            self.bills = bills(config, snapshot);
        }
        let (subject, wall) = (Arc::new(Subject::Wattline), snapshot.tick.wall);
        let sample = |(name, bill): &(String, Bill)| {
            let destination = vec![Attribute::new(key::WATTLINE_DESTINATION, name.clone())];
            let period = Period { start: wall, at: wall };
            metrics::WATTLINE_DESTINATION_COST.sample(&subject, destination, period, bill.usd)
        };
        self.bills.iter().map(sample).collect()
    }
}

#[cfg(test)]
mod tests {
    use wattline_core::{Joules, Tick, Timestamp};

    use super::*;

    fn snapshot(second: u64, figures: usize) -> Snapshot {
        let wall = Timestamp::from_unix_nanos(second * 1_000_000_000);
        let period = Period { start: wall, at: wall };
        let sample = |number: usize| {
            let subject = Arc::new(Subject::Workload(wattline_core::Workload::Unit(format!("u{number}").into())));
            metrics::WORKLOAD_ENERGY.sample(&subject, Vec::new(), period, Joules::new(1.0))
        };
        let tick = Tick { at: Instant::from_nanos(second * 1_000_000_000), wall };
        Snapshot { tick, resource: Vec::new(), samples: (0..figures).map(sample).collect() }
    }

    #[test]
    fn only_destinations_with_known_prices_have_a_bill() {
        let config = Config::parse(
            "[[exporters.otlp]]\nname = 'collector'\nendpoint = 'http://localhost:4318'\n\
             [[exporters.otlp]]\nname = 'aws'\nendpoint = 'https://monitoring.eu-west-1.amazonaws.com'\n\
             [[exporters.otlp]]\nname = 'spans'\nendpoint = 'https://monitoring.eu-west-1.amazonaws.com'\n\
             signals = ['traces']\n[[exporters.emf]]\n[[exporters.file]]\npath = '-'\n",
        );
        let bills = bills(&config.unwrap(), &snapshot(0, 3));
        assert_eq!(bills.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["aws", "emf"]);
        let words = words(&bills[1].1);
        assert!(words.starts_with("about 0.92 USD a month for 3 metrics and 0.03 GB (Amazon"), "{words}");
    }

    #[test]
    fn bills_are_reckoned_every_ten_minutes_and_after_a_change() {
        let config = Config::parse("[[exporters.emf]]").unwrap();
        let mut costs = Costs::default();
        let usd = |costs: &mut Costs, second, figures| {
            let samples = costs.samples(&config, &snapshot(second, figures));
            assert_eq!(samples[0].attribute("wattline.destination"), Some("emf"));
            samples[0].number().unwrap()
        };
        let first = usd(&mut costs, 0, 1);
        assert_eq!(usd(&mut costs, 599, 1000).to_bits(), first.to_bits());
        let second = usd(&mut costs, 600, 1000);
        assert!(second > 300.0 && first < 1.0);
        costs.forget();
        assert!(usd(&mut costs, 601, 1) < 1.0);
    }
}
