import assert from "node:assert/strict";
import { describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI, { toFile } from "openai";
import { ask, dev, newModel, words } from "./installation.mjs";

const client = new OpenAI({ baseURL: `${dev.gateway_url}/v1`, apiKey: dev.virtual_key, maxRetries: 0 });
const weather = {
  type: "function",
  name: "get_weather",
  strict: true,
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
};
const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"], additionalProperties: false };

for (const provider of ["sim-openai", "sim-anthropic", "sim-gemini"]) {
  describe(`responses to ${provider}`, async () => {
    const { name: model } = await newModel(provider);

    test("plain", async () => {
      const answer = await client.responses.create({ model, input: "Hello", instructions: "Be brief." });
      assert.match(answer.output_text, /Hello/);
      assert.ok(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
    });

    test("streamed", async () => {
      const stream = client.responses.stream({ model, input: "say 9 words" });
      let text = "";
      for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta;
      assert.equal(text, words(9));
      assert.ok((await stream.finalResponse()).usage.output_tokens >= 9);
    });

    test("a tool and its result", async () => {
      const input = ask("weather in Paris?");
      const first = await client.responses.create({ model, input, tools: [weather] });
      const call = first.output.find((item) => item.type === "function_call");
      assert.ok("city" in JSON.parse(call.arguments));
      input.push(...first.output, { type: "function_call_output", call_id: call.call_id, output: "sunny" });
      assert.match((await client.responses.create({ model, input, tools: [weather] })).output_text, /sunny/);
    });

    test("structured output", async () => {
      const text = { format: { type: "json_schema", name: "place", strict: true, schema } };
      const answer = await client.responses.parse({ model, input: "Paris", text });
      assert.equal(typeof answer.output_parsed.name, "string");
    });
  });
}

test("embeddings, as base64 and as numbers", async () => {
  const body = { model: dev.embedding_model, input: ["a", "b"] };
  const [packed, plain] = [await client.embeddings.create(body), await client.embeddings.create({ ...body, encoding_format: "float" })];
  assert.equal(packed.data.length, 2);
  packed.data.forEach(({ embedding }, place) =>
    embedding.forEach((value, at) => assert.ok(Math.abs(value - plain.data[place].embedding[at]) < 1e-6)),
  );
  assert.ok(packed.usage.prompt_tokens > 0);
});

test("a picture, speech, a transcript", async () => {
  const drawn = await client.images.generate({ model: dev.image_model, prompt: "a harbour", response_format: "b64_json" });
  assert.ok(drawn.data[0].b64_json.length > 0);
  const spoken = await client.audio.speech.create({ model: dev.speech_model, voice: "alloy", input: "Hello", response_format: "wav" });
  const sound = Buffer.from(await spoken.arrayBuffer());
  const file = await toFile(sound, "speech.wav", { type: "audio/wav" });
  assert.ok((await client.audio.transcriptions.create({ model: dev.transcription_model, file })).text.length > 0);
});

test("one model", async () => {
  assert.equal((await client.models.retrieve(dev.model)).id, dev.model);
  await assert.rejects(client.models.retrieve("nobody/nothing"), OpenAI.NotFoundError);
});

test("a count of tokens", async () => {
  const { name: model } = await newModel("sim-anthropic");
  const anthropic = new Anthropic({ baseURL: dev.gateway_url, apiKey: dev.virtual_key, maxRetries: 0 });
  const counted = await anthropic.messages.countTokens({ model, messages: ask("say 5 words") });
  const answer = await anthropic.messages.create({ model, max_tokens: 100, messages: ask("say 5 words") });
  assert.equal(counted.input_tokens, answer.usage.input_tokens);
});
