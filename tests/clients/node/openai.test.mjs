import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { ask, brokeKey, dev } from "./installation.mjs";

const connect = (apiKey = dev.virtual_key) => new OpenAI({ baseURL: `${dev.gateway_url}/v1`, apiKey, maxRetries: 0 });
const tool = {
  type: "function",
  function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};

test("plain", async () => {
  const answer = await connect().chat.completions.create({ model: dev.model, messages: ask("Hello") });
  assert.match(answer.choices[0].message.content, /Hello/);
  assert.ok(answer._request_id.startsWith("gen_"));
});

test("streamed, with an unguarded loop", async () => {
  const stream = await connect().chat.completions.create({ model: dev.model, messages: ask("say 7 words"), stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0].delta.content ?? "";
  assert.equal(text, Array(7).fill("word").join(" "));
});

test("tools", async () => {
  const answer = await connect().chat.completions.create({ model: dev.model, messages: ask("weather?"), tools: [tool] });
  assert.equal(answer.choices[0].message.tool_calls[0].function.name, "get_weather");
});

test("typed errors", async () => {
  await assert.rejects(connect("wrong").models.list().then((page) => page), OpenAI.AuthenticationError);
  const unknown = connect().chat.completions.create({ model: "nobody/nothing", messages: ask("x") });
  await assert.rejects(unknown, OpenAI.NotFoundError);
  const broke = connect(await brokeKey()).chat.completions.create({ model: dev.model, messages: ask("x"), max_tokens: 500 });
  await assert.rejects(broke, (error) => error.status === 402 && error.type === "quota_for_entity_exceeded");
});
