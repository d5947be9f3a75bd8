// The script by Vercel's AI SDK: `node --input-type=module - 6|7|7-legacy`, run in the folder of its packages, read from
// standard input. Version 6 writes its own attributes; 7 writes those of the conventions, or by its older integration
// what 6 writes.

import { createAmazonBedrock } from "@ai-sdk/amazon-bedrock";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import * as ai from "ai";
import { z } from "zod";

const version = process.argv[2];
const provider = process.env.PROVIDER;
const processor = new BatchSpanProcessor(new OTLPTraceExporter());
const spans = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": process.env.OTEL_SERVICE_NAME }),
  spanProcessors: [processor],
});
spans.register();
if (version !== "6") {
  const { OpenTelemetry, LegacyOpenTelemetry } = await import("@ai-sdk/otel");
  ai.registerTelemetry(version === "7" ? new OpenTelemetry() : new LegacyOpenTelemetry());
}

const traced =
  version === "6"
    ? { experimental_telemetry: { isEnabled: true, functionId: "forecaster" } }
    : { telemetry: { functionId: "forecaster" } };
const common = { maxRetries: 0, ...traced };
const tools = {
  get_weather: ai.tool({
    description: "The weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `Rain in ${city}.`,
  }),
};

const openai = createOpenAI({ baseURL: `${provider}/v1`, apiKey: "test" });
const anthropic = createAnthropic({ baseURL: `${provider}/v1`, apiKey: "test" });
const bedrock = createAmazonBedrock({
  baseURL: provider,
  region: "us-east-1",
  accessKeyId: "test",
  secretAccessKey: "test",
});
const models = [
  openai.chat("gpt-4o-mini"),
  openai.responses("gpt-5-mini"),
  anthropic("claude-sonnet-4-5"),
  bedrock("us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
];
for (const model of models) {
  await play(model);
}
await ai.embed({ model: openai.embedding("text-embedding-3-small"), value: "A line to embed.", ...common });
await spans.shutdown();

async function play(model) {
  await ask(model, "Say hello.");
  await stream(model, "Count to three.");
  // The tool's answer is a second step of the same call.
  await ask(model, "What is the weather in Paris?", { tools, stopWhen: ai.stepCountIs(3) });
  await ask(model, "Sum up the long manual.");
  await stream(model, "Sum up the long manual.");
  await ask(model, "Think about prime numbers.");
  await refused(model);
}

async function ask(model, prompt, more = {}) {
  await ai.generateText({ model, prompt, ...common, ...more });
  await spans.forceFlush();
}

async function stream(model, prompt) {
  const { textStream } = ai.streamText({ model, prompt, ...common });
  for await (const _ of textStream) {
    // Only who reads the stream gets its end.
  }
  await spans.forceFlush();
}

async function refused(model) {
  const failed = await ai.generateText({ model, prompt: "Refuse this.", ...common }).then(
    () => false,
    (error) => String(error).includes("Not today") || String(error.responseBody).includes("Not today"),
  );
  await spans.forceFlush();
  if (!failed) {
    throw new Error("the call that must fail did not");
  }
}
