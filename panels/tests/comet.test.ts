// Comet as a host: whichever way keeps the bytes is taken, and bytes that text delivery destroyed are refused with a reason.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { AttnlogError, AssetError, NotRecordedError } from "../src/decode/errors";
import type { CometApi } from "../src/host/comet/api";
import { toBytes } from "../src/host/comet/bytes";
import { CometSource } from "../src/host/comet/source";
import { ARROW, asset, comet, elapsing, MANIFEST, noLink, PATH, silence } from "./comet";

async function got(api: CometApi, download: (url: string) => Promise<Response> = noLink) {
  const source = new CometSource(api, ["key"], download);
  await source.manifests("key");
  return source.get("key", PATH);
}

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

test("a link whose store refuses cookies is asked without them", async () => {
  const asked: unknown[] = [];
  const download = async (_url: string, init?: RequestInit) => {
    asked.push(init?.credentials);
    if (init?.credentials === "include") throw new TypeError("Failed to fetch");
    return new Response(ARROW);
  };
  const source = new CometSource(
    comet(() => null),
    ["key"],
    download,
  );
  await source.manifests("key");
  assert.deepEqual(await source.get("key", PATH), ARROW);
  assert.deepEqual(asked, ["include", "omit"]);
});

test("errors of a script with classes of its own are known by their names", async () => {
  const error = await got(comet(() => null)).catch((error) => error);
  assert.ok(error instanceof AssetError && error instanceof AttnlogError && !(error instanceof NotRecordedError));
  const foreign = Object.assign(new Error("x"), { kinds: ["NotRecordedError", "AttnlogError"] });
  assert.ok(foreign instanceof NotRecordedError);
  assert.ok(!(new Error("x") instanceof AttnlogError));
});

test("bytes and text are taken from buffers of another realm, and from answers that wrap them", async () => {
  const bytes = `[${[...ARROW]}]`;
  for (const made of [
    `new Uint8Array(${bytes}).buffer`,
    `new Uint8Array(${bytes})`,
    `({ data: new Uint8Array(${bytes}).buffer })`,
  ]) {
    const found = await toBytes(runInNewContext(made));
    assert.deepEqual(found, ARROW, made);
    assert.ok(found.buffer instanceof ArrayBuffer, made);
  }
  const letters = `new Uint8Array([${[...new TextEncoder().encode(MANIFEST)]}])`;
  const answers = [
    runInNewContext(`${letters}.buffer`),
    runInNewContext(`({ data: ${letters}.buffer, status: 200 })`),
    { data: MANIFEST, status: 200 },
    { data: JSON.parse(MANIFEST), status: 200 },
    new Blob([MANIFEST]),
    new Response(MANIFEST),
  ];
  for (const answer of answers) {
    const api = comet(() => null);
    api.experimentAsset = async () => answer;
    const [manifest] = await new CometSource(api, ["key"], noLink).manifests("key");
    assert.equal(manifest!.text.trim(), MANIFEST.trim());
  }
});

test("of a manifest that was pruned the newest is read, though another is longer; without times the longest", async () => {
  const read = async (...times: (number | null)[]) => {
    const sizes = [900, 100];
    const assets = times.map((createdAt, n) =>
      asset("manifest-w.jsonl", { assetId: `${sizes[n]}.jsonl`, createdAt, fileSize: sizes[n]! }),
    );
    let asked = "";
    const api = comet(() => null, assets);
    api.experimentAsset = async (_key, id) => {
      asked = id;
      return MANIFEST;
    };
    await new CometSource(api, ["key"]).manifests("key");
    return asked;
  };
  assert.equal(await read(1, 2), "100.jsonl");
  assert.equal(await read(2, 1), "900.jsonl");
  assert.equal(await read(null, null), "900.jsonl");
});

test("a typed call that is never answered gives way to the asset's link", async (t) => {
  const asked: (string | undefined)[] = [];
  const api = comet((_id, type) => {
    asked.push(type);
    return silence();
  });
  assert.deepEqual(await elapsing(t, () => got(api, async () => new Response(ARROW))), ARROW);
  assert.deepEqual(asked, ["arraybuffer"]);
});

test("where nothing is ever answered that is said, and what a large asset may take longer is waited for", async (t) => {
  const download = silence;
  await assert.rejects(
    elapsing(t, () => got(comet(silence), download)),
    /index\.arrow as it was logged \(arraybuffer: no answer within 20 s; link: no answer.*; blob: no answer/,
  );
});

test("a list of assets that never comes is said", async (t) => {
  const api = comet(() => null);
  api.experimentAssets = silence;
  await assert.rejects(
    elapsing(t, () => new CometSource(api, ["key"]).runs()),
    /did not list .* \(no answer within 20 s/,
  );
});

test("where only the copies as text are whole, each asset after the first is asked for once", async () => {
  const paths = [1, 2, 3].map((n) => `step-0000000${n}/w-0/index.arrow`);
  const calls: string[] = [];
  const copy = JSON.stringify({ base64: btoa(String.fromCharCode(...ARROW)) });
  const api = comet(
    (id, type) => {
      calls.push(id.endsWith(".json") ? "copy" : String(type));
      return id.endsWith(".json") ? copy : new TextDecoder().decode(ARROW);
    },
    [asset("manifest-w.jsonl"), ...paths.flatMap((path) => [asset(path), asset(`${path}.json`)])],
  );
  const source = new CometSource(api, ["key", "other"], noLink);
  await source.manifests("key");
  for (const path of paths) assert.deepEqual(await source.get("key", path), ARROW);
  assert.deepEqual(calls, ["arraybuffer", "blob", "copy", "copy", "copy"]);
});

test("an experiment without copies is read by the other ways, whatever worked for another", async () => {
  const copy = JSON.stringify({ base64: btoa(String.fromCharCode(...ARROW)) });
  const api = comet((id) => (id.endsWith(".json") ? copy : new TextDecoder().decode(ARROW)));
  api.experimentAssets = async (key) => [
    asset("manifest-w.jsonl"),
    asset(PATH),
    ...(key === "with" ? [asset(`${PATH}.json`)] : []),
  ];
  const source = new CometSource(api, ["with", "without"], noLink);
  assert.deepEqual(await source.get("with", PATH), ARROW);
  await assert.rejects(source.get("without", PATH), /bytes were replaced.*base64 copy: none was logged/);
});

test("a manifest is fetched again only when it is another asset", async () => {
  let id = "one.jsonl";
  const asked: string[] = [];
  const api = comet(() => null);
  api.experimentAssets = async () => [asset("manifest-w.jsonl", { assetId: id })];
  api.experimentAsset = async (_key, wanted) => {
    asked.push(wanted);
    return `${MANIFEST}${wanted}\n`;
  };
  const source = new CometSource(api, ["key"]);
  const texts: string[] = [];
  for (const now of ["one.jsonl", "one.jsonl", "two.jsonl", "two.jsonl"]) {
    id = now;
    texts.push((await source.manifests("key"))[0]!.text.split("\n")[1]!);
  }
  assert.deepEqual(texts, ["one.jsonl", "one.jsonl", "two.jsonl", "two.jsonl"]);
  assert.deepEqual(asked, ["one.jsonl", "two.jsonl"]);
});

test("a word of Comet's own is no manifest", async () => {
  const api = comet(() => null);
  api.experimentAsset = async (_key, _id, type) => (type === "text" ? { message: "unknown type" } : MANIFEST);
  assert.equal((await new CometSource(api, ["key"], noLink).manifests("key"))[0]!.text, MANIFEST);
  api.experimentAsset = async () => "not found";
  await assert.rejects(
    new CometSource(api, ["key"], noLink).manifests("key"),
    /did not give manifest-w\.jsonl \(text: it is not the text that was logged; .*link: HTTP 403\)/,
  );
});
