"""LangChain under Traceloop's SDK, which instruments the framework and the SDKs below it, and sets up its own spans."""

import os

from traceloop.sdk import Traceloop

import telemetry


def main() -> None:
    """Sets up all that Traceloop's SDK has, and plays the script of LangChain."""
    telemetry.start_metrics_and_logs()
    Traceloop.init(os.environ["OTEL_SERVICE_NAME"], os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"], telemetry_enabled=False)
    import langchain_script

    langchain_script.play()
    telemetry.end()


if __name__ == "__main__":
    main()
