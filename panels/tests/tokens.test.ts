// Pure parts of the tokens view: lines of text, order and format of numbers, answers, and tables as text.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Prediction } from "../src/decode/types";
import { chosenToken, explainedHead, usualToken, wholeNumber } from "../src/session/chosen";
import { START } from "../src/session/state";
import { tabSeparated } from "../src/ui/clipboard";
import { breakLines, gapBefore, markingOf, readsFromRight, withoutMark } from "../src/views/tokens/lines";
import { inOrder } from "../src/views/tokens/order";
import { formatOf } from "../src/views/tokens/precise";
import { answersOf, perToken, rightId } from "../src/views/tokens/predictions";
import { bySize, byRange, shadeOf } from "../src/views/tokens/shade";
import { meanOf, statisticOf } from "../src/views/tokens/states";
import { barOf } from "../src/views/tokens/table";
import { productsOf } from "../src/views/tokens/values";
import { open } from "./golden";

test("lines hold all tokens in order, none reaches past the room, and a line's first token has no gap", () => {
  const widths = Array.from({ length: 300 }, (_, i) => 5 + ((i * 37) % 90));
  const lines = breakLines(
    widths,
    widths.map(() => 5),
    200,
  );
  assert.deepEqual(
    lines.flat().map((one) => one.at),
    widths.map((_, i) => i),
  );
  for (const line of lines) {
    assert.equal(line[0]!.left, 0);
    for (const [n, { left, width }] of line.entries()) {
      assert.ok(left + width <= 200);
      if (n > 0) assert.equal(left, line[n - 1]!.left + line[n - 1]!.width + 5);
    }
  }
});

test("a token wider than the room is cut to it, and no tokens make no lines", () => {
  assert.deepEqual(breakLines([10, 900, 10], [0, 0, 0], 100), [
    [{ at: 0, left: 0, width: 10 }],
    [{ at: 1, left: 0, width: 100 }],
    [{ at: 2, left: 0, width: 10 }],
  ]);
  assert.deepEqual(breakLines([], [], 100), []);
});

test("gaps say where words begin, as the tokenizer marks it", () => {
  const gaps = (tokens: string[]): boolean[] => tokens.map((one) => gapBefore(one, markingOf(tokens)) > 2);
  assert.deepEqual(gaps(["The", "Ġquick", "est", "Ġfox"]), [false, true, false, true]);
  assert.deepEqual(gaps(["play", "##ing", "now"]), [true, false, true]);
  assert.deepEqual(gaps(["▁a", "b"]), [true, false]);
  assert.deepEqual(gaps(["the", "cat"]), [true, true]);
  assert.equal(withoutMark("Ġfox", "begin"), "fox");
  assert.equal(withoutMark("Ġ", "begin"), "Ġ", "a space alone stays to be seen");
  assert.equal(withoutMark("Ġfox", "none"), "Ġfox");
});

test("a text's first letter with a direction says from which side it is read", () => {
  assert.equal(readsFromRight("12: שלום abc"), true);
  assert.equal(readsFromRight("abc שלום"), false);
  assert.equal(readsFromRight("مرحبا"), true);
  assert.equal(readsFromRight("… 1 2"), false);
});

test("order by size goes by magnitude, ties as they stand, what has no value last", () => {
  assert.deepEqual(inOrder([1, -3, Number.NaN, 3, 0], "size"), [1, 3, 0, 4, 2]);
  assert.deepEqual(inOrder([2, 1], "order"), [0, 1]);
});

test("numbers of a column share their digits, and none that is there is told as nothing", () => {
  const text = formatOf([0.295, -0.0676, 1e-9, Number.NaN]);
  assert.deepEqual([0.295, -0.0676, 1e-9, -1e-9, 0, Number.NaN].map(text), [
    "0.295",
    "−0.068",
    "<0.001",
    ">−0.001",
    "0.000",
    "–",
  ]);
  assert.equal(formatOf([1234])(1234), "1234");
  assert.equal(formatOf([])(Number.NaN), "–");
  assert.equal(formatOf([3e-9])(3e-9), "3.0e−9");
});

test("shades follow size and sign, and full ones stay readable", () => {
  const of = bySize([2, -2, 0, Number.NaN]);
  assert.deepEqual([of(0), of(1), of(2)], [1, -1, 0]);
  assert.ok(Number.isNaN(of(3)));
  const range = byRange([10, 14, 12]);
  assert.deepEqual([range(0), range(1), range(2)], [0, 1, 0.5]);
  assert.equal(byRange([5, 5])(0), 0);
  assert.equal(shadeOf(Number.NaN, false).opacity, 0);
  assert.ok(shadeOf(-1, true).opacity < 0.5 && shadeOf(-1, true).strong);
  assert.notEqual(shadeOf(1, false).fill, shadeOf(-1, false).fill);
});

test("bars begin at the side, signed ones in the middle", () => {
  assert.deepEqual(barOf({ bar: 1, most: 2 }), { start: 0, size: 0.5 });
  assert.deepEqual(barOf({ bar: -1, most: 2, signed: true }), { start: 0.25, size: 0.25 });
  assert.deepEqual(barOf({ bar: 2, most: 2, signed: true }), { start: 0.5, size: 0.5 });
  assert.equal(barOf({ bar: Number.NaN, most: 2 }).size, 0);
  assert.equal(barOf({ bar: 1, most: 0 }).size, 0);
});

const prediction = (name: string, rows: number, tokens: number): Prediction => ({
  role: "prediction",
  input: 0,
  axis: "self",
  name,
  tokens,
  rows,
  top: 2,
  ids: Int32Array.from({ length: rows * 2 }, (_, i) => i),
  labels: Array.from({ length: rows * 2 }, (_, i) => `w${i}`),
  probabilities: Float32Array.from({ length: rows * 2 }, (_, i) => (i % 2 ? 0.25 : 0.5)),
});

test("answers of a row are its own, and some answer for the whole input", () => {
  assert.deepEqual(answersOf(prediction("next", 3, 3), 1), [
    { label: "w2", id: 2, probability: 0.5 },
    { label: "w3", id: 3, probability: 0.25 },
  ]);
  assert.equal(perToken(prediction("next", 3, 3)), true);
  assert.equal(perToken(prediction("class", 1, 1)), false, "also of an input of one token");
  assert.equal(perToken(prediction("start", 1, 3)), false);
});

test("the right answer is known where the input holds it", () => {
  const ids = Int32Array.of(5, 6, 7);
  assert.equal(rightId("next", ids, 0), 6);
  assert.equal(rightId("next", ids, 2), null);
  assert.equal(rightId("masked", ids, 2), 7);
  assert.equal(rightId("class", ids, 0), null);
  assert.equal(rightId("next", null, 0), null);
});

test("weights times norms, and nothing where norms were not recorded", () => {
  const weights = Float32Array.of(0.5, 0.25, Number.NaN);
  assert.deepEqual([...productsOf(weights, Float32Array.of(2, 8, 1))!], [1, 2, Number.NaN]);
  assert.equal(productsOf(weights, null), null);
});

test("means leave out what is not defined", () => {
  assert.equal(meanOf([1, Number.NaN, 3]), 2);
  assert.ok(Number.isNaN(meanOf([Number.NaN])));
  assert.equal(statisticOf("cosine"), "cosine");
  assert.equal(statisticOf("<b>"), "norm");
});

test("the token shown first is the last that is not special", () => {
  assert.equal(usualToken(4, [true, false, false, true]), 2);
  assert.equal(usualToken(2, [true, true]), 1);
  assert.equal(usualToken(0, null), 0);
  assert.equal(chosenToken(1, 3, null), 1);
  assert.equal(chosenToken(9, 3, null), 2);
  assert.deepEqual(["3", "", "-1", "1e3", "x", undefined].map(wholeNumber), [3, null, null, null, null, null]);
});

test("the head that is explained is one of those that are shown", async () => {
  const scene = await open("decoder").scene(100);
  const head = (heads: number[] | null, picked: string): number =>
    explainedHead({ ...START, heads, options: { "neuron.head": picked } }, scene);
  assert.equal(head(null, "2"), 2);
  assert.equal(head([1, 3], "3"), 3);
  assert.equal(head([1, 3], "2"), 1);
  assert.equal(head(null, "99"), 0);
  assert.equal(head(null, "x"), 0);
});

test("a table as text has one line for each row, whatever its cells hold", () => {
  const text = tabSeparated({
    columns: ["position", "token", "value"],
    count: 2,
    *rows() {
      yield [0, "a\tb\nc", 0.5];
      yield [1, "\\n", Number.NaN];
    },
  });
  assert.equal(text, "position\ttoken\tvalue\n0\ta\\tb\\nc\t0.5\n1\t\\\\n\t\n");
});
