// Weights as they are drawn: words, chosen tokens, normalised rows, means, differences of aligned texts, and how far heads are apart.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AttentionLayer, AxisTokens } from "../src/decode/types";
import { align } from "../src/session/align";
import { divergence } from "../src/session/drift";
import { type Part, type Shaped, Shaper, type Wanted } from "../src/session/shape/shape";
import { wordsOf } from "../src/session/words";
import { csv } from "../src/ui/take";
import { regionOf, regionText, zoomed } from "../src/views/matrix/region";

const axis = (tokens: string[], more: Partial<AxisTokens> = {}): AxisTokens => ({
  axis: "self",
  text: null,
  pair: null,
  tokens,
  ids: null,
  starts: null,
  ends: null,
  segments: null,
  special: null,
  generated: null,
  labels: null,
  cut: 0,
  ...more,
});

const part = (tokens: AxisTokens, heads: number[][]): Part => {
  const n = tokens.tokens.length;
  const layer: AttentionLayer = {
    stored: "dense",
    heads: Uint16Array.from(heads, (_, i) => i),
    queries: n,
    keys: n,
    precision: "f32",
    codes: Float32Array.from(heads.flat()),
  };
  return { layer, queries: tokens, keys: tokens };
};

const plain: Wanted = { heads: [0], pair: "all", words: false, special: true, normalise: false, mean: false };
const numbers = (shaped: Shaped, n = 0): number[] =>
  [...(shaped.heads[n]!.arrays() as Float32Array)].map((one) => Math.round(one * 1e5) / 1e5);
const texts = (shaped: Shaped): string[] => shaped.keys.map((one) => one.text);

const cat = axis(["[CLS]", "un", "##able", "cat"], { special: [true, false, false, false] });
const rows = [0.4, 0.3, 0.2, 0.1, 0.1, 0.2, 0.3, 0.4, 0.7, 0.1, 0.1, 0.1, 0.25, 0.25, 0.25, 0.25];

test("between words the weights of a key word add up, and those of a query word are averaged", () => {
  const shaped = new Shaper(part(cat, [rows]), null, { ...plain, words: true }).shape("a");
  assert.deepEqual(texts(shaped), ["[CLS]", "unable", "cat"]);
  assert.deepEqual(numbers(shaped), [0.4, 0.5, 0.1, 0.4, 0.35, 0.25, 0.25, 0.5, 0.25]);
});

test("special tokens can be left out, and rows made to sum to 1 over what is left", () => {
  const shaped = new Shaper(part(cat, [rows]), null, { ...plain, special: false, normalise: true }).shape("a");
  assert.deepEqual(texts(shaped), ["un", "##able", "cat"]);
  assert.deepEqual(numbers(shaped).slice(0, 3), [0.22222, 0.33333, 0.44444]);
});

test("a mean is over the chosen heads", () => {
  const other = rows.map((one) => one / 2);
  const shaped = new Shaper(part(cat, [rows, other]), null, { ...plain, heads: [0, 1], mean: true }).shape("a");
  assert.equal(shaped.heads.length, 1);
  assert.deepEqual(
    numbers(shaped),
    rows.map((one) => Math.round(one * 0.75 * 1e5) / 1e5),
  );
});

test("one text of a pair can be kept on either side", () => {
  const pair = axis(["a", "b", "c"], { segments: Uint8Array.of(0, 0, 1) });
  const weights = [1, 0, 0, 0.5, 0.5, 0, 0.2, 0.3, 0.5];
  const shaped = new Shaper(part(pair, [weights]), null, { ...plain, pair: "ba" }).shape("a");
  assert.deepEqual(numbers(shaped), [0.2, 0.3]);
});

test("what is drawn as it is stored is not copied", () => {
  const given = part(cat, [rows]);
  const drawn = new Shaper(given, null, plain).shape("a").heads[0]!.arrays();
  assert.deepEqual([...(drawn as Float32Array)], [...(given.layer.codes as Float32Array)]);
});

test("a difference is B − A of tokens that both have; others stand alone and have none", () => {
  const a = part(axis(["he", "runs", "far"]), [[1, 0, 0, 0.5, 0.5, 0, 0.2, 0.3, 0.5]]);
  const b = part(axis(["she", "runs", "far"]), [[1, 0, 0, 0.25, 0.75, 0, 0.1, 0.1, 0.8]]);
  const shaped = new Shaper(a, b, plain).shape("diff");
  assert.deepEqual(texts(shaped), ["he", "she", "runs", "far"]);
  const found = shaped.heads[0]!;
  assert.equal(found.at(2, 0), null);
  assert.ok(Math.abs(found.at(2, 2)! - 0.25) < 1e-6);
  assert.ok(Math.abs(found.at(3, 2)! + 0.2) < 1e-6);
  const seen: number[] = [];
  found.row(3, 0, 4, 0.25, (key) => seen.push(key));
  assert.deepEqual(seen, [3]);
});

test("a head that B lacks is said, not drawn", () => {
  const a = part(cat, [rows, rows]);
  const b = part(cat, [rows]);
  const shaped = new Shaper(a, b, { ...plain, heads: [0, 1] }).shape("diff");
  assert.deepEqual(shaped.absent, [1]);
  assert.equal(shaped.heads.length, 1);
});

test("alignment keeps the longest common subsequence in order", () => {
  const { pairs, whole } = align([..."abcde"], [..."xbcye"]);
  assert.ok(whole);
  assert.deepEqual(pairs, [
    [0, -1],
    [-1, 0],
    [1, 1],
    [2, 2],
    [3, -1],
    [-1, 3],
    [4, 4],
  ]);
  assert.deepEqual(align([], ["a"]).pairs, [[-1, 0]]);
  assert.deepEqual(align(["a", "b"], ["a", "b"]).pairs, [
    [0, 0],
    [1, 1],
  ]);
});

test("texts too long and too different to be aligned keep their equal ends, and it is said", () => {
  const many = (name: string): string[] => ["[CLS]", ...Array.from({ length: 5000 }, (_, n) => `${name}${n}`), "[SEP]"];
  const { pairs, whole } = align(many("a"), many("b"));
  assert.equal(whole, false);
  assert.equal(pairs.filter(([i, j]) => i >= 0 && j >= 0).length, 2);
  assert.equal(pairs.length, 10_002);
});

test("words are told by the tokenizer's marks where there are no character ranges", () => {
  const said = (tokens: string[]): string[] => wordsOf(axis(tokens)).map((one) => one.text);
  assert.deepEqual(said(["Ġthe", "Ġun", "do", "ing", "."]), ["the", "undoing."]);
  assert.deepEqual(said(["▁Hel", "lo", "▁wor", "ld"]), ["Hello", "world"]);
  assert.deepEqual(said(["low</w>", "er", "ing</w>"]), ["low", "ering"]);
  assert.deepEqual(said(["a", "b"]), ["a", "b"]);
});

test("the divergence of rows is 0 where they agree and 1 bit where they share nothing", () => {
  assert.equal(divergence([0.5, 0.5], [0.5, 0.5]), 0);
  assert.equal(divergence([1, 0], [0, 1]), 1);
  assert.ok(Math.abs(divergence([0.5, 0.5], [1, 0]) - 0.311278) < 1e-5);
  assert.ok(Number.isNaN(divergence([0, 0], [1, 0])));
});

test("a zoom goes into an address and back, and what does not fit is the whole", () => {
  const region = { top: 2, bottom: 5, left: 0, right: 7 };
  assert.deepEqual(regionOf(regionText(region, 8, 9)!, 8, 9), region);
  for (const bad of ["", "5-2,0-3", "0-99,0-3", "x", undefined])
    assert.deepEqual(regionOf(bad, 8, 9), { top: 0, bottom: 8, left: 0, right: 9 });
  const closer = zoomed({ top: 0, bottom: 8, left: 0, right: 8 }, { row: 7, column: 0 }, 0.5, 8, 8);
  assert.deepEqual(closer, { top: 4, bottom: 8, left: 0, right: 4 });
});

test("a CSV file holds any token, and none of them runs in a spreadsheet", () => {
  const rows = [
    ['a,"b"\n', 1],
    ["=1+1", Number.NaN],
  ];
  assert.equal(csv({ columns: ["t", "w"], rows: () => rows, count: 2 }), `t,w\r\n"a,""b""\n",1\r\n'=1+1,\r\n`);
});
