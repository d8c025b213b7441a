// A platform's signed token where the key stands, in unmodified SDKs.
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { ask, dev, newIssuer, newModel } from "./installation.mjs";

describe("a signed token in place of a key", () => {
  let issuer, model;
  before(async () => void ([issuer, model] = [await newIssuer(), await newModel("sim-openai")]));
  const openai = (apiKey) => new OpenAI({ baseURL: `${dev.gateway_url}/v1`, apiKey, maxRetries: 0 });

  test("calls with the OpenAI SDK, whole and streamed", async () => {
    const client = openai(issuer.token());
    const whole = await client.chat.completions.create({ model: model.name, messages: ask("Hello") });
    assert.ok(whole.choices[0].message.content);
    const stream = await client.chat.completions.create({ model: model.name, messages: ask("Hello"), stream: true });
    let said = "";
    for await (const chunk of stream) said += chunk.choices[0]?.delta.content ?? "";
    assert.ok(said);
    assert.ok((await client.models.list()).data.length);
  });

  test("calls with the Anthropic SDK, as key and as bearer token", async () => {
    for (const how of [{ apiKey: issuer.token() }, { apiKey: null, authToken: issuer.token() }]) {
      const client = new Anthropic({ baseURL: dev.gateway_url, maxRetries: 0, ...how });
      const answer = await client.messages.create({ model: model.name, max_tokens: 50, messages: ask("Hello") });
      assert.equal(answer.content[0].type, "text");
    }
  });

  test("is refused as a key is when it does not fit", async () => {
    const refused = (claims) =>
      assert.rejects(
        openai(issuer.token(claims)).chat.completions.create({ model: model.name, messages: ask("Hello") }),
        (error) => error instanceof OpenAI.AuthenticationError && error.status === 401,
      );
    await refused({ environment: "preview" });
    await refused({ exp: Math.floor(Date.now() / 1000) - 60 });
    await refused({ aud: "another" });
  });
});
