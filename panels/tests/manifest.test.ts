// Manifests merge as the format says: unfinished lines, updates, and which commit of a step wins.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeManifests, parseManifest } from "../src/decode/manifest";

const writer = (name: string, time = 1): string =>
  JSON.stringify({ type: "writer", attnlog: 1, writer: name, time, run: "r" });

const asset = (path: string, kind: string): Record<string, unknown> => ({
  path,
  kind,
  bytes: 1,
  sha256: "0".repeat(64),
  decoded: 1,
  rows: 1,
});

const commit = (n: number, step: number, more: Record<string, unknown> = {}): string =>
  JSON.stringify({
    type: "commit",
    n,
    step,
    time: 10,
    metrics: {},
    inputs: asset("inputs-0123456789abcdef.arrow", "inputs"),
    assets: [asset(`step-${String(step).padStart(8, "0")}/w-${n}/index.arrow`, "index")],
    ...more,
  });

const manifest = (name: string, ...lines: string[]) => ({
  name: `manifest-${name}.jsonl`,
  text: `${lines.join("\n")}\n`,
});

test("a last line without a line feed is ignored", () => {
  const text = `${writer("a")}\n${commit(0, 0)}\n${commit(1, 100)}`;
  assert.equal(parseManifest("m", text)!.commits.length, 1);
});

test("a manifest whose first line is unfinished holds nothing yet", () => {
  assert.equal(parseManifest("m", writer("a")), null);
  assert.deepEqual(mergeManifests([{ name: "m", text: "" }]).commits, []);
});

test("updates add metrics and a checkpoint; an update's metric wins", () => {
  const update = { type: "update", n: 0, checkpoint: "out/c", metrics: { b: 3, c: 4 } };
  const { commits } = parseManifest(
    "m",
    `${writer("a")}\n${commit(0, 0, { metrics: { a: 1, b: 2 } })}\n${JSON.stringify(update)}\n`,
  )!;
  assert.deepEqual(commits[0]!.metrics, { a: 1, b: 3, c: 4 });
  assert.equal(commits[0]!.checkpoint, "out/c");
});

test("unknown types and keys are ignored", () => {
  const { commits } = parseManifest("m", `${writer("a")}\n{"type":"later","x":1}\n${commit(0, 5, { strange: [] })}\n`)!;
  assert.equal(commits[0]!.step, 5);
});

test("of several commits for a step the newest wins: time, then writer, then n", () => {
  const win = (a: [string, number, number], b: [string, number, number]) =>
    mergeManifests([a, b].map(([name, n, time]) => manifest(name, writer(name), commit(n, 7, { time })))).commits[0]!;
  assert.equal(win(["a", 0, 2], ["b", 0, 1]).writer, "a");
  assert.equal(win(["a", 9, 1], ["b", 0, 1]).writer, "b");
  const same = mergeManifests([manifest("a", writer("a"), commit(0, 7), commit(1, 7))]);
  assert.equal(same.commits[0]!.n, 1);
});

test("commits of all writers come in order of steps", () => {
  const merged = mergeManifests([
    manifest("b", writer("b"), commit(0, 200), commit(1, 50)),
    manifest("a", writer("a"), commit(0, 100)),
  ]);
  assert.deepEqual(
    merged.commits.map((one) => one.step),
    [50, 100, 200],
  );
});

test("what was left out and what is missing is kept", () => {
  const said = { missing: [{ kind: "self", layer: 3, what: "vectors", reason: "why" }], complete: false };
  const made = mergeManifests([manifest("a", writer("a"), commit(0, 0, said))]).commits[0]!;
  assert.equal(made.complete, false);
  assert.deepEqual(made.missing, [{ kind: "self", layer: 3, what: "vectors", reason: "why" }]);
});

test("lines nest at most 64 deep, and brackets in texts do not count", () => {
  const parse = (line: string) => parseManifest("m", `${writer("a")}\n${line}\n`);
  const deep = (count: number): string => `{"type":"later","x":${"[".repeat(count)}${"]".repeat(count)}}`;
  assert.ok(parse(deep(63)));
  assert.throws(() => parse(deep(64)), { name: "AssetSchemaError" });
  assert.throws(() => parse(`{"type":"later","x":${"[".repeat(100_000)}`), { name: "AssetSchemaError" });
  assert.ok(parse(JSON.stringify({ type: "later", x: `"\\"${"[{".repeat(200)}` })));
});

test("what stands for a number and is none is refused, and so is another writer's file", () => {
  for (const wrong of [{ loss: "1" }, { epoch: true }, { metrics: [1] }, { metrics: { a: "b" } }, { assets: {} }]) {
    const text = `${writer("a")}\n${commit(0, 0, wrong)}\n`;
    assert.throws(() => parseManifest("m", text), { name: "AssetSchemaError" });
  }
  assert.throws(() => parseManifest("manifest-b.jsonl", `${writer("a")}\n`), { name: "AssetSchemaError" });
  assert.throws(() => parseManifest("m", '{"type":"writer","writer":"a","attnlog":1.5}\n'), {
    name: "AssetSchemaError",
  });
});
