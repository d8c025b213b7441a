// The OpenAI SDK with the gateway's options in `providerOptions`, as the documentation's examples send them.
import { test } from "node:test";
import OpenAI from "openai";
import { tryAll, url } from "./examples.mjs";
import { ask, dev } from "./installation.mjs";

for (const stream of [false, true]) {
  const once = async ({ model, options, key = dev.virtual_key }) => {
    const client = new OpenAI({ baseURL: url("/v1"), apiKey: key, maxRetries: 0 });
    const body = { model: model.name, messages: ask("Hello"), stream, providerOptions: { gateway: options } };
    try {
      const { data, response } = await client.chat.completions.create(body).withResponse();
      const said = { text: "", routing: undefined };
      const read = (one) => {
        said.text += one?.content ?? "";
        said.routing ??= one?.provider_metadata?.gateway?.routing;
      };
      if (stream) for await (const chunk of data) read(chunk.choices[0]?.delta);
      else read(data.choices[0].message);
      const header = (name) => response.headers.get(`x-tidegate-${name}`);
      // Plan and attempts are told to whoever asks something of the gateway.
      const tried = said.routing?.modelAttempts.flatMap((one) => one.providerAttempts).map((one) => one.provider);
      return { status: 200, text: said.text, provider: header("provider"), credential: header("credential"), tried };
    } catch (error) {
      if (!(error instanceof OpenAI.APIError)) throw error;
      return { status: error.status, type: error.type, param: error.param };
    }
  };
  tryAll((name, run) => test(`${stream ? "streamed" : "whole"}: ${name}`, run), once);
}
