// The examples of the Vercel AI Gateway's documentation on provider options (order, only, sort, models, byok,
// zeroDataRetention), as both SDKs send them: what is asked, and what CLIENTS.md 2.4 and 2.5 say must come of it.
import assert from "node:assert/strict";
import { admin, arrived, dev, newKey, newModel, script } from "./installation.mjs";

export const [FIRST, SECOND] = ["sim-openai", "sim-anthropic"];

/** Two of the caller's own keys; the simulated providers take any, unless they are told to refuse. */
const [OWN, OTHER] = [{ apiKey: "own" }, { apiKey: "other" }];
const refuseOnce = (model) => script({ when: { model: model.upstream }, times: 1, then: { status: 401 } });

/** Facts that make an offering one of zero retention. */
const FACTS = {
  retention: "none", training: "never", source: "https://example.com/zdr", read_at: "2026-11-01T00:00:00Z", expires_at: "2027-06-01T00:00:00Z",
};

const policy = async (fields) => {
  const key = await newKey();
  await admin("POST", "/policies?wait=fleet", { name: key.name, scope: { key: key.id }, ...fields });
  return key.key;
};

/** Vouches for what a provider does with a model's data. */
async function vouch(model, provider) {
  let cursor = "";
  for (;;) {
    const page = await admin("GET", `/offerings?limit=100${cursor}`);
    const offering = page.data.find((one) => one.model === model.name && one.provider === provider);
    if (offering) return admin("PATCH", `/offerings/${offering.id}?wait=fleet`, { data_handling: FACTS });
    assert.ok(page.has_more, `no offering of ${model.name} by ${provider}`);
    cursor = `&cursor=${encodeURIComponent(page.next_cursor)}`;
  }
}

const failing = (provider) => script({ when: { provider }, then: { status: 500 } });

/**
 * `ask({model, options, key})` calls once and gives `{text, provider, credential, tried, status, type, param}`.
 * Each example is a name and what is to be done.
 */
export const examples = (ask) => {
  const both = () => newModel(FIRST, SECOND);
  const served = async (question) => {
    const answer = await ask(question);
    assert.equal(answer.status, 200, JSON.stringify(answer));
    assert.match(answer.text, /simulated|Hello|word/);
    return answer;
  };
  return {
    "order: the named first, the rest as fallbacks": async () => {
      const model = await both();
      assert.equal((await served({ model, options: { order: [SECOND, FIRST] } })).provider, SECOND);
      assert.equal((await served({ model, options: { order: [FIRST] } })).provider, FIRST);
      await failing(SECOND);
      const answer = await served({ model, options: { order: [SECOND] } });
      assert.equal(answer.provider, FIRST);
      if (answer.tried) assert.deepEqual(answer.tried, [SECOND, FIRST]);
    },
    "order: names that offer nothing are passed over": async () => {
      assert.equal((await served({ model: await both(), options: { order: ["bedrock", SECOND] } })).provider, SECOND);
    },
    "only: nobody else, whatever happens": async () => {
      const model = await both();
      assert.equal((await served({ model, options: { only: [SECOND] } })).provider, SECOND);
      await failing(SECOND);
      const refused = await ask({ model, options: { only: [SECOND] } });
      assert.equal(refused.status, 500, JSON.stringify(refused));
      await script();
      const none = await ask({ model, options: { only: ["bedrock"] } });
      assert.deepEqual([none.status, none.type], [400, "no_providers_available"]);
    },
    "only and order together: the filter first, then the order": async () => {
      const model = await both();
      const options = { only: [FIRST, SECOND], order: [SECOND] };
      assert.equal((await served({ model, options })).provider, SECOND);
      assert.equal((await served({ model, options: { only: [FIRST], order: [SECOND] } })).provider, FIRST);
    },
    "sort: by cost the cheapest, by ttft and tps whoever was measured best": async () => {
      const model = await newModel(SECOND);
      const offering = await admin("POST", "/offerings", { model: model.name, provider: FIRST, upstream_name: model.upstream });
      const prices = [{ unit: "input_token", price: "0.00005" }, { unit: "output_token", price: "0.0002" }];
      const tiers = [{ from_input_tokens: 0, prices }];
      await admin("POST", "/prices?wait=fleet", { offering_id: offering.id, tiers, source: "simulator" });
      assert.equal((await served({ model, options: { sort: "cost" } })).provider, SECOND);
      await served({ model, options: { only: [FIRST] } });
      for (const sort of ["ttft", "tps"]) {
        assert.ok([FIRST, SECOND].includes((await served({ model, options: { sort } })).provider));
      }
      const dear = await served({ model, options: { sort: "cost", order: [FIRST] } });
      assert.equal(dear.provider, FIRST, "what is ordered comes first, the rest by the metric");
    },
    "models: fallbacks after the model asked for, each with all of its providers": async () => {
      const [main, other] = [await newModel(FIRST), await newModel(FIRST, SECOND)];
      assert.equal((await served({ model: main, options: { models: [other.name] } })).provider, FIRST);
      await script({ when: { model: main.upstream }, then: { status: 500 } });
      await served({ model: main, options: { models: ["nobody/nothing", other.name] } });
      assert.ok((await arrived(other)).length >= 1, "the fallback answered");
      await script({ when: { model: main.upstream }, then: { status: 400 } });
      await served({ model: main, options: { models: [other.name], order: [SECOND] } });
      assert.ok((await arrived(other)).some((entry) => entry.path.startsWith("/anthropic")));
    },
    "byok: the request's credentials in their order, and nothing of them is kept": async () => {
      const model = await newModel(FIRST);
      await refuseOnce(model);
      const answer = await served({ model, options: { byok: { [FIRST]: [OWN, OTHER] } } });
      assert.deepEqual([answer.provider, answer.credential], [FIRST, "byok"]);
      if (answer.tried) assert.deepEqual(answer.tried, [FIRST, FIRST]);
      const keys = (await arrived(model)).map((entry) => JSON.stringify(entry.headers));
      assert.ok(keys[0].includes("Bearer own") && keys[1].includes("Bearer other"), keys.join());
      await refuseOnce(model);
      const fallback = await served({ model, options: { byok: { [FIRST]: [OWN] } } });
      assert.equal(fallback.credential, "system", "then the system's credential, which is charged");
    },
    "byok: no system credentials where the policy says so": async () => {
      const key = await policy({ allow_system_credentials: false });
      const model = await newModel(FIRST);
      assert.equal((await served({ model, key, options: { byok: { [FIRST]: [OWN] } } })).credential, "byok");
      await refuseOnce(model);
      const refused = await ask({ model, key, options: { byok: { [FIRST]: [OWN] } } });
      assert.ok(refused.status >= 400, JSON.stringify(refused));
    },
    "zeroDataRetention: only who is vouched for, also as fallback; nobody is 400": async () => {
      const model = await both();
      const none = await ask({ model, options: { zeroDataRetention: true } });
      assert.deepEqual([none.status, none.type], [400, "no_providers_available"]);
      await vouch(model, SECOND);
      const answer = await served({ model, options: { zeroDataRetention: true, order: [FIRST] } });
      assert.equal(answer.provider, SECOND);
      await failing(SECOND);
      const refused = await ask({ model, options: { zeroDataRetention: true } });
      assert.equal(refused.status, 500, "the other one is no fallback");
      assert.ok((await arrived(model)).every((entry) => entry.path.startsWith("/anthropic")));
    },
    "zeroDataRetention: a request cannot undo the key's policy, and its own credential is vouched for by nobody": async () => {
      const key = await policy({ privacy: { zdr: "zdr" } });
      const model = await both();
      await vouch(model, SECOND);
      assert.equal((await served({ model, key, options: { zeroDataRetention: false } })).provider, SECOND);
      const own = await served({ model, key, options: { byok: { [SECOND]: [OWN] } } });
      assert.equal(own.credential, "system");
    },
    "disallowPromptTraining: only who does not train": async () => {
      const model = await both();
      const none = await ask({ model, options: { disallowPromptTraining: true } });
      assert.deepEqual([none.status, none.type], [400, "no_providers_available"]);
      await vouch(model, FIRST);
      assert.equal((await served({ model, options: { disallowPromptTraining: true } })).provider, FIRST);
    },
  };
};

/** Runs every example as a test of its own. */
export function tryAll(test, ask) {
  for (const [name, example] of Object.entries(examples(ask))) {
    test(name, async () => {
      try {
        await example();
      } finally {
        await script();
      }
    });
  }
}

export const url = (path) => `${dev.gateway_url}${path}`;
