import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import OpenAI from "openai";
import { ask, brokeKey, dev, newKey, newModel, script, words } from "./installation.mjs";

const connect = (apiKey = dev.virtual_key, more = {}) =>
  new OpenAI({ baseURL: `${dev.gateway_url}/v1`, apiKey, maxRetries: 0, ...more });
const tool = (name) => ({
  type: "function",
  function: { name, parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
});
const schema = {
  type: "object",
  properties: { name: { type: "string" } },
  required: ["name"],
  additionalProperties: false,
};
const pixel =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

for (const provider of ["sim-openai", "sim-anthropic"]) {
  describe(`to ${provider}`, () => {
    let model;
    const create = (body) => connect().chat.completions.create({ model: model.name, ...body });
    before(async () => void (model = await newModel(provider)));
    after(() => script());

    test("plain", async () => {
      const answer = await create({ messages: ask("Hello") });
      assert.match(answer.choices[0].message.content, /Hello/);
      assert.equal(answer.choices[0].finish_reason, "stop");
      assert.ok(answer.usage.completion_tokens > 0);
      assert.ok(answer._request_id.startsWith("gen_"));
    });

    test("streamed, with an unguarded loop", async () => {
      let [text, last] = ["", null];
      for await (const chunk of await create({ messages: ask("say 7 words"), stream: true })) {
        text += chunk.choices[0].delta.content ?? "";
        last = chunk;
      }
      assert.equal(text, words(7));
      assert.ok(last.usage.completion_tokens >= 7);
    });

    test("streamed, with usage", async () => {
      const options = { stream: true, stream_options: { include_usage: true } };
      const chunks = [];
      for await (const chunk of await create({ messages: ask("say 3 words"), ...options })) chunks.push(chunk);
      assert.deepEqual(chunks.at(-1).choices, []);
      assert.ok(chunks.at(-1).usage.completion_tokens >= 3);
    });

    test("parallel tools and their results", async () => {
      const tools = [tool("get_weather"), tool("local_time")];
      const messages = ask("weather and time?");
      const { message } = (await create({ messages, tools })).choices[0];
      assert.deepEqual(message.tool_calls.map((call) => call.function.name), ["get_weather", "local_time"]);
      messages.push(message);
      message.tool_calls.forEach((call) => messages.push({ role: "tool", tool_call_id: call.id, content: call.function.name }));
      assert.match((await create({ messages, tools })).choices[0].message.content, /local_time/);
    });

    test("tools streamed, by the SDK's own runner of events", async () => {
      const stream = connect().chat.completions.stream({
        model: model.name, messages: ask("weather?"), tools: [tool("get_weather")], tool_choice: "required",
      });
      const final = await stream.finalChatCompletion();
      assert.ok("city" in JSON.parse(final.choices[0].message.tool_calls[0].function.arguments));
    });

    test("structured output, images, instructions, limits, stops", async () => {
      const response_format = { type: "json_schema", json_schema: { name: "place", strict: true, schema } };
      const place = await create({ messages: ask("Paris"), response_format });
      assert.deepEqual(JSON.parse(place.choices[0].message.content), { name: "Paris" });
      const parts = [{ type: "text", text: "What?" }, { type: "image_url", image_url: { url: pixel } }];
      assert.ok((await create({ messages: ask(parts) })).usage.prompt_tokens > 500);
      const messages = [{ role: "developer", content: "Be brief." }, ...ask("x")];
      const stopped = await create({ messages, stop: ["simulated"] });
      assert.equal(stopped.choices[0].message.content, "This is a ");
      const cut = await create({ messages: ask("say 50 words"), max_completion_tokens: 4 });
      assert.equal(cut.choices[0].finish_reason, "length");
    });

    test("text of any language, cut anywhere", async () => {
      const text = "日本語 👩‍👩‍👧‍👦 é \u2028";
      await script({ when: { model: model.upstream }, then: { text, write_bytes: 3 } });
      let seen = "";
      for await (const chunk of await create({ messages: ask("x"), stream: true })) {
        seen += chunk.choices[0].delta.content ?? "";
      }
      assert.equal(seen, text);
    });

    test("a stream that breaks off throws", async () => {
      await script({ when: { model: model.upstream }, then: { cut_after_bytes: 3000, ending: "reset" } });
      await assert.rejects(async () => {
        for await (const chunk of await create({ messages: ask("say 90 words"), stream: true })) {
          assert.equal(chunk.choices[0].finish_reason, null);
        }
      }, OpenAI.APIError);
      await script();
    });

    test("twenty streams at once", async () => {
      const one = async (count) => {
        let text = "";
        for await (const chunk of await create({ messages: ask(`say ${count} words`), stream: true })) {
          text += chunk.choices[0].delta.content ?? "";
        }
        return text === words(count);
      };
      assert.ok((await Promise.all([...Array(20).keys()].map((i) => one(i + 5)))).every(Boolean));
    });
  });
}

test("several answers", async () => {
  const answer = await connect().chat.completions.create({ model: dev.model, messages: ask("x"), n: 2 });
  assert.equal(answer.choices.length, 2);
});

test("models", async () => {
  const names = (await connect().models.list()).data.map((model) => model.id);
  assert.ok(names.includes(dev.model));
});

test("typed errors", async () => {
  const plain = (client, more) => client.chat.completions.create({ model: dev.model, messages: ask("x"), ...more });
  await assert.rejects(connect("wrong").models.list().then((page) => page), OpenAI.AuthenticationError);
  await assert.rejects(plain(connect(), { model: "nobody/nothing" }), OpenAI.NotFoundError);
  const broke = plain(connect(await brokeKey(), { maxRetries: 2 }), { max_tokens: 500 });
  await assert.rejects(broke, (error) => error.status === 402 && error.type === "quota_for_entity_exceeded");
  const slow = connect((await newKey({ limits: { requests_per_minute: 1 } })).key);
  await plain(slow);
  await assert.rejects(plain(slow), (error) => error instanceof OpenAI.RateLimitError && +error.headers.get("retry-after") >= 1);
  const large = plain(connect(), { messages: ask("x".repeat(33 << 20)) });
  await assert.rejects(large, (error) => error.status === 413);
});

test("the other provider answers", async () => {
  const model = await newModel("sim-openai", "sim-anthropic");
  for (const fault of [{ status: 500 }, { status: 529 }, { cut_after_bytes: 0, ending: "reset" }]) {
    await script({ when: { model: model.upstream }, times: 1, then: fault });
    const answer = await connect().chat.completions.create({ model: model.name, messages: ask("Hello") });
    assert.match(answer.choices[0].message.content, /Hello/);
  }
  await script();
});
