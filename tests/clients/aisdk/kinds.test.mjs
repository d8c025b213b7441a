// `ai` with its gateway provider beyond language models: embeddings, images, rerankings, speech, transcripts, videos.
// Kinds that a version does not have are skipped by its own lack of the function.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createGateway } from "@ai-sdk/gateway";
import * as ai from "ai";
import { dev } from "./installation.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const major = Number(JSON.parse(readFileSync(new URL("../node_modules/ai/package.json", import.meta.url))).version.split(".")[0]);
const base = { 5: "/v1/ai", 6: "/v3/ai", 7: "/v4/ai" }[major];
const gateway = createGateway({ baseURL: `${dev.gateway_url}${base}`, apiKey: dev.virtual_key });
const costs = (metadata) => {
  assert.match(metadata.gateway.generationId, /^gen_[0-9A-Z]{26}$/);
  assert.ok(Number(metadata.gateway.cost) > 0 && typeof metadata.gateway.cost === "string");
};

test(`SDK ${major}: one embedding and many`, async () => {
  const model = (gateway.embeddingModel ?? gateway.textEmbeddingModel).call(gateway, dev.embedding_model);
  const one = await ai.embed({ model, value: "a tide", providerOptions: { gateway: { tags: ["e"] } } });
  const many = await ai.embedMany({ model, values: ["a gate", "a tide"] });
  assert.deepEqual(many.embeddings[1], one.embedding);
  assert.ok(one.usage.tokens > 0 && many.usage.tokens > one.usage.tokens);
  costs(one.providerMetadata);
});

test(`SDK ${major}: images`, async () => {
  const generate = ai.generateImage ?? ai.experimental_generateImage;
  const made = await generate({ model: gateway.imageModel(dev.image_model), prompt: "a gate", n: 2 });
  assert.deepEqual(made.images.map((image) => image.mediaType), ["image/png", "image/png"]);
  assert.deepEqual(made.warnings, []);
});

test(`SDK ${major}: rerankings`, { skip: !(ai.rerank && gateway.rerankingModel) }, async () => {
  const model = gateway.rerankingModel(dev.reranking_model);
  const ranked = await ai.rerank({ model, query: "tide", documents: ["a gate", "a tide"], topN: 1 });
  assert.deepEqual(ranked.rerankedDocuments, ["a tide"]);
});

test(`SDK ${major}: speech, written down again`, { skip: !gateway.speechModel }, async () => {
  const speak = ai.generateSpeech ?? ai.experimental_generateSpeech;
  const write = ai.transcribe ?? ai.experimental_transcribe;
  const spoken = await speak({ model: gateway.speechModel(dev.speech_model), text: "hello", voice: "alloy", outputFormat: "wav" });
  assert.equal(spoken.audio.mediaType, "audio/wav");
  const written = await write({ model: gateway.transcriptionModel(dev.transcription_model), audio: spoken.audio.uint8Array });
  assert.equal(written.text, "Silence of 1 seconds.");
  assert.deepEqual([written.language, written.durationInSeconds, written.segments.length], ["en", 1, 1]);
});

test(`SDK ${major}: a video, waited for and asked for`, { skip: !(ai.experimental_generateVideo && gateway.videoModel) }, async () => {
  const ask = { model: gateway.videoModel(dev.video_model), prompt: "a tide", duration: 4 };
  const waited = await ai.experimental_generateVideo(ask);
  const head = Buffer.from(waited.video.uint8Array).subarray(4, 8).toString();
  assert.deepEqual([waited.video.mediaType, head], ["video/mp4", "ftyp"]);
  costs(waited.providerMetadata);
  if (major >= 7) {
    const asked = await ai.experimental_generateVideo({ ...ask, poll: { intervalMs: 50 } });
    assert.deepEqual([asked.videos.length, asked.video.mediaType], [1, "video/mp4"]);
  }
  await assert.rejects(ai.experimental_generateVideo({ ...ask, seed: 7 }), (error) => {
    assert.equal(error.statusCode, 400);
    return /seed/.test(error.message);
  });
  // Not tried again: each try would be charged.
  await assert.rejects(ai.experimental_generateVideo({ ...ask, prompt: "this will fail" }), (error) => {
    assert.equal(error.statusCode, 424);
    return /moderation/.test(error.message);
  });
});
