//! What an exporter sees: a described number about a subject, with its true start.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::attribute::Attribute;
use crate::histogram::ExponentialHistogram;
use crate::quantity::Quantity;
use crate::subject::Subject;
use crate::time::Timestamp;

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrument {
    /// A sum that never goes back: its growth is what counts.
    Counter,
    /// A sum that goes up and down and may be added over subjects.
    UpDownCounter,
    /// A value of now that may not be added.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Instrument {
    /// The name of the instrument in the metric table's pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::UpDownCounter => "updowncounter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One line of the metric table.
#[derive(Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The name in OpenTelemetry's dotted form.
    pub name: &'static str,
    /// How it behaves.
    pub instrument: Instrument,
    /// The unit, in UCUM or as a pure annotation.
    pub unit: &'static str,
    /// What it means, in one sentence.
    pub doc: &'static str,
    /// The attributes that may stand on its points beside those of the subject.
    pub attributes: &'static [&'static str],
}

/// A line of the metric table that takes only its own quantity.
#[derive(Debug)]
pub struct Metric<Q> {
    descriptor: Descriptor,
    quantity: PhantomData<fn() -> Q>,
}

impl<Q: Quantity> Metric<Q> {
    /// A line of the table; only the table makes them.
    pub(crate) const fn new(descriptor: Descriptor) -> Self {
        Self { descriptor, quantity: PhantomData }
    }

    /// The line without the type.
    pub const fn descriptor(&'static self) -> &'static Descriptor {
        &self.descriptor
    }

    /// A number of this metric about `subject`, counted from `start` and read at `at`.
    pub fn sample(
        &'static self,
        subject: &Arc<Subject>,
        attributes: Vec<Attribute>,
        period: Period,
        value: Q,
    ) -> Sample {
        Sample {
            metric: &self.descriptor,
            subject: Arc::clone(subject),
            attributes,
            period,
            value: Value::Number(value.get()),
        }
    }

    /// A distribution of this metric about `subject`.
    pub fn distribution(
        &'static self,
        subject: &Arc<Subject>,
        attributes: Vec<Attribute>,
        period: Period,
        value: Arc<ExponentialHistogram>,
    ) -> Sample {
        Sample {
            metric: &self.descriptor,
            subject: Arc::clone(subject),
            attributes,
            period,
            value: Value::Histogram(value),
        }
    }
}

/// From when a figure counts, and when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The time the counter counts from; for a gauge the time the reading covers from.
    pub start: Timestamp,
    /// The time of the reading.
    pub at: Timestamp,
}

/// One figure on its way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The line of the metric table.
    pub metric: &'static Descriptor,
    /// What it is about.
    pub subject: Arc<Subject>,
    /// Attributes beside those of the subject.
    pub attributes: Vec<Attribute>,
    /// From when to when.
    pub period: Period,
    /// The figure.
    pub value: Value,
}

/// A number or a distribution.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number, in the metric's unit.
    Number(f64),
    /// A distribution.
    Histogram(Arc<ExponentialHistogram>),
}

impl Sample {
    /// The value of one of the sample's own attributes.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.key == key).map(|attribute| attribute.value.as_str())
    }

    /// The number, unless it is a distribution.
    pub fn number(&self) -> Option<f64> {
        match self.value {
            Value::Number(number) => Some(number),
            Value::Histogram(_) => None,
        }
    }
}
