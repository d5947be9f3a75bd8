//! The points of an export request of metrics, read in place: as much of them as tells of sums.
//!
//! Source: opentelemetry-proto 1.x, `metrics/v1/metrics.proto`.

use crate::protobuf::{Error, Field, Reader};
use crate::trace::{Attributes, last_message};

/// A point of a counter or of a histogram.
#[derive(Clone, Debug)]
pub struct Point<'a> {
    /// The name of its metric.
    pub name: &'a str,
    /// The sum: of a counter its value.
    pub sum: f64,
    /// How many values a histogram has counted; `None` for a counter.
    pub count: Option<u64>,
    /// Whether it tells what has come since the point before, rather than since `start`.
    pub is_delta: bool,
    /// Since when it counts, in nanoseconds since the epoch; 0 where that is not told.
    pub start_unix_nanos: u64,
    /// When it was, in nanoseconds since the epoch.
    pub time_unix_nanos: u64,
    resource: Reader<'a>,
    fields: Reader<'a>,
    attributes: u32,
}

impl<'a> Point<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.fields.clone(), self.attributes)
    }

    /// The attributes of its resource.
    pub fn resource_attributes(&self) -> Attributes<'a> {
        Attributes::new(self.resource.clone(), 1)
    }
}

/// Where the kinds of metrics that have sums keep their points.
const SUM: u32 = 7;
const HISTOGRAM: u32 = 9;
const EXPONENTIAL_HISTOGRAM: u32 = 10;
/// `AGGREGATION_TEMPORALITY_DELTA`.
const DELTA: u64 = 1;

/// Gives the points of counters and histograms whose metric `is_wanted` by its name.
pub fn points<'a>(
    request: &'a [u8],
    is_wanted: impl Fn(&str) -> bool,
    mut take: impl FnMut(Point<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    for group in messages(Reader::new(request), 1) {
        let group = group?;
        let resource = last_message(group.clone(), 1)?;
        for scope in messages(group, 2) {
            for metric in messages(scope?, 2) {
                metric_points(&metric?, &resource, &is_wanted, &mut take)?;
            }
        }
    }
    Ok(())
}

fn metric_points<'a>(
    metric: &Reader<'a>,
    resource: &Reader<'a>,
    is_wanted: &impl Fn(&str) -> bool,
    take: &mut impl FnMut(Point<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut name = "";
    let mut data = None;
    for field in metric.clone() {
        let field = field?;
        match field.number {
            1 => name = field.text()?,
            SUM | HISTOGRAM | EXPONENTIAL_HISTOGRAM => data = Some((field.number, field.message()?)),
            _ => {}
        }
    }
    let Some((kind, data)) = data.filter(|_| is_wanted(name)) else { return Ok(()) };
    let mut is_delta = false;
    for field in data.clone() {
        let field = field?;
        if field.number == 2 {
            is_delta = field.varint()? == DELTA;
        }
    }
    for point in messages(data, 1) {
        let fields = point?;
        let mut point = Point {
            name,
            sum: 0.0,
            count: None,
            is_delta,
            start_unix_nanos: 0,
            time_unix_nanos: 0,
            resource: resource.clone(),
            fields: fields.clone(),
            attributes: match kind {
                SUM => 7,
                HISTOGRAM => 9,
                _ => 1,
            },
        };
        for field in fields {
            point.read(kind, field?)?;
        }
        take(point)?;
    }
    Ok(())
}

impl Point<'_> {
    fn read(&mut self, kind: u32, field: Field<'_>) -> Result<(), Error> {
        match (kind, field.number) {
            (_, 2) => self.start_unix_nanos = field.fixed64()?,
            (_, 3) => self.time_unix_nanos = field.fixed64()?,
            (SUM, 4) | (HISTOGRAM | EXPONENTIAL_HISTOGRAM, 5) => self.sum = f64::from_bits(field.fixed64()?),
            (SUM, 6) => self.sum = field.fixed64()?.cast_signed() as f64,
            (HISTOGRAM | EXPONENTIAL_HISTOGRAM, 4) => self.count = Some(field.fixed64()?),
            _ => {}
        }
        Ok(())
    }
}

fn messages(fields: Reader<'_>, number: u32) -> impl Iterator<Item = Result<Reader<'_>, Error>> {
    fields.filter_map(move |field| match field {
        Ok(field) if field.number == number => Some(field.message()),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::metrics::v1::{
        ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
    };
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn label() -> Vec<KeyValue> {
        let value = Some(AnyValue { value: Some(any_value::Value::StringValue("input".to_owned())) });
        vec![KeyValue { key: "type".to_owned(), value, ..Default::default() }]
    }

    fn number(value: number_data_point::Value) -> NumberDataPoint {
        NumberDataPoint {
            attributes: label(),
            start_time_unix_nano: 1,
            time_unix_nano: 2,
            value: Some(value),
            ..Default::default()
        }
    }

    fn metrics() -> Vec<Metric> {
        let metric = |name: &str, data| Metric { name: name.to_owned(), data: Some(data), ..Default::default() };
        let plain = HistogramDataPoint {
            attributes: label(),
            count: 3,
            sum: Some(7.0),
            start_time_unix_nano: 1,
            time_unix_nano: 2,
            ..Default::default()
        };
        let exponential = ExponentialHistogramDataPoint {
            attributes: label(),
            count: 4,
            sum: Some(8.0),
            start_time_unix_nano: 1,
            time_unix_nano: 2,
            ..Default::default()
        };
        let data_points =
            vec![number(number_data_point::Value::AsInt(5)), number(number_data_point::Value::AsDouble(1.5))];
        let sum = Sum { data_points, aggregation_temporality: 1, is_monotonic: true };
        let histogram = Histogram { data_points: vec![plain], aggregation_temporality: 2 };
        let exponential = ExponentialHistogram { data_points: vec![exponential], aggregation_temporality: 1 };
        let gauge = Gauge { data_points: vec![number(number_data_point::Value::AsInt(9))] };
        vec![
            metric("sum", metric::Data::Sum(sum)),
            metric("plain", metric::Data::Histogram(histogram)),
            metric("exponential", metric::Data::ExponentialHistogram(exponential)),
            metric("gauge", metric::Data::Gauge(gauge)),
            metric("unwanted", metric::Data::Sum(Sum::default())),
        ]
    }

    #[test]
    fn counters_and_histograms_are_read_with_their_sums_and_attributes() {
        let scope_metrics = vec![ScopeMetrics { metrics: metrics(), ..Default::default() }];
        let resource_metrics = vec![ResourceMetrics { scope_metrics, ..Default::default() }];
        let request = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
        let mut told = Vec::new();
        let wanted = |name: &str| name != "unwanted";
        points(&request, wanted, |point| {
            assert_eq!((point.start_unix_nanos, point.time_unix_nanos), (1, 2));
            assert_eq!(point.attributes().next().unwrap()?.key, "type");
            told.push((point.name, point.sum, point.count, point.is_delta));
            Ok(())
        })
        .unwrap();
        assert_eq!(
            told,
            [
                ("sum", 5.0, None, true),
                ("sum", 1.5, None, true),
                ("plain", 7.0, Some(3), false),
                ("exponential", 8.0, Some(4), true),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _told = points(&bytes, |_| true, |_| Ok(()));
        }
    }
}
