// Sparse weights: what was kept is read and drawn, what was not is neither 0 nor drawn, and lies are refused by name.
import assert from "node:assert/strict";
import { test } from "node:test";
import { headPicture } from "../src/decode/sparse";
import { type Place, readAsset, readBatch } from "../src/decode/read";
import type { KeyVectors, QueryVectors, SparseLayer } from "../src/decode/types";
import { explainSparse } from "../src/session/explain";
import { headRows, meanLeftOut } from "../src/session/weights";
import type { Item } from "../src/session/shape/items";
import { PickedRows } from "../src/session/shape/rows";
import { drawLines, faintest } from "../src/views/head/lines";
import { topWeights } from "../src/views/layer/top";
import { pointedWords, sparseWords } from "../src/views/layer/words";
import { asset, batchesOf, type Made, type Options, SPARSE, SPARSE_METADATA, type Values } from "./assets";

const name = (wanted: string, why: RegExp) => (error: Error) => {
  assert.equal(error.name, wanted, error.message);
  assert.match(error.message, why);
  return true;
};

const made = (values: Values = SPARSE, options: Options = {}): Made =>
  asset("sparse", values, { metadata: SPARSE_METADATA, ...options });

const read = async (one: Made): Promise<SparseLayer> => ((await readAsset(one.bytes, one.record)) as SparseLayer[])[0]!;
const weightOf = (code: number): number => Math.fround((code / 255) ** 2);

test("kept keys, their weights and what was left out are read row by row", async () => {
  const layer = await read(made());
  assert.deepEqual([...layer.starts], [0, 1, 3, 3]);
  assert.deepEqual([...layer.indices], [0, 0, 2]);
  assert.deepEqual([layer.top, layer.mass, layer.queries, layer.keys], [64, 0.99, 3, 4]);
  const rows = headRows(layer, 5)!;
  assert.deepEqual([rows.at(0, 0), rows.at(1, 2)], [1, weightOf(150)]);
  assert.deepEqual([rows.leftOut(0), rows.leftOut(1), rows.leftOut(2)], [0, 0.5, 1]);
  assert.equal(headRows(layer, 6), null);
  assert.deepEqual([...headPicture(layer, 5)!].slice(0, 5), [255, 0, 0, 0, 100]);
});

test("a key that is not stored has no weight, which is not 0", async () => {
  const rows = headRows(await read(made()), 5)!;
  assert.equal(rows.at(0, 1), null);
  assert.equal(rows.at(2, 0), null);
  assert.deepEqual([rows.stored(0), rows.stored(1), rows.stored(2)], [1, 2, 0]);
});

test("a part of a row is found without the rest of it", async () => {
  const rows = headRows(await read(made()), 5)!;
  const part = (query: number, from: number, to: number, least = 0): number[] => {
    const keys: number[] = [];
    rows.row(query, from, to, least, (key) => keys.push(key));
    return keys;
  };
  assert.deepEqual(part(1, 0, 4), [0, 2]);
  assert.deepEqual(part(1, 1, 4), [2]);
  assert.deepEqual(part(1, 0, 2), [0]);
  assert.deepEqual(part(1, 3, 4), []);
  assert.deepEqual(part(1, 0, 4, 0.3), [2]);
  assert.deepEqual(part(2, 0, 4), []);
});

for (const [precision, type] of [
  ["f16", "list<float16>"],
  ["f32", "list<float32>"],
] as const) {
  test(`weights in ${precision}`, async () => {
    const options = { metadata: { ...SPARSE_METADATA, "attnlog.precision": precision }, types: { weights: type } };
    const layer = await read(made({ ...SPARSE, weights: [[1, 0.25, 0.5]] }, options));
    const rows = headRows(layer, 5)!;
    assert.deepEqual([rows.at(0, 0), rows.at(1, 0), rows.at(1, 2)], [1, 0.25, 0.5]);
    for (const bad of [Number.NaN, 1.5, -0.1]) {
      await assert.rejects(
        read(made({ ...SPARSE, weights: [[1, bad, 0.5]] }, options)),
        name("AssetValueError", /weight/),
      );
    }
  });
}

test("what an asset does not say of what it kept is not made up", async () => {
  const layer = await read(made(SPARSE, { metadata: { "attnlog.precision": "u8" } }));
  assert.deepEqual([layer.top, layer.mass], [null, null]);
});

const BAD: [string, Values, string, RegExp][] = [
  ["keys that descend", { indices: [[0, 2, 0]] }, "AssetSchemaError", /do not ascend/],
  ["a key twice in a row", { indices: [[0, 2, 2]] }, "AssetSchemaError", /do not ascend/],
  ["a key past the last", { indices: [[0, 0, 4]] }, "AssetSchemaError", /names key 4 of 4/],
  ["a key of 2³²−1", { indices: [[0, 0, 0xffffffff]] }, "AssetSchemaError", /names key/],
  [
    "more keys counted than there are",
    { counts: [[1, 3, 0]] },
    "AssetSchemaError",
    /indices of row 0 has 3 items, not 4/,
  ],
  ["counts that add up past 2³²", { counts: [[1, 0xffffffff, 3]] }, "AssetSchemaError", /indices of row 0/],
  ["a count too few", { counts: [[1, 2]] }, "AssetSchemaError", /counts of row 0 has 2 items, not 3/],
  ["a weight too few", { weights: [[255, 100]] }, "AssetSchemaError", /weights of row 0 has 2 items, not 3/],
  ["a left-out mass too few", { left_out: [[0, 0.5]] }, "AssetSchemaError", /left_out of row 0 has 2/],
  ["a left-out mass that is NaN", { left_out: [[0, Number.NaN, 1]] }, "AssetValueError", /left_out holds NaN/],
  ["a left-out mass below 0", { left_out: [[0, -0.5, 1]] }, "AssetValueError", /left_out holds -0.5/],
  ["a left-out mass past 1", { left_out: [[0, 1.5, 1]] }, "AssetValueError", /left_out holds 1.5/],
  ["a picture of another size", { rows: [2] }, "AssetSchemaError", /picture of row 0 has 12 items, not 8/],
  ["queries that the lists do not have", { queries: [0xffffffff] }, "AssetSchemaError", /counts of row 0/],
];
for (const [what, values, wanted, why] of BAD) {
  test(`${what}: ${wanted}`, () => assert.rejects(read(made({ ...SPARSE, ...values })), name(wanted, why)));
}

const PLACE: Place = { input: 0, kind: "self", layer: 0, call: 0, heads: [5], groups: [5], queries: 3, keys: 4 };
const OTHER: [string, Partial<Place>, RegExp][] = [
  ["other heads", { heads: [4] }, /heads are not those/],
  ["more heads", { heads: [5, 6] }, /heads are not those/],
  ["another layer", { layer: 1 }, /index says layer 1, the batch 0/],
  ["another input", { input: 2 }, /index says input 2/],
  ["another call", { call: 1 }, /index says call 1/],
  ["another kind", { kind: "cross" }, /another kind/],
  ["another shape", { keys: 5 }, /shape is not that/],
];
test("a batch is the layer that the index names, or it is refused", async () => {
  const one = made();
  const [part] = batchesOf(one);
  const schema = one.bytes.slice(8, 8 + one.record.schema!.length);
  const batch = one.bytes.slice(part!.offset, part!.offset + part!.length);
  const found = (await readBatch(schema, batch, one.record, part!, PLACE)) as SparseLayer;
  assert.deepEqual([...found.heads], [5]);
  for (const [, change, why] of OTHER) {
    await assert.rejects(
      readBatch(schema, batch, one.record, part!, { ...PLACE, ...change }),
      name("AssetSchemaError", why),
    );
  }
});

/** One head of `n` queries, each of which keeps itself and the first key. */
function long(n: number): SparseLayer {
  const starts = Uint32Array.from({ length: n + 1 }, (_, i) => Math.max(0, 2 * i - 1));
  const indices = new Uint32Array(2 * n - 1);
  for (let i = 1; i < n; i++) indices[2 * i] = i;
  return {
    stored: "sparse",
    heads: Uint16Array.of(0),
    queries: n,
    keys: n,
    precision: "f32",
    top: 64,
    mass: 0.99,
    starts,
    indices,
    codes: Float32Array.from(indices, (key) => (key === 0 ? 0.25 : 0.5)),
    leftOut: new Float32Array(n).fill(0.25),
    picture: { rows: 0, columns: 0, codes: new Uint8Array() },
  };
}

const spans = (positions: number[]) => positions.map((start) => ({ start, end: start + 1 }));
const items = (positions: number[]): Item[] =>
  spans(positions).map((a) => ({
    text: `t${a.start}`,
    a,
    b: null,
    special: false,
    generated: false,
    label: undefined,
    id: undefined,
  }));
const all = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const window = (n: number, top: number, height: number) => ({
  queries: n,
  keys: n,
  row: 20,
  top,
  width: 60,
  height,
  ratio: 1,
});

test("only kept keys are drawn, and of them those with an end in the window", () => {
  const heads = [{ rows: headRows(long(4096), 0)!, colour: [1, 2, 3] as const }];
  // Rows 99 to 110: each draws its own key and the first; no other query has a key among them.
  assert.equal(drawLines(heads, window(4096, 2000, 200), 0.004, null).lines, 2 * 12);
  // Where the first key is in sight every query has a line.
  assert.equal(drawLines(heads, window(4096, 0, 200), 0.004, null).lines, 4095 + 11);
});

test("of very many lines the strongest are drawn", () => {
  const layer = long(4096);
  const heads = [0, 1, 2].map(() => ({ rows: headRows(layer, 0)!, colour: [1, 2, 3] as const }));
  const layout = window(4096, 0, 200);
  const least = faintest(heads, layout);
  assert.ok(least > 0.25);
  assert.ok(drawLines(heads, layout, least, null).lines <= 9_000);
});

test("a key pointed at has the lines of the queries that keep it, a query those of its kept keys", () => {
  const heads = [{ rows: headRows(long(300), 0)!, colour: [1, 2, 3] as const }];
  const layout = window(300, 0, 200);
  assert.equal(drawLines(heads, layout, 0, { side: "key", at: 7 }).lines, 1);
  assert.equal(drawLines(heads, layout, 0, { side: "key", at: 0 }).lines, 300);
  assert.equal(drawLines(heads, layout, 0, { side: "query", at: 7 }).lines, 2);
});

test("keys that a filter hides are not drawn", () => {
  const base = headRows(long(300), 0)!;
  const odd = all(300).filter((one) => one % 2 === 1);
  const picked = new PickedRows(base, spans(all(300)), spans(odd), 300);
  const heads = [{ rows: picked, colour: [1, 2, 3] as const }];
  const shape = { ...window(300, 0, 20_000), keys: odd.length };
  assert.equal(drawLines(heads, shape, 0.004, null).lines, 150);
  const top = topWeights([picked], shape, 5);
  assert.ok(top.every((one) => base.at(one.query, odd[one.key]!) === one.weight));
  assert.equal(picked.leftOut(7), base.leftOut(7));
});

test("the strongest weights are those of kept keys", async () => {
  const heads = [{ rows: headRows(await read(made()), 5)!, colour: [1, 2, 3] as const }];
  const found = topWeights([heads[0]!.rows], { queries: 3, keys: 4 }, 24);
  assert.deepEqual(
    found.map((one) => [one.head, one.query, one.key]),
    [
      [5, 0, 0],
      [5, 1, 2],
      [5, 1, 0],
    ],
  );
});

test("words say what was kept and how much was left out", async () => {
  const layer = await read(made());
  const rows = headRows(layer, 5)!;
  const plain = (text: string): string => text.replace(/[\u00a0\u202f]/g, " ");
  assert.equal(
    plain(sparseWords(layer, meanLeftOut({ queries: all(3), heads: [rows] }))),
    "Stored sparse: the top keys of each row (64, or 99 % of its mass); 50 % of the mass is left out on average.",
  );
  assert.match(plain(sparseWords({ ...layer, top: null, mass: null }, 0.031)), /of each row; 3.1 % of the mass/);
  const layout = { queries: items(all(3)), keys: items(all(4)) };
  const told = (side: "query" | "key", at: number): string => plain(pointedWords([rows], layout, { side, at }));
  assert.equal(told("query", 1), "Query 1: 2 keys stored; 50 % of its mass is on keys that are not.");
  assert.equal(told("key", 0), "Key 0: stored by 2 of 3 queries.");
  assert.match(pointedWords([rows], layout, null), /Point at a token/);
});

const vectors = (causal: boolean | null): { query: QueryVectors; keys: KeyVectors } => {
  const common = { head: 0, tokens: 4, width: 1 };
  const values = Float32Array.of(1, 2, 3, 4);
  const query = {
    ...common,
    values,
    scale: 1,
    softcap: null,
    causal,
    window: null,
    sink: null,
    rotary: false,
    norms: null,
  };
  return { query, keys: { ...common, values } };
};

test("the softmax of a sparse row is given where q·k makes the weights, and what is not stored stays unknown", async () => {
  const rows = headRows(await read(made()), 5)!;
  const { query, keys } = vectors(false);
  const found = explainSparse(query, keys, 1, rows, 0.001);
  assert.deepEqual([...found.stored!], [weightOf(100), Number.NaN, weightOf(150), Number.NaN]);
  assert.ok(Math.abs(found.softmax!.reduce((sum, one) => sum + one, 0) - 1) < 1e-6);
  assert.equal(found.bias, null);
});

test("where q·k does not make the weights a sparse row has a bias of what is stored, and no softmax", async () => {
  const rows = headRows(await read(made()), 5)!;
  const { query, keys } = vectors(true);
  const found = explainSparse(query, keys, 1, rows, 0.3);
  assert.equal(found.softmax, null);
  assert.deepEqual([...found.open], [true, true, false, false]);
  assert.ok(Number.isNaN(found.bias![1]!));
  const logits = [2, 4].map((one) => Math.exp(one));
  const wanted = Math.log(weightOf(100)) - Math.log(logits[0]! / (logits[0]! + logits[1]!));
  assert.ok(Math.abs(found.bias![0]! - wanted) < 1e-5);
});

test("under a mask that nobody recorded a sparse row has neither", async () => {
  const { query, keys } = vectors(null);
  const found = explainSparse(query, keys, 1, headRows(await read(made()), 5)!, 0.001);
  assert.deepEqual([found.softmax, found.bias], [null, null]);
  assert.ok(found.open.every(Boolean));
});
