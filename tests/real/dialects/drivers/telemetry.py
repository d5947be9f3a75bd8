"""OpenTelemetry's SDK as a program sets it up, and the end of a step.

What is sent goes by OTLP over HTTP to $OTEL_EXPORTER_OTLP_ENDPOINT, as the service $OTEL_SERVICE_NAME.
"""

import os
from collections.abc import Callable

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider, set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

# The server that speaks the APIs.
PROVIDER = os.environ["PROVIDER"]


def start() -> None:
    """Sets the global providers of all signals."""
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracers)
    start_metrics_and_logs()


def start_metrics_and_logs() -> None:
    """Sets the global providers of metrics and log records, for what sets up that of spans itself."""
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
    loggers = LoggerProvider()
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    set_logger_provider(loggers)


def flush() -> None:
    """Sends all spans and log records that wait, so that each step is a request of its own."""
    for provider in (trace.get_tracer_provider(), get_logger_provider()):
        if hasattr(provider, "force_flush"):
            provider.force_flush()


def fails(call: Callable[[], object]) -> None:
    """The call must fail, as the server has it."""
    try:
        call()
    except Exception as error:  # Every SDK has an error of its own.
        if "Not today" not in str(error):
            raise
    else:
        raise AssertionError("the call that must fail did not")


def end() -> None:
    """Sends the rest: metrics last."""
    flush()
    for provider in (trace.get_tracer_provider(), get_logger_provider(), metrics.get_meter_provider()):
        if hasattr(provider, "shutdown"):
            provider.shutdown()
