"""Whoever tells of model calls: each with the environment that it is installed in and the driver that plays it."""

from dataclasses import dataclass, field

OTEL_OPENAI = "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor"
OTEL_ANTHROPIC = "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor"
OTEL_BEDROCK = "opentelemetry.instrumentation.genai.bedrock:BedrockInstrumentor"
OTEL_LANGCHAIN = "opentelemetry.instrumentation.genai.langchain:LangChainInstrumentor"
BOTOCORE = "opentelemetry.instrumentation.botocore:BotocoreInstrumentor"
OPENINFERENCE_OPENAI = "openinference.instrumentation.openai:OpenAIInstrumentor"
OPENINFERENCE_LANGCHAIN = "openinference.instrumentation.langchain:LangChainInstrumentor"


@dataclass(frozen=True)
class Emitter:
    """One source of telemetry. `words` are the driver's arguments. `doubled` says that calls are told of twice."""

    name: str
    environment: str
    words: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    doubled: bool = False


def _python(name: str, environment: str, *words: str, doubled: bool = False, **env: str) -> Emitter:
    return Emitter(name, environment, ("play.py", *words), env, doubled)


EMITTERS = (
    _python("otel-openai", "otel", "openai_script", OTEL_OPENAI),
    _python("otel-openai-v2", "otel-openai-v2", "openai_script", "opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor"),
    _python("otel-anthropic", "otel", "anthropic_script", OTEL_ANTHROPIC),
    _python("otel-bedrock", "otel", "bedrock_script", OTEL_BEDROCK),
    _python("otel-botocore", "otel", "bedrock_script", BOTOCORE),
    _python("anthropic-sdk", "otel", "anthropic_script", ANTHROPIC_OPEN_TELEMETRY="true"),
    _python("traceloop-openai", "traceloop", "openai_script", "opentelemetry.instrumentation.openai:OpenAIInstrumentor"),
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
)
