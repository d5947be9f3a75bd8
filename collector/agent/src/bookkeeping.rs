//! What of the figures is kept in the ledger.

use serde_json::{Map, Value as Json};
use wattline_core::{Descriptor, Sample, Value, metrics};
use wattline_ledger::books::scale;
use wattline_ledger::{Observation, Series, Total};

/// The metrics whose growth is booked by the minute. What series held that ended is in the rows that they grew by, and
/// is not booked again.
pub fn booked() -> [&'static Descriptor; 15] {
    [
        metrics::HOST_ENERGY.descriptor(),
        metrics::HW_ENERGY.descriptor(),
        metrics::WORKLOAD_ENERGY.descriptor(),
        metrics::HOST_CARBON.descriptor(),
        metrics::HOST_CARBON_MARKET.descriptor(),
        metrics::WORKLOAD_CARBON.descriptor(),
        metrics::HOST_COST.descriptor(),
        metrics::WORKLOAD_COST.descriptor(),
        metrics::HOST_WATER.descriptor(),
        metrics::WORKLOAD_CPU_TIME.descriptor(),
        metrics::INFERENCE_ENERGY.descriptor(),
        metrics::INFERENCE_CARBON.descriptor(),
        metrics::INFERENCE_COST.descriptor(),
        metrics::INFERENCE_CALLS.descriptor(),
        metrics::INFERENCE_TOKENS.descriptor(),
    ]
}

/// The metrics of which each hour's mean, least and most are kept: what the reckoning of another course of things
/// stands on.
fn observed() -> [&'static Descriptor; 7] {
    [
        metrics::HW_POWER.descriptor(),
        metrics::HW_IDLE_POWER.descriptor(),
        metrics::SYSTEM_CPU_UTILIZATION.descriptor(),
        metrics::SYSTEM_MEMORY_UTILIZATION.descriptor(),
        metrics::WORKLOAD_MEMORY.descriptor(),
        metrics::CARBON_INTENSITY.descriptor(),
        metrics::UNCERTAINTY.descriptor(),
    ]
}

/// The totals to be booked. A distribution counts with its sum: of tokens, that is all tokens.
pub fn totals(samples: &[Sample]) -> Vec<Total> {
    let booked = booked();
    let booked = samples.iter().filter(|sample| booked.iter().any(|metric| std::ptr::eq(*metric, sample.metric)));
    booked
        .map(|sample| {
            let amount = match &sample.value {
                Value::Number(number) => *number,
                Value::Histogram(histogram) => histogram.sum(),
            };
            Total {
                series: series(sample),
                start: sample.period.start,
                amount: whole(amount * scale(sample.metric.unit)),
            }
        })
        .collect()
}

/// The values to be observed.
pub fn observations(samples: &[Sample]) -> Vec<Observation> {
    let observed = observed();
    let observed = samples.iter().filter(|sample| observed.iter().any(|metric| std::ptr::eq(*metric, sample.metric)));
    observed.filter_map(|sample| Some(Observation { series: series(sample), value: sample.number()? })).collect()
}

fn series(sample: &Sample) -> Series {
    let identity = sample.subject.identity();
    let labels = identity.iter().chain(&sample.attributes);
    let labels: Map<String, Json> =
        labels.map(|label| (label.key.to_owned(), Json::from(label.value.as_str()))).collect();
    Series { metric: sample.metric.name.to_owned(), labels: Json::from(labels).to_string() }
}

/// The nearest whole number. What is booked in integers is the same integer again below 2^51 (625 kWh, 2.2 t, 2.2 million
/// dollars in one series); beyond, it is as exact as the figure that was sent, to one part in 10^16.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and sums are positive")]
fn whole(amount: f64) -> u64 {
    amount.round() as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use wattline_core::sample::Period;
    use wattline_core::{Attribute, Instrument, MicroJoules, NanoUsd, Subject, Workload};

    use super::*;

    #[test]
    fn only_counters_and_distributions_are_booked_and_only_gauges_and_levels_observed() {
        for metric in booked() {
            assert!(matches!(metric.instrument, Instrument::Counter | Instrument::Histogram), "{}", metric.name);
        }
        for metric in observed() {
            assert!(matches!(metric.instrument, Instrument::Gauge | Instrument::UpDownCounter), "{}", metric.name);
        }
    }

    #[test]
    fn a_series_is_its_metric_and_its_labels_in_order() {
        let subject = Arc::new(Subject::Workload(Workload::Unit("a \"b\".service".into())));
        let labels = vec![Attribute::new("hw.type", "cpu"), Attribute::new("energy.state", "active")];
        let sample = metrics::WORKLOAD_ENERGY.sample(
            &subject,
            labels,
            Period { start: wattline_core::Timestamp::default(), at: wattline_core::Timestamp::default() },
            MicroJoules::new(7).quantity(),
        );
        let Total { series, amount: 7, .. } = &totals(&[sample])[0] else { panic!() };
        assert_eq!(
            series.labels,
            r#"{"energy.state":"active","hw.type":"cpu","systemd.unit":"a \"b\".service","workload.kind":"unit"}"#
        );
    }

    proptest! {
        #[test]
        fn what_was_booked_in_integers_is_the_same_integer_again(units in 0u64..1 << 51) {
            prop_assert_eq!(whole(MicroJoules::new(units).quantity().get() * scale("J")), units);
            prop_assert_eq!(whole(NanoUsd::new(units).quantity().get() * scale("{USD}")), units);
        }
    }
}
