// Numbers of the drawings: lines add up, q·k and bias give back the weights, tokens are made visible.
import assert from "node:assert/strict";
import { test } from "node:test";
import { headWeights } from "../src/decode/attention";
import { fromHalf } from "../src/decode/half";
import type { AttentionLayer } from "../src/decode/types";
import { ticks } from "../src/draw/axis";
import { oklch } from "../src/draw/colour";
import { Splat } from "../src/draw/splat";
import { explain, openKeys, softmax } from "../src/session/explain";
import { findLayer, rowOf } from "../src/session/scene";
import { weightText } from "../src/ui/dom";
import { rowWindow } from "../src/ui/rows";
import { fromByteLevel, isByteLevel, pieces, plain, spoken } from "../src/ui/tokens";
import { type HeadRows, headRows } from "../src/session/weights";
import { drawLines, faintest, type Layout } from "../src/views/head/lines";
import { topWeights } from "../src/views/layer/top";
import { open } from "./golden";

const alphaSum = (pixels: Uint8ClampedArray): number => pixels.reduce((sum, v, i) => (i % 4 === 3 ? sum + v : sum), 0);

test("a line's coverage is its weight times its thickness in every column", () => {
  const splat = new Splat(20, 40);
  splat.line(10.5, 30.5, 0.5, 2);
  const coverage = (splat as unknown as { coverage: Float32Array }).coverage;
  for (let x = 0; x < 20; x++) {
    let sum = 0;
    for (let y = 0; y < 40; y++) sum += coverage[y * 20 + x]!;
    assert.ok(Math.abs(sum - 1) < 1e-5, `column ${x}: ${sum}`);
  }
});

test("stronger weights are more opaque, and crossings add up without passing full", () => {
  const alpha = (...weights: number[]): number => {
    const splat = new Splat(10, 400);
    for (const weight of weights) splat.line(200, 200, weight, 1.5);
    splat.paint([200, 0, 0]);
    return Math.max(...splat.pixels().filter((_, i) => i % 4 === 3));
  };
  assert.ok(alpha(0.1) < alpha(0.5) && alpha(0.5) < alpha(1) && alpha(1) < alpha(1, 1));
  assert.ok(alpha(1, 1, 1, 1, 1, 1) <= 255);
});

test("a line that leaves the window is clipped", () => {
  const splat = new Splat(10, 10);
  splat.line(-500, 900, 1, 2);
  splat.line(-50, -40, 1, 2);
  splat.paint([1, 1, 1]);
  assert.ok(alphaSum(splat.pixels()) > 0);
});

/** Lines of one head whose weights are all stored. */
const dense = (weights: Float32Array, keys: number, head = 0) => {
  const heads = Uint16Array.of(head);
  const layer = { stored: "dense", heads, queries: weights.length / keys, keys, precision: "f32", codes: weights };
  return { rows: headRows(layer as AttentionLayer, head)!, colour: [1, 2, 3] as const };
};

const layout = (n: number, top = 0, height = n * 20) => ({
  queries: n,
  keys: n,
  row: 20,
  top,
  width: 60,
  height,
  ratio: 1,
});

test("only lines with an end in the window are drawn, and their number is bounded", () => {
  const n = 400;
  const weights = new Float32Array(n * n).fill(0.01);
  const heads = [dense(weights, n)];
  assert.equal(drawLines(heads, layout(4), 0.003, null).lines, 16);
  const part = layout(n, 2000, 200);
  const least = faintest(heads, part);
  assert.ok(drawLines(heads, part, least, null).lines <= 9_000);
});

/** Every line of at least this weight, one by one, whether it touches the window or not. */
function everyLine(rows: HeadRows, at: Layout, least: number, thick: number, only?: number): Uint8ClampedArray {
  const splat = new Splat(at.width * at.ratio, at.height * at.ratio);
  const place = (index: number): number => ((index + 0.5) * at.row - at.top) * at.ratio;
  for (let i = 0; i < at.queries; i++) {
    for (let j = 0; j < at.keys; j++) {
      const weight = rows.at(i, j);
      if (weight !== null && weight >= least && (only === undefined || only === i))
        splat.line(place(i), place(j), weight, thick * at.ratio);
    }
  }
  splat.paint([1, 2, 3]);
  return splat.pixels();
}

test("the picture is that of every line above the threshold with an end in the window; of one token, of all its lines", () => {
  const n = 300;
  const weights = Float32Array.from({ length: n * n }, (_, at) => ((at * 2654435761) % 1000) / 40_000);
  const head = dense(weights, n);
  for (const [least, top] of [
    [0.02, 0],
    [0.0235, 3000],
  ] as const) {
    const part = layout(n, top, 260);
    // The whole in sight: no line is left out.
    const whole = layout(n);
    assert.deepEqual(drawLines([head], whole, 0.0245, null).pixels, everyLine(head.rows, whole, 0.0245, 1.25));
    for (const query of [0, 150, 299]) {
      const found = drawLines([head], part, least, { side: "query", at: query });
      assert.deepEqual(found.pixels, everyLine(head.rows, part, least, 1.7, query));
    }
  }
});

test("the strongest weights come in order", () => {
  const weights = Float32Array.from([0.1, 0.9, 0.5, 0.5]);
  const top = topWeights([dense(weights, 2, 3).rows], layout(2), 3);
  assert.deepEqual(
    top.map((one) => [one.query, one.key, Math.round(one.weight * 10)]),
    [
      [0, 1, 9],
      [1, 0, 5],
      [1, 1, 5],
    ],
  );
});

test("softmax of recorded q and k gives the recorded weights", async () => {
  const opened = open("decoder");
  const scene = await opened.scene(100);
  const entry = findLayer(scene, 0, "self", 1)!;
  const layer = (await opened.store.weights(scene, entry)!) as AttentionLayer;
  const vectors = await opened.store.vectors(scene, entry)!;
  for (const query of vectors.q) {
    const row = rowOf(scene, 0, "self", 1, query.head);
    const keys = vectors.k.find((one) => one.head === scene.index.group[row])!;
    const weights = headWeights(layer, query.head)!;
    for (let i = 0; i < query.tokens; i++) {
      const recorded = weights.subarray(i * layer.keys, (i + 1) * layer.keys);
      const { softmax, bias } = explain(query, keys, i, recorded, scene.index.explained[row]!);
      const found = softmax!;
      assert.equal(bias, null);
      for (let j = 0; j < layer.keys; j++) assert.ok(Math.abs(found[j]! - recorded[j]!) < 6e-3, `${i},${j}`);
    }
  }
});

test("what q·k leaves unexplained is the bias, and with it the softmax gives the weights", () => {
  const query = {
    head: 0,
    tokens: 1,
    width: 2,
    values: Float32Array.from([1, 2]),
    scale: 0.5,
    softcap: null,
    causal: false,
    window: null,
    sink: null,
    rotary: false,
    norms: null,
  };
  const keys = { head: 0, tokens: 3, width: 2, values: Float32Array.from([1, 0, 0, 1, 1, 1]) };
  const weights = softmax([0.5 - 1, 1 + 2, 1.5], [true, true, true], null);
  const found = explain(query, keys, 0, weights, 0.5);
  assert.deepEqual([...found.qk], [0.5, 1, 1.5]);
  const shift = found.bias![2]!;
  assert.ok(Math.abs(found.bias![0]! - shift + 1) < 1e-5 && Math.abs(found.bias![1]! - shift - 2) < 1e-5);
  for (let j = 0; j < 3; j++) assert.ok(Math.abs(found.softmax![j]! - weights[j]!) < 1e-6);
});

test("masks: causal, window, and zero weights where no rule was recorded", () => {
  const query = {
    head: 0,
    tokens: 4,
    width: 1,
    values: new Float32Array(4),
    scale: 1,
    softcap: null,
    causal: true as boolean | null,
    window: 2 as number | null,
    sink: null,
    rotary: false,
    norms: null,
  };
  assert.deepEqual(openKeys(query, 2, 4, null), [false, true, true, false]);
  assert.deepEqual(openKeys({ ...query, causal: null, window: null }, 2, 3, Float32Array.from([0.5, 0, 0.5])), [
    true,
    false,
    true,
  ]);
  assert.deepEqual(openKeys({ ...query, causal: false, window: null }, 0, 2, null), [true, true]);
});

test("a sink takes its part of the sum", () => {
  const found = softmax([0, 0], [true, true], 0);
  assert.ok(Math.abs(found[0]! - 1 / 3) < 1e-6);
});

test("float16 codes", () => {
  const found = fromHalf(Uint16Array.from([0x3c00, 0xc000, 0x0001, 0x7c00, 0x3555]));
  assert.deepEqual([...found.slice(0, 4)], [1, -2, 2 ** -24, Number.POSITIVE_INFINITY]);
  assert.ok(Math.abs(found[4]! - 1 / 3) < 1e-3);
});

test("invisible tokens get a mark, and overrides lose their power", () => {
  assert.deepEqual(pieces("Ġthe", true), [
    { text: "·", mark: true },
    { text: "the", mark: false },
  ]);
  assert.equal(plain("▁Haus", false), "·Haus");
  assert.equal(plain("\n", false), "↵");
  assert.equal(plain("Ċ", true), "↵");
  assert.equal(plain("", false), "∅");
  assert.equal(plain("a\0b", false), "a␀b");
  assert.equal(plain("\u202eabc", false), "‹U+202E›abc");
  assert.equal(plain("[CLS]", false), "[CLS]");
  assert.equal(plain("👨‍👩‍👧", false), "👨‍👩‍👧");
  assert.ok(plain("x".repeat(10_000), false).length <= 41);
});

test("byte-level tokens are decoded where their bytes are whole", () => {
  assert.equal(isByteLevel(["the", "Ġcat"]), true);
  assert.equal(isByteLevel(["the", "cat"]), false);
  assert.equal(fromByteLevel("Ã©"), "é");
  assert.equal(fromByteLevel("Ã"), "Ã");
  assert.equal(spoken(["the", "Ġcat"]), "the cat");
  assert.equal(spoken(["un", "##believ", "##able"]), "unbelievable");
});

test("rows outside the window do not exist, past 200", () => {
  assert.deepEqual(rowWindow(150, 20, 0, 400), { first: 0, end: 150 });
  const { first, end } = rowWindow(5000, 20, 40_000, 400);
  assert.ok(first <= 2000 && end >= 2020 && end - first < 60);
});

test("axes have round numbers", () => {
  assert.deepEqual(ticks(0, 1, 4), [0, 0.5, 1]);
  assert.deepEqual(ticks(0, 950, 5), [0, 200, 400, 600, 800]);
});

test("layer colours are in gamut and equally light", () => {
  for (let hue = 0; hue < 360; hue += 30) for (const part of oklch(0.6, 0.13, hue)) assert.ok(part >= 0 && part <= 255);
});

test("weights as text", () => {
  assert.deepEqual([0.714, 1, 0.001, 0.05].map(weightText), [".71", "1.0", ".001", ".05"]);
});
