// The running installation, described by its dev.json, and its simulated providers.
import { generateKeyPairSync, sign } from "node:crypto";
import { readFileSync } from "node:fs";

export const dev = JSON.parse(readFileSync(process.env.TIDEGATE_DEV_JSON, "utf8"));

export const ask = (content) => [{ role: "user", content }];

export const words = (count) => Array(count).fill("word").join(" ");

async function call(method, url, body, headers) {
  const answer = await fetch(url, {
    method,
    headers: { ...headers, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

export const admin = (method, path, body) =>
  call(method, `${dev.control_url}/api/v1${path}`, body, { authorization: `Bearer ${dev.admin_token}` });

/** Scripts the simulated providers; without rules they behave. */
export const script = (...rules) => call("POST", `${dev.simulator_url}/script`, { rules });

/** What arrived at the simulated providers for a model of a test's own. */
export const arrived = async (model) =>
  (await call("GET", `${dev.simulator_url}/journal`)).filter((entry) => JSON.stringify(entry).includes(model.upstream));

/** A fresh virtual key, known to every node. */
export async function newKey(fields = {}) {
  const teams = await admin("GET", "/teams");
  const name = `node-${crypto.randomUUID()}`;
  return admin("POST", "/keys?wait=fleet", { team_id: teams.data[0].id, name, ...fields });
}

/** A fresh virtual key under a budget that affords nothing. */
export async function brokeKey() {
  const key = await newKey();
  const scope = { key: key.id };
  const budget = { name: key.name, limit: "0.000001", window: { every: "month" }, scope, enforcement: "hard", mode: "strict" };
  await admin("POST", "/budgets?wait=fleet", budget);
  return key.key;
}

/** A fresh model at these providers only: each surface meets each dialect. */
export async function newModel(...providers) {
  const tag = crypto.randomUUID().slice(0, 8);
  // Where names tell: a model that reasons and signs its thoughts.
  const family = { "sim-gemini": "gemini-3", "sim-bedrock": "us.anthropic.claude" }[providers[0]] ?? "upstream";
  const [name, upstream] = [`sim/node-${tag}`, `${family}-${tag}`];
  const capabilities = { tools: true, vision: true, reasoning: true, structured_output: true };
  await admin("POST", "/models", { name, context_window: 128_000, max_output_tokens: 16_384, capabilities });
  const prices = [
    { unit: "input_token", price: "0.0000005" },
    { unit: "output_token", price: "0.000002" },
    { unit: "cached_input_token", price: "0.00000025" },
  ];
  for (const provider of providers) {
    const offering = await admin("POST", "/offerings", { model: name, provider, upstream_name: upstream });
    const tiers = [{ from_input_tokens: 0, prices }];
    await admin("POST", "/prices?wait=fleet", { offering_id: offering.id, tiers, source: "simulator" });
  }
  return { name, upstream };
}

const base64 = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/**
 * A trust rule for an issuer of a test's own, whose key is pasted in: its tokens, known to every node. Without an
 * audience, the one that names the organization; with a platform's fixed one, callers say `organization` in a header.
 */
export async function newIssuer(fixedAudience) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = `node-${crypto.randomUUID()}`;
  const issuer = `https://${name}.example`;
  const jwks = { keys: [{ ...publicKey.export({ format: "jwk" }), kid: "a", alg: "ES256", use: "sig" }] };
  const [me, teams] = [await admin("GET", "/me"), await admin("GET", "/teams")];
  const claims = { environment: ["production"] };
  const rule = { name, team_id: teams.data[0].id, issuer, audience: fixedAudience, jwks, claims };
  const { key_id, audience } = await admin("POST", "/trust-rules?wait=fleet", rule);
  const token = (claims = {}) => {
    const now = Math.floor(Date.now() / 1000);
    const all = { iss: issuer, aud: audience, sub: "app", iat: now, exp: now + 3600, environment: "production", ...claims };
    const message = `${base64({ alg: "ES256", kid: "a", typ: "JWT" })}.${base64(all)}`;
    const signature = sign("sha256", Buffer.from(message), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return `${message}.${signature.toString("base64url")}`;
  };
  const organization = me.memberships[0].organization_id;
  /** What a platform's operator does: such tokens are then the organization's without a word about it. */
  const bind = () =>
    admin("PATCH", `/organizations/${organization}?wait=fleet`, { bound_issuers: { [issuer]: [audience] } });
  return { key_id, name, organization, token, bind };
}
