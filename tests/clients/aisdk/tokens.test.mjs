// The gateway provider without a key: it sends the platform's own token (VERCEL_OIDC_TOKEN) by itself.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createGateway } from "@ai-sdk/gateway";
import { generateText } from "ai";
import { dev, newIssuer, newModel } from "./installation.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const { version } = JSON.parse(readFileSync(new URL("../node_modules/ai/package.json", import.meta.url)));
const base = { 5: "/v1/ai", 6: "/v3/ai", 7: "/v4/ai" }[Number(version.split(".")[0])];

const signsIn = async (issuer, headers) => {
  const model = await newModel("sim-openai");
  delete process.env.AI_GATEWAY_API_KEY;
  process.env.VERCEL_OIDC_TOKEN = issuer.token();
  const gateway = createGateway({ baseURL: `${dev.gateway_url}${base}`, headers });
  const { text } = await generateText({ model: gateway(model.name), prompt: "Hello", maxRetries: 0 });
  assert.ok(text);
  process.env.VERCEL_OIDC_TOKEN = issuer.token({ environment: "preview" });
  await assert.rejects(generateText({ model: gateway(model.name), prompt: "Hello", maxRetries: 0 }), (error) =>
    /GatewayAuthenticationError/.test(error.name),
  );
};

test(`SDK ${version} signs in with a token made for its organization`, async () => signsIn(await newIssuer()));

test(`SDK ${version} signs in with its platform's token and says whose it is`, async () => {
  const issuer = await newIssuer("https://vercel.com/acme");
  await signsIn(issuer, { "x-tidegate-organization": issuer.organization });
});

test(`SDK ${version} signs in with its platform's token alone where the operator bound its issuer`, async () => {
  const issuer = await newIssuer("https://vercel.com/acme");
  await assert.rejects(signsIn(issuer), (error) => /GatewayAuthenticationError/.test(error.name));
  await issuer.bind();
  await signsIn(issuer);
});
