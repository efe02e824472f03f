// Pure parts of the neuron view: orders of keys and neurons, and what a query token takes from values.
import assert from "node:assert/strict";
import { test } from "node:test";
import { START } from "../src/session/state";
import { columnsOf } from "../src/views/neuron/columns";
import { dataOf } from "../src/views/neuron/data";
import { byContribution, byWeight, reordered, strongestKey } from "../src/views/neuron/sorting";
import { stripsOf, stripWords } from "../src/views/neuron/strips";
import { mixed } from "../src/views/neuron/values";
import { findLayer } from "../src/session/scene";
import { open } from "./golden";

const NAN = Number.NaN;

test("the strongest key has the greatest known weight, else the greatest q·k, and is never a masked one", () => {
  assert.equal(strongestKey([0.1, 0.6, 0.3], [9, 0, 0], [true, true, true]), 1);
  assert.equal(strongestKey([0.1, 0.6, 0.3], [9, 0, 0], [true, false, true]), 2);
  assert.equal(strongestKey([NAN, NAN], [1, 2], [true, true]), 1);
  assert.equal(strongestKey(null, [3, 2], [true, true]), 0);
  assert.equal(strongestKey(null, [3], [false]), -1);
});

test("neurons go from what raises q·k most to what lowers it most, equal ones as stored", () => {
  assert.deepEqual(byContribution([1, -1, 2, 0, 0], [1, 3, 2, 5, 7]), [2, 0, 3, 4, 1]);
  assert.deepEqual([...reordered(Float32Array.of(5, 6, 7), [2, 0, 1])], [7, 5, 6]);
});

test("keys go by weight, then by q·k where the weight is not stored, masked ones last", () => {
  assert.deepEqual(
    byWeight([0.2, NAN, 0.5, NAN, 0], [0, 1, 0, 2, 9], [true, true, true, true, false]),
    [2, 0, 3, 1, 4],
  );
  assert.deepEqual(byWeight(null, [1, 3, 2], [true, true, false]), [1, 0, 2]);
});

test("weight × v adds up to what the head gives, over what is known", () => {
  const all = mixed([0.5, 0.25], Float32Array.of(2, 4, 8, -4), 2);
  assert.deepEqual([...all.products], [1, 2, 2, -1]);
  assert.deepEqual([...all.sum], [3, 1]);
  assert.equal(all.known, true);
  const some = mixed([0.5, NAN], Float32Array.of(2, 4, 8, -4), 2);
  assert.deepEqual([...some.products], [1, 2, NAN, NAN]);
  assert.deepEqual([...some.sum], [1, 2]);
  assert.equal(some.known, false);
});

test("one head of a recorded layer: its group, its strips in any order, and their numbers in words", async () => {
  const run = open("decoder");
  const scene = await run.scene(100);
  const entry = findLayer(scene, 0, "self", 0)!;
  const vectors = await run.store.vectors(scene, entry)!;
  const weights = await run.store.weights(scene, entry)!;
  const state = { ...START, step: 100, heads: [2], query: 9, options: { "neuron.sort": "contribution" } };
  const data = dataOf(scene, state, 0, 9, vectors, weights)!;
  assert.equal(data.head, 2);
  assert.deepEqual(data.shared, [2, 3]);
  assert.equal(data.group, 1);
  const { strongest } = data;
  const row = data.product.subarray(strongest * data.query.width, (strongest + 1) * data.query.width);
  const sorted = reordered(row, data.neurons);
  assert.ok(sorted.every((value, n) => n === 0 || value <= sorted[n - 1]!));
  const sum = row.reduce((all, one) => all + one, 0);
  assert.ok(Math.abs(sum - data.explained.qk[strongest]!) < 1e-4);
  const [k, qk] = stripsOf(data, { keys: true, values: false });
  const number = data.neurons![0]!;
  assert.ok(stripWords(k!, data, 3, 0).startsWith(`neuron ${number}: q `));
  assert.ok(stripWords(qk!, data, 3, 0).includes("q × k"));
  assert.ok(stripWords(k!, data, null, 0).startsWith(`q, neuron ${number}: `));
  assert.equal(stripWords(qk!, data, null, 0), "");
});

test("columns lead from q·k to the weights: a bias where there is one, what is stored where not all is", () => {
  const base = {
    qk: Float32Array.of(1, 2),
    open: [true, true],
    softmax: Float32Array.of(0.3, 0.7),
    bias: null,
    stored: null,
  };
  const names = (more: object): string[] => columnsOf({ ...base, ...more }).map((one) => one.name);
  assert.deepEqual(names({}), ["q·k", "softmax"]);
  assert.deepEqual(names({ bias: Float32Array.of(0, -1) }), ["q·k", "bias", "softmax"]);
  assert.deepEqual(names({ stored: Float32Array.of(NAN, 0.7) }), ["q·k", "softmax", "weight"]);
  assert.deepEqual(names({ softmax: null }), ["q·k"]);
  const [, weight] = columnsOf({ ...base, softmax: null, stored: Float32Array.of(NAN, 0.7) });
  assert.deepEqual([weight!.text(0), weight!.text(1)], ["not stored", ".70"]);
  const [, bias] = columnsOf({ ...base, bias: Float32Array.of(0.0051, Number.NEGATIVE_INFINITY) });
  assert.deepEqual([bias!.text(0), bias!.text(1)], ["0.00510", "−∞"]);
});
