import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { ask, brokeKey, dev, newKey, newModel, script, words } from "./installation.mjs";

const connect = (apiKey = dev.virtual_key, more = {}) =>
  new Anthropic({ baseURL: dev.gateway_url, apiKey, maxRetries: 0, ...more });
const tool = (name) => ({
  name,
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
});
const said = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

for (const provider of ["sim-openai", "sim-anthropic"]) {
  describe(`to ${provider}`, () => {
    let model;
    const create = (body) => connect().messages.create({ model: model.name, max_tokens: 2000, ...body });
    const stream = (body) => connect().messages.stream({ model: model.name, max_tokens: 2000, ...body });
    before(async () => void (model = await newModel(provider)));
    after(() => script());

    test("plain", async () => {
      const answer = await create({ system: "Be brief.", messages: ask("Hello") });
      assert.match(said(answer), /Hello/);
      assert.equal(answer.stop_reason, "end_turn");
    });

    test("streamed", async () => {
      const final = await stream({ messages: ask("say 7 words") }).finalMessage();
      assert.equal(said(final), words(7));
      assert.ok(final.usage.output_tokens >= 7 && final.usage.input_tokens > 0);
    });

    test("parallel tools and their results", async () => {
      const tools = [tool("get_weather"), tool("local_time")];
      const messages = ask("weather and time?");
      const first = await stream({ messages, tools }).finalMessage();
      const calls = first.content.filter((block) => block.type === "tool_use");
      assert.deepEqual(calls.map((call) => call.name), ["get_weather", "local_time"]);
      assert.ok("city" in calls[0].input);
      const content = calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: call.name, is_error: true }));
      messages.push({ role: "assistant", content: first.content }, { role: "user", content });
      assert.match(said(await create({ messages, tools })), /local_time/);
      const named = await create({ messages: ask("x"), tools, tool_choice: { type: "tool", name: "local_time" } });
      assert.equal(named.content.at(-1).name, "local_time");
    });

    test("stops and limits", async () => {
      assert.equal(said(await create({ messages: ask("x"), stop_sequences: ["simulated"] })), "This is a ");
      assert.equal((await create({ messages: ask("say 50 words"), max_tokens: 3 })).stop_reason, "max_tokens");
    });

    test("text of any language, cut anywhere", async () => {
      const text = "日本語 👩‍👩‍👧‍👦 é \u2028";
      await script({ when: { model: model.upstream }, then: { text, write_bytes: 3 } });
      assert.equal(said(await stream({ messages: ask("x") }).finalMessage()), text);
    });

    test("a stream that breaks off throws", async () => {
      await script({ when: { model: model.upstream }, then: { cut_after_bytes: 3000, ending: "reset" } });
      await assert.rejects(stream({ messages: ask("say 90 words") }).finalMessage(), Anthropic.AnthropicError);
      await script();
    });

    test("twenty streams at once", async () => {
      const one = async (count) => said(await stream({ messages: ask(`say ${count} words`) }).finalMessage()) === words(count);
      assert.ok((await Promise.all([...Array(20).keys()].map((i) => one(i + 5)))).every(Boolean));
    });
  });
}

test("thinking", async () => {
  const model = await newModel("sim-anthropic");
  const thinking = { type: "enabled", budget_tokens: 1024 };
  const body = { model: model.name, max_tokens: 3000, messages: ask("x"), thinking };
  const final = await connect().messages.stream(body).finalMessage();
  assert.equal(final.content[0].type, "thinking");
  assert.ok(final.content[0].signature);
});

test("typed errors", async () => {
  const plain = (client, more) => client.messages.create({ model: dev.model, max_tokens: 500, messages: ask("x"), ...more });
  await assert.rejects(plain(connect("wrong")), Anthropic.AuthenticationError);
  await assert.rejects(plain(connect(), { model: "nobody/nothing" }), Anthropic.NotFoundError);
  const broke = plain(connect(await brokeKey(), { maxRetries: 2 }));
  await assert.rejects(broke, (error) => error.status === 402 && error.error.error.type === "billing_error");
  const slow = connect((await newKey({ limits: { requests_per_minute: 1 } })).key);
  await plain(slow);
  await assert.rejects(plain(slow), (error) => error instanceof Anthropic.RateLimitError && +error.headers.get("retry-after") >= 1);
});

test("an overloaded provider, alone and with another", async () => {
  const alone = await newModel("sim-anthropic");
  const both = await newModel("sim-anthropic", "sim-openai");
  await script({ when: { model: alone.upstream }, then: { status: 529 } }, { when: { model: both.upstream }, times: 1, then: { status: 529 } });
  const call = (model) => connect().messages.create({ model: model.name, max_tokens: 50, messages: ask("Hello") });
  await assert.rejects(call(alone), (error) => error.status === 529 && error.error.error.type === "overloaded_error");
  assert.match(said(await call(both)), /Hello/);
  await script();
});
