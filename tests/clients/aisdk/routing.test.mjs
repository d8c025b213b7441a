// `ai` with its gateway provider and `providerOptions.gateway`, as the documentation's examples send them; what came
// of it is read from `providerMetadata.gateway.routing`.
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createGateway } from "@ai-sdk/gateway";
import { generateText } from "ai";
import { tryAll, url } from "./examples.mjs";
import { dev } from "./installation.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const { version } = JSON.parse(readFileSync(new URL("../node_modules/ai/package.json", import.meta.url)));
const major = Number(version.split(".")[0]);
const base = { 5: "/v1/ai", 6: "/v3/ai", 7: "/v4/ai" }[major];

tryAll((name, run) => test(`SDK ${major}: ${name}`, run), async ({ model, options, key = dev.virtual_key }) => {
  const gateway = createGateway({ baseURL: url(base), apiKey: key });
  try {
    const answer = await generateText({
      model: gateway(model.name), prompt: "Hello", maxRetries: 0, providerOptions: { gateway: options },
    });
    const { routing } = answer.providerMetadata.gateway;
    const attempts = routing.modelAttempts.flatMap((one) => one.providerAttempts);
    return {
      status: 200,
      text: answer.text,
      provider: routing.finalProvider,
      credential: attempts.at(-1).credentialType,
      tried: attempts.map((one) => one.provider),
    };
  } catch (error) {
    if (!error.statusCode) throw error;
    return { status: error.statusCode, type: JSON.parse(error.cause?.responseBody ?? "{}").error?.type ?? error.type };
  }
});
