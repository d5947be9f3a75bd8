"""Whoever tells of model calls: each with the environment that it is installed in and the driver that plays it."""

from dataclasses import dataclass, field
from enum import Enum

OTEL_OPENAI = "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor"
OTEL_ANTHROPIC = "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor"
OTEL_BEDROCK = "opentelemetry.instrumentation.genai.bedrock:BedrockInstrumentor"
OTEL_LANGCHAIN = "opentelemetry.instrumentation.genai.langchain:LangChainInstrumentor"
BOTOCORE = "opentelemetry.instrumentation.botocore:BotocoreInstrumentor"
# Anthropic's SDK traces itself unless it is told not to, as `drive` does.
SELF_TRACING = {"ANTHROPIC_OPEN_TELEMETRY": "true"}
OPENINFERENCE_OPENAI = "openinference.instrumentation.openai:OpenAIInstrumentor"
OPENINFERENCE_LANGCHAIN = "openinference.instrumentation.langchain:LangChainInstrumentor"


class Fault(Enum):
    """What an emitter does not tell of a call, or tells wrongly, so that nobody who only hears it can know better."""

    UNSEEN = "nothing is told of the call"
    NO_CACHE = "what was read from and written to a cache is counted with the input, not told by itself"
    NO_CACHE_WRITE = "what was written to a cache is counted with the input, not told by itself"
    NO_CACHED_INPUT = "what was read from and written to a cache is told nowhere"
    ONE_TOO_MANY = "the output that the first event of a stream tells of is added to that of the last, which holds it"


@dataclass(frozen=True)
class Gap:
    """A fault, and the calls that it befalls: those of APIs that begin with `api`, of a step, streamed or not."""

    fault: Fault
    api: str = ""
    step: str | None = None
    streaming: bool | None = None

    def befalls(self, api: str, step: str, streaming: bool) -> bool:
        """Whether it befalls such a call."""
        return api.startswith(self.api) and self.step in (None, step) and self.streaming in (None, streaming)


@dataclass(frozen=True)
class Emitter:
    """One source of telemetry. `words` are the driver's arguments. `doubled` says that calls are told of twice."""

    name: str
    environment: str
    words: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    doubled: bool = False

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What it does not tell."""
        return GAPS.get(self.name, ())


def _python(name: str, environment: str, *words: str, doubled: bool = False, **env: str) -> Emitter:
    return Emitter(name, environment, ("play.py", *words), env, doubled)


# As it was seen with the versions pinned. A gap that a new version closes makes the scene fail, so that it goes.
EMBEDDING = Gap(Fault.UNSEEN, step="embedding")
GAPS = {
    "otel-openai-v2": (Gap(Fault.UNSEEN, "openai.responses"), Gap(Fault.NO_CACHE, step="cached")),
    "otel-botocore": (Gap(Fault.NO_CACHED_INPUT, "bedrock.invoke", "cached"),),
    "traceloop-openai": (Gap(Fault.NO_CACHE_WRITE, step="cached"),),
    "traceloop-anthropic": (Gap(Fault.ONE_TOO_MANY, streaming=True),),
    "traceloop-bedrock": (Gap(Fault.NO_CACHED_INPUT, "bedrock.invoke-with-response-stream", "cached"),),
    "openinference-bedrock": (Gap(Fault.NO_CACHE, "bedrock.invoke-with-response-stream", "cached"),),
    "openlit-bedrock": (Gap(Fault.UNSEEN, "bedrock.converse-stream"), Gap(Fault.UNSEEN, "bedrock.invoke")),
    "otel-langchain": (EMBEDDING,),
    "traceloop-langchain": (EMBEDDING, Gap(Fault.NO_CACHE_WRITE, "anthropic", "cached", False)),
    "twin-traceloop-sdk": (Gap(Fault.NO_CACHE_WRITE, "anthropic", "cached", False),),
    "openinference-langchain": (EMBEDDING, Gap(Fault.NO_CACHE_WRITE, "openai", "cached", False)),
    "langsmith-langchain": (EMBEDDING, Gap(Fault.NO_CACHE_WRITE, "anthropic", "cached", False)),
    "strands-1-10": (Gap(Fault.NO_CACHED_INPUT, "anthropic", "cached"), Gap(Fault.NO_CACHE, "openai", "cached")),
}


EMITTERS = (
    _python("otel-openai", "otel", "openai_script", OTEL_OPENAI),
    _python(
        "otel-openai-v2",
        "otel-openai-v2",
        "openai_script",
        "opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor",
    ),
    _python("otel-anthropic", "otel", "anthropic_script", OTEL_ANTHROPIC),
    _python("otel-bedrock", "otel", "bedrock_script", OTEL_BEDROCK),
    _python("otel-botocore", "otel", "bedrock_script", BOTOCORE),
    _python("anthropic-sdk", "otel", "anthropic_script", **SELF_TRACING),
    _python(
        "traceloop-openai", "traceloop", "openai_script", "opentelemetry.instrumentation.openai:OpenAIInstrumentor"
    ),
    _python(
        "traceloop-anthropic",
        "traceloop",
        "anthropic_script",
        "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
    ),
    _python(
        "traceloop-bedrock", "traceloop", "bedrock_script", "opentelemetry.instrumentation.bedrock:BedrockInstrumentor"
    ),
    _python("openinference-openai", "openinference", "openai_script", OPENINFERENCE_OPENAI),
    _python(
        "openinference-anthropic",
        "openinference",
        "anthropic_script",
        "openinference.instrumentation.anthropic:AnthropicInstrumentor",
    ),
    _python(
        "openinference-bedrock",
        "openinference",
        "bedrock_script",
        "openinference.instrumentation.bedrock:BedrockInstrumentor",
    ),
    _python("openlit-openai", "openlit", "openai_script", "openlit:init"),
    _python("openlit-anthropic", "openlit", "anthropic_script", "openlit:init"),
    _python("openlit-bedrock", "openlit", "bedrock_script", "openlit:init"),
    _python("otel-langchain", "otel", "langchain_script", OTEL_LANGCHAIN),
    _python(
        "traceloop-langchain",
        "traceloop",
        "langchain_script",
        "opentelemetry.instrumentation.langchain:LangchainInstrumentor",
    ),
    _python("openinference-langchain", "openinference", "langchain_script", OPENINFERENCE_LANGCHAIN),
    _python(
        "langsmith-langchain",
        "langsmith",
        "langchain_script",
        LANGSMITH_TRACING="true",
        LANGSMITH_OTEL_ENABLED="true",
        LANGSMITH_OTEL_ONLY="true",
    ),
    _python("strands", "strands", "strands_script"),
    _python("strands-1-10", "strands-1-10", "strands_script"),
    _python("pydantic-ai", "pydantic-ai", "pydantic_ai_script"),
    _python("litellm", "litellm", "litellm_script", LITELLM_LOCAL_MODEL_COST_MAP="True"),
    Emitter("vercel-ai-7", "vercel-ai-7", ("vercel.mjs", "7")),
    Emitter("vercel-ai-7-legacy", "vercel-ai-7", ("vercel.mjs", "7-legacy")),
    Emitter("vercel-ai-6", "vercel-ai-6", ("vercel.mjs", "6")),
    # The same calls told of in metrics and in log records, too.
    _python(
        "otel-openai-events",
        "otel",
        "openai_script",
        OTEL_OPENAI,
        OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT="true",
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_AND_EVENT",
        OTEL_SEMCONV_STABILITY_OPT_IN="gen_ai_latest_experimental",
    ),
    # Two that instrument one SDK.
    _python("twin-openlit-otel", "openlit", "openai_script", "openlit:init", OTEL_OPENAI, doubled=True),
    _python(
        "twin-openinference-otel", "openinference", "openai_script", OPENINFERENCE_OPENAI, OTEL_OPENAI, doubled=True
    ),
    # An SDK that traces itself, and who instruments it.
    _python("twin-anthropic-otel", "otel", "anthropic_script", OTEL_ANTHROPIC, doubled=True, **SELF_TRACING),
    # Frameworks, and the SDKs below them.
    _python(
        "twin-langchain-sdks",
        "openinference",
        "langchain_script",
        OPENINFERENCE_LANGCHAIN,
        OTEL_OPENAI,
        doubled=True,
        **SELF_TRACING,
    ),
    Emitter("twin-traceloop-sdk", "traceloop", ("traceloop_sdk.py",), doubled=True),
    _python("twin-strands-botocore", "strands", "strands_script", BOTOCORE, doubled=True),
    _python("twin-pydantic-ai-anthropic", "pydantic-ai", "pydantic_ai_script", doubled=True, **SELF_TRACING),
)
