// Comet as a host: whichever way keeps the bytes is taken, and bytes that text delivery destroyed are refused with a reason.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AttnlogError, AssetError, NotRecordedError } from "../src/decode/errors";
import { readOptions, VIEWS } from "../src/host/comet/options";
import { kept } from "../src/host/comet/panel";
import { VIEWS as REGISTRY } from "../src/views/registry";
import { type CometApi, type CometAsset, CometSource } from "../src/host/comet/source";

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

test("experiments without attention are left out, and one that Comet no longer knows", async () => {
  const api = comet(() => null);
  api.experimentAssets = async (key) => {
    if (key === "gone") throw new Error("404");
    return key === "empty" ? [asset("../model.pt", { fileName: "model.pt" })] : [asset("manifest-w.jsonl")];
  };
  api.experimentName = async (key) => `run ${key}`;
  const found = await new CometSource(api, ["empty", "gone", "one", "two"]).runs();
  assert.deepEqual(
    found.map(({ id }) => id),
    ["one", "two"],
  );
});

test("what is to be done is said where no experiment is chosen, and where none has attention", async () => {
  const api = comet(() => null, []);
  const said = async (keys: string[]) => {
    const error = await new CometSource(api, keys).runs().then(
      () => assert.fail("there is nothing to show"),
      (error) => error as AttnlogError,
    );
    return `${error.name}: ${error.message} ${error.remedy}`;
  };
  assert.match(await said([]), /^RunNotFoundError: No experiment is chosen\. Show experiments in the table/);
  assert.match(await said(["a"]), /The chosen experiment has no attention.*tracker="comet"/);
  assert.match(await said(["a", "b"]), /None of the 2 chosen experiments has attention.*attnlog sync RUN/);
  api.experimentAssets = async () => Promise.reject(new Error("401 https://comet.test?apiKey=secret"));
  const refused = await said(["a"]);
  assert.match(refused, /^CometTransportError: Comet did not list the assets of 1 of 1 experiments \(401 …\)/);
});

test("an experiment's assets are listed once before it is shown, and anew when new steps are looked for", async () => {
  let lists = 0;
  const api = comet(() => null);
  api.experimentAssets = async () => {
    lists++;
    return [asset("manifest-w.jsonl")];
  };
  const source = new CometSource(api, ["one"]);
  await source.runs();
  await source.manifests("one");
  assert.equal(lists, 1);
  await source.manifests("one");
  assert.equal(lists, 2);
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

test("options of the panel become an address, and what cannot be read is told", () => {
  assert.deepEqual(readOptions({}), { state: "", theme: null, said: "" });
  assert.deepEqual(readOptions(undefined).state, "");
  const all = { view: "neuron", step: 300, input: 1, layer: "2", heads: [0, 3], pair: "ab", theme: "dark", other: 1 };
  assert.deepEqual(readOptions(all), {
    state: "#view=neuron&step=300&input=1&layer=2&heads=0,3&pair=ab",
    theme: "dark",
    said: "",
  });
  assert.equal(readOptions({ heads: "all", layer: "" }).state, "");
  const { state, said } = readOptions({ view: "pie", layer: "three", heads: "0, 1" });
  assert.equal(state, "#heads=0,1");
  assert.match(said, /view is "pie", and may be: model, head, .*; layer is "three"/);
});

test("options know the views there are", () => {
  assert.deepEqual(
    REGISTRY.map(({ name }) => name),
    [...VIEWS],
  );
});

test("what is on screen stays where other experiments are chosen", () => {
  const shown = (hash: string, id: string) => ({ state: () => hash, inspect: () => ({ run: { id } }) });
  const hash = "#view=model&run=a&step=3&compare=run%3Ab%3Bstep%3A2&side=diff";
  assert.equal(kept(shown(hash, "a"), "", ["b", "a"]), "#view=model&step=3&compare=run%3Ab%3Bstep%3A2&side=diff&run=a");
  assert.equal(kept(shown(hash, "a"), "", ["a"]), "#view=model&step=3&side=diff&run=a");
  assert.equal(kept(shown(hash, "a"), "", ["b"]), "#view=model&step=3&compare=run%3Ab%3Bstep%3A2&side=diff");
  assert.equal(kept(shown("#view=head", "a"), "", ["a", "c"]), "#view=head&run=a");
  const nothing = { state: () => "#view=head", inspect: () => ({ run: null }) };
  assert.equal(kept(nothing, hash, ["a"]), hash);
});

test("errors of a script with classes of its own are known by their names", async () => {
  const error = await got(comet(() => null)).catch((error) => error);
  assert.ok(error instanceof AssetError && error instanceof AttnlogError && !(error instanceof NotRecordedError));
  const foreign = Object.assign(new Error("x"), { kinds: ["NotRecordedError", "AttnlogError"] });
  assert.ok(foreign instanceof NotRecordedError);
  assert.ok(!(new Error("x") instanceof AttnlogError));
});
