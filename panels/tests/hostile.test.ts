// Each way an asset can be bad has its named error, and none reaches a view.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runJob } from "../src/decode/jobs";
import { LIMITS } from "../src/decode/limits";
import { isAssetPath, mergeManifests, parseManifest } from "../src/decode/manifest";
import { digestOf } from "../src/decode/verify";
import { findLayer } from "../src/session/scene";
import { type Damage, manifests, open } from "./golden";

const name = (wanted: string) => (error: Error) => {
  assert.equal(error.name, wanted, error.message);
  return true;
};

const only =
  (file: string, change: (bytes: Uint8Array) => Uint8Array): Damage =>
  (path, bytes) =>
    path.endsWith(file) ? change(bytes) : bytes;

const flip =
  (at: number) =>
  (bytes: Uint8Array): Uint8Array => {
    bytes[at < 0 ? bytes.length + at : at]! ^= 1;
    return bytes;
  };

test("a truncated file is AssetTruncated and names the asset", async () => {
  const opened = open(
    "decoder",
    true,
    only("index.arrow", (bytes) => bytes.slice(0, -1)),
  );
  await assert.rejects(opened.scene(100), (error: Error) => {
    assert.match(error.message, /index\.arrow/);
    return name("AssetTruncated")(error);
  });
});

test("a file that grew is refused", async () => {
  const longer = (bytes: Uint8Array): Uint8Array => Uint8Array.from([...bytes, 0]);
  await assert.rejects(open("decoder", true, only("index.arrow", longer)).scene(100), name("AssetTooLarge"));
});

for (const at of [0, 40, 500, -20]) {
  test(`a flipped bit at ${at} is AssetDigestMismatch`, async () => {
    await assert.rejects(open("decoder", true, only("index.arrow", flip(at))).scene(100), name("AssetDigestMismatch"));
  });
}

for (const ranges of [true, false]) {
  test(`a flipped bit inside one layer is found ${ranges ? "by its own digest" : "in a whole file"}`, async () => {
    const opened = open("decoder", ranges, only("attention.arrow", flip(-900)));
    const scene = await opened.scene(100);
    const layers = [0, 1].map((layer) => findLayer(scene, 0, "self", layer)!);
    const found = await Promise.allSettled(layers.map((layer) => opened.store.weights(scene, layer)));
    const bad = found.filter((one) => one.status === "rejected");
    assert.equal(bad.length, 1);
    assert.equal((bad[0] as PromiseRejectedResult).reason.name, "AssetDigestMismatch");
  });
}

test("a declared size above the cap is AssetTooLarge before anything is decoded", async () => {
  const bytes = new Uint8Array(16);
  const part = { bytes, expected: { asset: "x", bytes: 16, sha256: await digestOf(bytes) } };
  const job = { kind: "index" as const, asset: "x", parts: [part], decoded: 2 ** 32, rows: 1, limits: LIMITS };
  await assert.rejects(runJob(job), name("AssetTooLarge"));
});

test("bytes that are no Arrow file are AssetSchemaError", async () => {
  const bytes = new Uint8Array(4096).fill(65);
  const part = { bytes, expected: { asset: "x", bytes: bytes.length, sha256: await digestOf(bytes) } };
  const job = { kind: "index" as const, asset: "x", parts: [part], decoded: 100, rows: 1, limits: LIMITS };
  await assert.rejects(runJob(job), name("AssetSchemaError"));
});

test("an asset of another kind is AssetSchemaError", async () => {
  const opened = open("decoder", true, (_path, bytes) => bytes);
  const commit = structuredClone(opened.commits[0]!);
  const pictures = commit.assets.find((one) => one.kind === "pictures")!;
  const index = commit.assets.find((one) => one.kind === "index")!;
  Object.assign(index, { ...pictures, kind: "index" });
  await assert.rejects(opened.store.index(commit), name("AssetSchemaError"));
});

test("a place that lies outside its asset, or in one that the manifest does not name, is AssetSchemaError", async () => {
  const opened = open("decoder");
  const scene = await opened.scene(100);
  const entry = findLayer(scene, 0, "self", 0)!;
  const part = scene.index.parts[scene.index.attention[entry.rows[0]!]!]!;
  const before = opened.gets.length;
  for (const change of [{ offset: 1e9 }, { length: 1e6 }, { path: "later.arrow" }]) {
    const known = { ...part };
    Object.assign(part, change);
    await assert.rejects(opened.store.weights(scene, entry)!, name("AssetSchemaError"));
    Object.assign(part, known);
  }
  assert.equal(opened.gets.length, before, "nothing was asked for");
  await opened.store.weights(scene, entry);
});

test("a place that holds another layer is AssetSchemaError", async () => {
  const opened = open("decoder");
  const scene = await opened.scene(100);
  const [first, second] = [0, 1].map((layer) => findLayer(scene, 0, "self", layer)!);
  await opened.store.weights(scene, second!);
  for (const what of ["attention", "vectors"] as const) {
    for (const [i, row] of first!.rows.entries()) scene.index[what][row] = scene.index[what][second!.rows[i]!]!;
  }
  await assert.rejects(opened.store.weights(scene, first!)!, name("AssetSchemaError"));
  await assert.rejects(opened.store.vectors(scene, first!)!, name("AssetSchemaError"));
});

test("a later format version is refused by name", () => {
  const [manifest] = manifests("decoder");
  const text = manifest!.text.replace('"attnlog": 1', '"attnlog": 2').replace('"attnlog":1', '"attnlog":2');
  assert.throws(() => parseManifest("manifest-golden-1.jsonl", text), name("AssetVersionError"));
});

for (const path of [
  "../etc/passwd",
  "/etc/passwd",
  "step-00000001/w-0/../../x.arrow",
  "step-1/w-0/index.arrow",
  "step-00000001/W-0/index.arrow",
  "step-00000001/w-0/index.arrow\n",
  "inputs-0123456789ABCDEF.arrow",
  "https://example.org/inputs-0123456789abcdef.arrow",
]) {
  test(`the path ${JSON.stringify(path)} is refused`, () => {
    assert.equal(isAssetPath(path), false);
    const text = manifests("decoder")[0]!.text.replace(/inputs-[0-9a-f]{16}\.arrow/, JSON.stringify(path).slice(1, -1));
    assert.throws(() => mergeManifests([{ name: "manifest-golden-1.jsonl", text }]), name("AssetSchemaError"));
  });
}

test("a line that is no JSON is AssetSchemaError, naming the line", () => {
  const text = `${manifests("decoder")[0]!.text.split("\n")[0]}\n{broken\n`;
  assert.throws(() => parseManifest("manifest-golden-1.jsonl", text), /manifest-golden-1\.jsonl line 2/);
});
