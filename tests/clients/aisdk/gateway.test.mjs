// `ai` with its gateway provider, unmodified, of the version whose packages this file lies beside:
// only base URL and key are set.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import * as gatewayPackage from "@ai-sdk/gateway";
import { generateObject, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { arrived, brokeKey, dev, newKey, newModel, script, words } from "./installation.mjs";

const { createGateway, GatewayInvalidRequestError, GatewayModelNotFoundError, GatewayRateLimitError } = gatewayPackage;
globalThis.AI_SDK_LOG_WARNINGS = false;
const packageOf = (name) => JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url)));
const major = Number(packageOf("ai").version.split(".")[0]);
const base = { 5: "/v1/ai", 6: "/v3/ai", 7: "/v4/ai" }[major];
const connect = (apiKey = dev.virtual_key) => createGateway({ baseURL: `${dev.gateway_url}${base}`, apiKey });
const get_weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `weather of ${city}`,
});
const place = z.object({ name: z.string() });
const pixel =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const once = { maxRetries: 0 };

/** What was thrown: by the call itself or, after the retries, inside of their error. */
async function thrown(call) {
  try {
    await call();
  } catch (error) {
    return error.lastError ?? error;
  }
  assert.fail("nothing was thrown");
}

for (const provider of ["sim-openai", "sim-anthropic", "sim-gemini", "sim-bedrock", "sim-cohere"]) {
  describe(`SDK ${major} to ${provider}`, () => {
    let model, language;
    before(async () => {
      model = await newModel(provider);
      language = connect()(model.name);
    });
    after(() => script());

    test("plain, with what it cost and where it went", async () => {
      const answer = await generateText({
        model: language, prompt: "Hello", maxOutputTokens: 100, temperature: 0.5,
        providerOptions: { gateway: { user: "u1", tags: ["a", "b"], order: ["sim-openai"] }, openai: { reasoningEffort: "low" } },
      });
      assert.match(answer.text, /Hello/);
      assert.equal(answer.finishReason, "stop");
      assert.ok(answer.usage.inputTokens > 0 && answer.usage.outputTokens > 0);
      assert.equal(answer.usage.totalTokens, answer.usage.inputTokens + answer.usage.outputTokens);
      const { gateway } = answer.providerMetadata;
      assert.match(gateway.generationId, /^gen_[0-9A-Z]{26}$/);
      assert.ok(Number(gateway.cost) > 0 && typeof gateway.cost === "string");
      assert.equal(gateway.routing.finalProvider, provider);
      assert.ok(answer.response.timestamp);
    });

    test("streamed", async () => {
      const answer = streamText({ model: language, system: "Be brief.", prompt: "say 7 words", includeRawChunks: true });
      const kinds = [];
      let text = "";
      for await (const part of answer.fullStream) {
        kinds.push(part.type);
        if (part.type === "text-delta") text += part.text;
        assert.notEqual(part.type, "error", JSON.stringify(part));
      }
      assert.equal(text, words(7));
      assert.deepEqual(kinds.filter((kind) => !/^reasoning|-delta$/.test(kind)), [
        "start", "start-step", "text-start", "text-end", "finish-step", "finish",
      ]);
      assert.ok((await answer.usage).outputTokens >= 7);
      assert.equal(await answer.finishReason, "stop");
      assert.match((await answer.providerMetadata).gateway.generationId, /^gen_/);
    });

    test("tools in several steps", async () => {
      const { steps, text } = await generateText({
        model: language, prompt: "weather?", tools: { get_weather }, stopWhen: stepCountIs(3),
      });
      assert.equal(steps.length, 2);
      assert.equal(steps[0].finishReason, "tool-calls");
      assert.equal(steps[0].toolCalls[0].toolName, "get_weather");
      assert.match(steps[0].toolResults[0].output, /^weather of /);
      assert.match(text, /weather of/);
    });

    test("tools streamed, in several steps", async () => {
      const answer = streamText({
        model: language, prompt: "weather?", tools: { get_weather }, stopWhen: stepCountIs(3),
      });
      const kinds = new Set();
      for await (const part of answer.fullStream) kinds.add(part.type);
      for (const kind of ["tool-input-start", "tool-input-delta", "tool-input-end", "tool-call", "tool-result"]) {
        assert.ok(kinds.has(kind), kind);
      }
      assert.match(await answer.text, /weather of/);
    });

    test("reasoning, whose signature comes back in the next turn", async () => {
      const budgetTokens = 1024;
      const providerOptions = {
        anthropic: { thinking: { type: "enabled", budgetTokens } },
        google: { thinkingConfig: { thinkingBudget: budgetTokens, includeThoughts: true } },
        bedrock: { reasoningConfig: { type: "enabled", budgetTokens } },
        openai: { reasoningEffort: "high" },
      };
      const signs = !["sim-openai", "sim-cohere"].includes(provider);
      const messages = [{ role: "user", content: "why?" }];
      const call = { model: language, messages, maxOutputTokens: 4096, providerOptions };
      const whole = await generateText(call);
      const streamed = streamText(call);
      const said = [whole.response.messages, (await streamed.response).messages];
      if (signs) {
        assert.ok(whole.reasoningText.length > 0);
        assert.equal(await streamed.reasoningText, whole.reasoningText);
      }
      for (const [turn, answer] of said.entries()) {
        const again = `again ${turn}?`;
        await generateText({ ...call, messages: [...messages, ...answer, { role: "user", content: again }] });
        const sent = (await arrived(model)).map((entry) => JSON.stringify(entry.body)).find((body) => body.includes(again));
        assert.equal(/"(signature|thoughtSignature)":"(?!c2tpcF)[^"]+"/.test(sent), signs, sent);
      }
    });

    test("structured output", async () => {
      const { object } = await generateObject({ model: language, schema: place, prompt: "Paris" });
      assert.deepEqual(object, { name: "Paris" });
      const answer = await generateText({
        model: language, prompt: "Paris", ...{ [major === 5 ? "experimental_output" : "output"]: Output.object({ schema: place }) },
      });
      assert.deepEqual(answer.output ?? answer.experimental_output, { name: "Paris" });
      const plain = jsonSchema({ type: "object", properties: { name: { type: "string" } }, required: ["name"] });
      assert.ok("name" in (await generateObject({ model: language, schema: plain, prompt: "Rome" })).object);
    });

    test("images and files in the prompt", async () => {
      const image = major === 7 ? { type: "file", data: pixel, mediaType: "image/png" } : { type: "image", image: pixel };
      const bytes = { type: "file", data: new Uint8Array([37, 80, 68, 70, 45]), mediaType: "application/pdf", filename: "a.pdf" };
      const files = provider === "sim-cohere" ? [image] : [image, bytes];
      const content = [{ type: "text", text: "What?" }, ...files];
      const answer = await generateText({ model: language, messages: [{ role: "user", content }] });
      assert.ok(answer.usage.inputTokens > 500);
    });

    test("a stream that breaks off reports an error and finishes", async () => {
      await script({ when: { model: model.upstream }, then: { cut_after_bytes: 3000, ending: "reset" } });
      const answer = streamText({ model: language, prompt: "say 90 words", onError: () => {}, ...once });
      const kinds = [];
      for await (const part of answer.fullStream) kinds.push(part.type);
      await script();
      assert.ok(kinds.includes("text-delta") && kinds.includes("error"), kinds.join(" "));
      assert.deepEqual(kinds.slice(-2), ["finish-step", "finish"]);
      assert.equal(await answer.finishReason, "error");
    });

    if (provider !== "sim-openai") return;
    test("the SDK tries again, and then it is answered", async () => {
      await script({ when: { model: model.upstream }, times: 4, then: { status: 500 } });
      const answer = await generateText({ model: language, prompt: "Hello", maxRetries: 3 });
      await script();
      assert.match(answer.text, /Hello/);
    });
  });
}

test("errors have their classes", async () => {
  const call = (gateway, more) => generateText({ model: gateway(dev.model), prompt: "x", ...once, ...more });
  const wrong = await thrown(() => call(connect("wrong")));
  assert.match(wrong.name, /GatewayAuthenticationError|AI_/);
  const unknown = await thrown(() => call(connect(), { model: connect()("nobody/nothing") }));
  assert.ok(GatewayModelNotFoundError.isInstance(unknown), unknown.name);
  assert.equal(unknown.modelId, "nobody/nothing");
  assert.equal(unknown.statusCode, 404);
  const bad = await thrown(() => call(connect(), { providerOptions: { gateway: { sort: "best" } } }));
  assert.ok(GatewayInvalidRequestError.isInstance(bad), bad.name);
  assert.match(bad.message, /providerOptions\.gateway\.sort/);
  const broke = connect(await brokeKey());
  const poor = await thrown(() => call(broke, { maxOutputTokens: 500, maxRetries: 2 }));
  assert.equal(poor.statusCode, 402);
  assert.match(poor.message, /budget/);
  const slow = connect((await newKey({ limits: { requests_per_minute: 1 } })).key);
  await call(slow);
  const limited = await thrown(() => call(slow));
  assert.ok(GatewayRateLimitError.isInstance(limited), limited.name);
  assert.equal(limited.statusCode, 429);
});

test("tools that the gateway would run are refused by name", async () => {
  const search = connect().tools?.perplexitySearch?.({ maxResults: 2 });
  if (!search) return;
  const refused = await thrown(() =>
    generateText({ model: connect()(dev.model), prompt: "x", tools: { search }, ...once }));
  assert.ok(GatewayInvalidRequestError.isInstance(refused), refused.name);
  assert.match(refused.message, /tools\[0\]\.id/);
});

test("credits, a generation, a report", async () => {
  const gateway = connect();
  const { balance, totalUsed } = await gateway.getCredits();
  assert.ok(typeof balance === "string" && Number(totalUsed) >= 0);
  const answer = await generateText({ model: gateway(dev.model), prompt: "Hello" });
  const { generationId: id, cost } = answer.providerMetadata.gateway;
  let found;
  for (const deadline = Date.now() + 120_000; !found; ) {
    found = await gateway.getGenerationInfo({ id }).catch((error) => {
      if (Date.now() > deadline) throw error;
    });
    if (!found) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(found.id, id);
  assert.equal(found.totalCost, Number(cost));
  assert.equal(found.streamed, false);
  assert.equal(found.finishReason ?? "stop", "stop");
  const day = new Date().toISOString().slice(0, 10);
  const { results } = await gateway.getSpendReport({ startDate: day, endDate: day, groupBy: "model" });
  assert.ok(results.every((row) => typeof row.totalCost === "number"));
});

test("available models", async () => {
  const { models } = await connect().getAvailableModels();
  const found = models.find((model) => model.id === dev.model);
  assert.equal(found.specification.specificationVersion, { 5: "v2", 6: "v3", 7: "v4" }[major]);
  assert.equal(found.modelType, "language");
  assert.ok(Number(found.pricing.input) > 0);
});
