// Comet as a host: whichever way keeps the bytes is taken, and bytes that text delivery destroyed are refused with a reason.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type CometApi, type CometAsset, CometSource } from "../src/host/comet";

const PATH = "step-00000001/w-0/index.arrow";
const ARROW = Uint8Array.from(
  [..."ARROW1\0\0"]
    .map((c) => c.charCodeAt(0))
    .concat(
      [0xff, 0xfe, 0, 200, 7],
      [..."ARROW1"].map((c) => c.charCodeAt(0)),
    ),
);
const RECORD = { path: PATH, kind: "index", bytes: ARROW.length };
const MANIFEST = `${JSON.stringify({ type: "commit", n: 0, inputs: RECORD, assets: [] })}\n`;

function asset(fileName: string, more: Partial<CometAsset> = {}): CometAsset {
  return {
    assetId: fileName,
    fileName: `attnlog/${fileName}`,
    createdAt: 1,
    link: `https://comet.test/${fileName}`,
    ...more,
  };
}

function comet(
  give: (asset: string, type: string | undefined) => unknown,
  assets = [asset("manifest-w.jsonl"), asset(PATH)],
): CometApi {
  return {
    experimentAssets: async () => assets,
    experimentAsset: async (_key, id, type) => (id.endsWith(".jsonl") ? MANIFEST : give(id, type)),
    experimentName: async () => "run one",
  };
}

const noLink = async () => new Response("no", { status: 403 });

async function got(api: CometApi, download: (url: string) => Promise<Response> = noLink) {
  const source = new CometSource(api, ["key"], download);
  await source.manifests("key");
  return source.get("key", PATH);
}

test("an experiment is a run, under its name", async () => {
  assert.deepEqual(
    await new CometSource(
      comet(() => null),
      ["key"],
    ).runs(),
    [{ id: "key", name: "run one" }],
  );
});

test("of a manifest that was replaced the newest is read", async () => {
  const api = comet(
    () => null,
    [
      asset("manifest-w.jsonl", { assetId: "new.jsonl", createdAt: 2 }),
      asset("manifest-w.jsonl", { assetId: "old.jsonl" }),
    ],
  );
  let asked = "";
  api.experimentAsset = async (_key, id) => {
    asked = id;
    return MANIFEST;
  };
  await new CometSource(api, ["key"]).manifests("key");
  assert.equal(asked, "new.jsonl");
});

test("bytes are taken from a typed call that gives an array buffer", async () => {
  assert.deepEqual(await got(comet((_id, type) => (type === "arraybuffer" ? ARROW.slice().buffer : "no"))), ARROW);
});

test("bytes are taken from a blob where the typed call gives something else", async () => {
  assert.deepEqual(
    await got(comet((_id, type) => (type === "blob" ? new Blob([ARROW]) : { message: "unknown type" }))),
    ARROW,
  );
});

test("bytes are taken from text whose characters are bytes", async () => {
  assert.deepEqual(await got(comet(() => String.fromCharCode(...ARROW))), ARROW);
});

test("bytes are taken from the asset's link where calls give text", async () => {
  const mangled = new TextDecoder().decode(ARROW);
  assert.deepEqual(
    await got(
      comet(() => mangled),
      async () => new Response(ARROW),
    ),
    ARROW,
  );
});

test("bytes are taken from the base64 copy where nothing else gives them", async () => {
  const assets = [asset("manifest-w.jsonl"), asset(PATH), asset(`${PATH}.json`)];
  const copy = JSON.stringify({ base64: btoa(String.fromCharCode(...ARROW)) });
  const api = comet((id) => (id.endsWith(".json") ? copy : new TextDecoder().decode(ARROW)), assets);
  assert.deepEqual(await got(api), ARROW);
});

test("text in which bytes were replaced is refused with the reason and the remedy", async () => {
  const api = comet(() => new TextDecoder().decode(ARROW));
  await assert.rejects(got(api), /index\.arrow as it was logged.*bytes were replaced.*HTTP 403.*ATTNLOG_COMET_TWIN=1/);
});

test("bytes of another length than the manifest says are refused", async () => {
  const api = comet(() => Uint8Array.from([...ARROW, 1]).buffer);
  await assert.rejects(got(api), /has 20 bytes instead of 19/);
});

test("the length of a roll-up is known from its own line", async () => {
  const path = "indexes-w.arrow";
  const line = JSON.stringify({
    type: "indexes",
    commits: [0],
    asset: { path, kind: "indexes", bytes: ARROW.length + 1 },
  });
  const api = comet(() => ARROW.slice().buffer, [asset("manifest-w.jsonl"), asset(path)]);
  const give = api.experimentAsset;
  api.experimentAsset = async (key, id, type) => (id.endsWith(".jsonl") ? `${line}\n` : give(key, id, type));
  const source = new CometSource(api, ["key"], noLink);
  await source.manifests("key");
  await assert.rejects(source.get("key", path), /has 19 bytes instead of 20/);
});

test("an error names no address, which can carry a credential", async () => {
  const api = comet(() => Promise.reject(new Error("GET https://comet.test/x?apiKey=secret failed")));
  await assert.rejects(got(api), (error: Error) => !error.message.includes("secret"));
});

test("a way that worked is asked first the next time", async () => {
  const asked: unknown[] = [];
  const api = comet((_id, type) => {
    asked.push(type);
    return type === "blob" ? new Blob([ARROW]) : null;
  });
  const source = new CometSource(api, ["key"], noLink);
  await source.manifests("key");
  await source.get("key", PATH);
  await source.get("key", PATH);
  assert.deepEqual(asked, ["arraybuffer", "blob", "blob"]);
});
