import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { ask, brokeKey, dev } from "./installation.mjs";

const connect = (apiKey = dev.virtual_key) => new Anthropic({ baseURL: dev.gateway_url, apiKey, maxRetries: 0 });

test("plain", async () => {
  const answer = await connect().messages.create({ model: dev.model, max_tokens: 50, messages: ask("Hello") });
  assert.match(answer.content[0].text, /Hello/);
});

test("streamed", async () => {
  const stream = connect().messages.stream({ model: dev.model, max_tokens: 50, messages: ask("say 7 words") });
  const final = await stream.finalMessage();
  assert.equal(final.content[0].text, Array(7).fill("word").join(" "));
  assert.ok(final.usage.output_tokens >= 7);
});

test("typed errors", async () => {
  const wrong = connect("wrong").messages.create({ model: dev.model, max_tokens: 5, messages: ask("x") });
  await assert.rejects(wrong, Anthropic.AuthenticationError);
  const broke = connect(await brokeKey()).messages.create({ model: dev.model, max_tokens: 500, messages: ask("x") });
  await assert.rejects(broke, (error) => error.status === 402);
});
