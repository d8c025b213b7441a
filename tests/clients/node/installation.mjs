// The running installation, described by its dev.json.
import { readFileSync } from "node:fs";

export const dev = JSON.parse(readFileSync(process.env.TIDEGATE_DEV_JSON, "utf8"));

export const ask = (content) => [{ role: "user", content }];

async function admin(method, path, body) {
  const answer = await fetch(`${dev.control_url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${dev.admin_token}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** A fresh virtual key under a budget that affords nothing. */
export async function brokeKey() {
  const teams = await admin("GET", "/teams");
  const name = `node-${crypto.randomUUID()}`;
  const key = await admin("POST", "/keys?wait=fleet", { team_id: teams.data[0].id, name });
  const budget = { name, limit: "0.000001", window: { every: "month" }, scope: { key: key.id }, enforcement: "hard", mode: "strict" };
  await admin("POST", "/budgets?wait=fleet", budget);
  return key.key;
}
