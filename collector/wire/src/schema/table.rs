//! The table itself: opentelemetry-proto 1.10, `opentelemetry/proto/*/v1/*.proto`.

use super::{Field, Kind, Message};

macro_rules! messages {
    ($($(#[$flag:ident])? $message:ident { $($number:literal $name:literal $([$many:ident])? $kind:ident $(= $of:ident)?;)* })*) => {$(
        pub(crate) static $message: Message = Message {
            fields: &[$(Field {
                number: $number,
                name: $name,
                kind: messages!(@kind $kind $($of)?),
                repeated: messages!(@is $($many)?),
            }),*],
            item: messages!(@flag item $($flag)?),
            attribute: messages!(@flag attribute $($flag)?),
        };
    )*};
    (@kind Message $of:ident) => { Kind::Message(&$of) };
    (@kind Enum $of:ident) => { Kind::Enum(&$of) };
    (@kind $kind:ident) => { Kind::$kind };
    (@is) => { false };
    (@is many) => { true };
    (@flag item item) => { true };
    (@flag attribute attribute) => { true };
    (@flag $($other:ident)*) => { false };
}

messages! {
    TRACES { 1 "resourceSpans" [many] Message = RESOURCE_SPANS; }
    RESOURCE_SPANS {
        1 "resource" Message = RESOURCE;
        2 "scopeSpans" [many] Message = SCOPE_SPANS;
        3 "schemaUrl" Text;
    }
    SCOPE_SPANS {
        1 "scope" Message = SCOPE;
        2 "spans" [many] Message = SPAN;
        3 "schemaUrl" Text;
    }
    #[item]
    SPAN {
        1 "traceId" Id;
        2 "spanId" Id;
        3 "traceState" Text;
        4 "parentSpanId" Id;
        5 "name" Text;
        6 "kind" Enum = SPAN_KIND;
        7 "startTimeUnixNano" Fixed64;
        8 "endTimeUnixNano" Fixed64;
        9 "attributes" [many] Message = KEY_VALUE;
        10 "droppedAttributesCount" Uint32;
        11 "events" [many] Message = EVENT;
        12 "droppedEventsCount" Uint32;
        13 "links" [many] Message = LINK;
        14 "droppedLinksCount" Uint32;
        15 "status" Message = STATUS;
        16 "flags" Fixed32;
    }
    EVENT {
        1 "timeUnixNano" Fixed64;
        2 "name" Text;
        3 "attributes" [many] Message = KEY_VALUE;
        4 "droppedAttributesCount" Uint32;
    }
    LINK {
        1 "traceId" Id;
        2 "spanId" Id;
        3 "traceState" Text;
        4 "attributes" [many] Message = KEY_VALUE;
        5 "droppedAttributesCount" Uint32;
        6 "flags" Fixed32;
    }
    STATUS {
        2 "message" Text;
        3 "code" Enum = STATUS_CODE;
    }

    RESOURCE {
        1 "attributes" [many] Message = KEY_VALUE;
        2 "droppedAttributesCount" Uint32;
        3 "entityRefs" [many] Message = ENTITY_REF;
    }
    ENTITY_REF {
        1 "schemaUrl" Text;
        2 "type" Text;
        3 "idKeys" [many] Text;
        4 "descriptionKeys" [many] Text;
    }
    SCOPE {
        1 "name" Text;
        2 "version" Text;
        3 "attributes" [many] Message = KEY_VALUE;
        4 "droppedAttributesCount" Uint32;
    }
    #[attribute]
    KEY_VALUE {
        1 "key" Text;
        2 "value" Message = ANY_VALUE;
        3 "keyStrindex" Int32;
    }
    ANY_VALUE {
        1 "stringValue" Text;
        2 "boolValue" Bool;
        3 "intValue" Int64;
        4 "doubleValue" Double;
        5 "arrayValue" Message = ARRAY_VALUE;
        6 "kvlistValue" Message = KEY_VALUE_LIST;
        7 "bytesValue" Bytes;
        8 "stringValueStrindex" Int32;
    }
    ARRAY_VALUE { 1 "values" [many] Message = ANY_VALUE; }
    KEY_VALUE_LIST { 1 "values" [many] Message = KEY_VALUE; }

    LOGS { 1 "resourceLogs" [many] Message = RESOURCE_LOGS; }
    RESOURCE_LOGS {
        1 "resource" Message = RESOURCE;
        2 "scopeLogs" [many] Message = SCOPE_LOGS;
        3 "schemaUrl" Text;
    }
    SCOPE_LOGS {
        1 "scope" Message = SCOPE;
        2 "logRecords" [many] Message = LOG_RECORD;
        3 "schemaUrl" Text;
    }
    #[item]
    LOG_RECORD {
        1 "timeUnixNano" Fixed64;
        2 "severityNumber" Enum = SEVERITY_NUMBER;
        3 "severityText" Text;
        5 "body" Message = ANY_VALUE;
        6 "attributes" [many] Message = KEY_VALUE;
        7 "droppedAttributesCount" Uint32;
        8 "flags" Fixed32;
        9 "traceId" Id;
        10 "spanId" Id;
        11 "observedTimeUnixNano" Fixed64;
        12 "eventName" Text;
    }

    METRICS { 1 "resourceMetrics" [many] Message = RESOURCE_METRICS; }
    RESOURCE_METRICS {
        1 "resource" Message = RESOURCE;
        2 "scopeMetrics" [many] Message = SCOPE_METRICS;
        3 "schemaUrl" Text;
    }
    SCOPE_METRICS {
        1 "scope" Message = SCOPE;
        2 "metrics" [many] Message = METRIC;
        3 "schemaUrl" Text;
    }
    METRIC {
        1 "name" Text;
        2 "description" Text;
        3 "unit" Text;
        5 "gauge" Message = GAUGE;
        7 "sum" Message = SUM;
        9 "histogram" Message = HISTOGRAM;
        10 "exponentialHistogram" Message = EXPONENTIAL_HISTOGRAM;
        11 "summary" Message = SUMMARY;
        12 "metadata" [many] Message = KEY_VALUE;
    }
    GAUGE { 1 "dataPoints" [many] Message = NUMBER_POINT; }
    SUM {
        1 "dataPoints" [many] Message = NUMBER_POINT;
        2 "aggregationTemporality" Enum = TEMPORALITY;
        3 "isMonotonic" Bool;
    }
    HISTOGRAM {
        1 "dataPoints" [many] Message = HISTOGRAM_POINT;
        2 "aggregationTemporality" Enum = TEMPORALITY;
    }
    EXPONENTIAL_HISTOGRAM {
        1 "dataPoints" [many] Message = EXPONENTIAL_POINT;
        2 "aggregationTemporality" Enum = TEMPORALITY;
    }
    SUMMARY { 1 "dataPoints" [many] Message = SUMMARY_POINT; }
    #[item]
    NUMBER_POINT {
        2 "startTimeUnixNano" Fixed64;
        3 "timeUnixNano" Fixed64;
        4 "asDouble" Double;
        5 "exemplars" [many] Message = EXEMPLAR;
        6 "asInt" Sfixed64;
        7 "attributes" [many] Message = KEY_VALUE;
        8 "flags" Uint32;
    }
    #[item]
    HISTOGRAM_POINT {
        2 "startTimeUnixNano" Fixed64;
        3 "timeUnixNano" Fixed64;
        4 "count" Fixed64;
        5 "sum" Double;
        6 "bucketCounts" [many] Fixed64;
        7 "explicitBounds" [many] Double;
        8 "exemplars" [many] Message = EXEMPLAR;
        9 "attributes" [many] Message = KEY_VALUE;
        10 "flags" Uint32;
        11 "min" Double;
        12 "max" Double;
    }
    #[item]
    EXPONENTIAL_POINT {
        1 "attributes" [many] Message = KEY_VALUE;
        2 "startTimeUnixNano" Fixed64;
        3 "timeUnixNano" Fixed64;
        4 "count" Fixed64;
        5 "sum" Double;
        6 "scale" Sint32;
        7 "zeroCount" Fixed64;
        8 "positive" Message = BUCKETS;
        9 "negative" Message = BUCKETS;
        10 "flags" Uint32;
        11 "exemplars" [many] Message = EXEMPLAR;
        12 "min" Double;
        13 "max" Double;
        14 "zeroThreshold" Double;
    }
    BUCKETS {
        1 "offset" Sint32;
        2 "bucketCounts" [many] Uint64;
    }
    #[item]
    SUMMARY_POINT {
        2 "startTimeUnixNano" Fixed64;
        3 "timeUnixNano" Fixed64;
        4 "count" Fixed64;
        5 "sum" Double;
        6 "quantileValues" [many] Message = QUANTILE;
        7 "attributes" [many] Message = KEY_VALUE;
        8 "flags" Uint32;
    }
    QUANTILE {
        1 "quantile" Double;
        2 "value" Double;
    }
    EXEMPLAR {
        2 "timeUnixNano" Fixed64;
        3 "asDouble" Double;
        4 "spanId" Id;
        5 "traceId" Id;
        6 "asInt" Sfixed64;
        7 "filteredAttributes" [many] Message = KEY_VALUE;
    }
}

static SPAN_KIND: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
static STATUS_CODE: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];
static TEMPORALITY: [&str; 3] =
    ["AGGREGATION_TEMPORALITY_UNSPECIFIED", "AGGREGATION_TEMPORALITY_DELTA", "AGGREGATION_TEMPORALITY_CUMULATIVE"];
static SEVERITY_NUMBER: [&str; 25] = [
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];
