// The TypeScript reader finds in the golden runs what the Python reader found.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { headWeights } from "../src/decode/attention";
import {
  type AttentionLayer,
  METRICS,
  type RollUpRecord,
  type SparseLayer,
  type WeightLayer,
} from "../src/decode/types";
import { decodeWeights } from "../src/decode/weights";
import { axisOf, findLayer, rowOf } from "../src/session/scene";
import { headRows } from "../src/session/weights";
import { type ExpectedSparse, expected, goldenRuns, open } from "./golden";

const close = (found: number, wanted: number, what: string, slack = 1e-6): void =>
  assert.ok(Math.abs(found - wanted) <= slack, `${what}: ${found}, not ${wanted}`);

function sameWeights(layer: WeightLayer, heads: number[], wanted: number[]): void {
  assert.equal(layer.stored, "dense");
  const size = layer.queries * layer.keys;
  heads.forEach((head, h) => {
    const weights = headWeights(layer as AttentionLayer, head)!;
    for (let i = 0; i < size; i++) close(weights[i]!, wanted[h * size + i]!, `weight ${i}`);
  });
}

function sameKept(layer: SparseLayer, wanted: ExpectedSparse): void {
  assert.equal(layer.stored, "sparse");
  assert.deepEqual([layer.top, layer.mass], [64, 0.99]);
  const counts = Array.from(layer.starts.subarray(1), (end, row) => end - layer.starts[row]!);
  assert.deepEqual(counts, wanted.counts);
  assert.deepEqual([...layer.indices], wanted.indices);
  const weights = decodeWeights(layer.precision, layer.codes);
  wanted.weights.forEach((value, i) => {
    close(weights[i]!, value, `kept weight ${i}`);
  });
  wanted.left_out.forEach((value, i) => {
    close(layer.leftOut[i]!, value, `left out of row ${i}`);
  });
  const { rows, columns, codes } = layer.picture;
  assert.deepEqual([layer.heads.length, rows, columns], wanted.picture_shape);
  assert.equal(createHash("sha256").update(codes).digest("hex"), wanted.picture_sha256);
}

test("there are golden runs", () => assert.ok(goldenRuns().length >= 5));

for (const name of goldenRuns()) {
  for (const ranges of [true, false]) {
    test(`${name}: tokens, metrics, weights and vectors, ${ranges ? "by byte ranges" : "by whole files"}`, async () => {
      const opened = open(name, ranges);
      const wanted = expected(name);
      assert.deepEqual(
        opened.commits.map((one) => String(one.step)),
        Object.keys(wanted.steps),
      );
      for (const [step, content] of Object.entries(wanted.steps)) {
        const scene = await opened.scene(Number(step));
        assert.equal(scene.commit.loss, content.loss);
        content.inputs.forEach((axes, input) => {
          for (const [axis, tokens] of Object.entries(axes))
            assert.deepEqual(axisOf(scene, input, axis)?.tokens, tokens);
        });
        for (const layer of content.layers) {
          const entry = findLayer(scene, layer.input, layer.kind, layer.layer)!;
          assert.deepEqual(entry.heads, layer.heads);
          assert.deepEqual([entry.queries, entry.keys], layer.shape);
          for (const [i, head] of layer.heads.entries()) {
            const row = rowOf(scene, layer.input, layer.kind, layer.layer, head);
            assert.equal(scene.index.group[row], layer.groups[i]);
            for (const metric of METRICS) {
              const found = scene.index.metrics[metric][row]!;
              const value = layer.metrics[metric]?.[i] ?? null;
              if (value === null) assert.ok(Number.isNaN(found), metric);
              else close(found, value, metric);
            }
          }
          const weights = await opened.store.weights(scene, entry)!;
          assert.deepEqual([weights.queries, weights.keys], layer.shape);
          if (layer.weights) sameWeights(weights, layer.heads, layer.weights);
          if (layer.sparse) sameKept(weights as SparseLayer, layer.sparse);
          const vectors = opened.store.vectors(scene, entry);
          assert.equal(vectors !== null, layer.q !== null);
          if (vectors && layer.q) {
            const found = await vectors;
            const first = found.q.find((one) => one.head === layer.heads[0])!;
            assert.deepEqual([...first.values], layer.q);
            close(first.scale, layer.scale!, "scale");
            assert.equal(first.causal, layer.causal);
          }
        }
      }
    });
  }

  test(`${name}: pictures hold the greatest weights of their cells`, async () => {
    const opened = open(name);
    const scene = await opened.scene(opened.commits[0]!.step);
    const table = await opened.store.pictures(scene.commit);
    for (let row = 0; row < table.length; row++) {
      const kind = table.kinds[table.kind[row]!]!;
      const entry = findLayer(scene, table.input[row]!, kind, table.layer[row]!)!;
      const layer = await opened.store.weights(scene, entry)!;
      const weights = headRows(layer, table.head[row]!)!;
      const [rows, columns] = [table.rows[row]!, table.columns[row]!];
      assert.deepEqual([rows, columns], [Math.min(32, entry.queries), Math.min(32, entry.keys)]);
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < columns; c++) {
          let most = 0;
          for (let i = Math.floor((r * entry.queries) / rows); i < Math.floor(((r + 1) * entry.queries) / rows); i++) {
            for (
              let j = Math.floor((c * entry.keys) / columns);
              j < Math.floor(((c + 1) * entry.keys) / columns);
              j++
            ) {
              most = Math.max(most, weights.at(i, j) ?? 0);
            }
          }
          const code = table.codes[table.offsets[row]! + r * columns + c]!;
          const found = (code / 255) ** 2;
          // The greatest weight of a cell need not be among the greatest of its row.
          if (layer.stored === "sparse") assert.ok(found >= most - 4.1e-3);
          else close(found, most, `picture ${row} cell ${r},${c}`, 4.1e-3);
        }
      }
    }
  });
}

test("one layer is read by two ranges, not by the file", async () => {
  const opened = open("decoder");
  const scene = await opened.scene(100);
  await opened.store.weights(scene, findLayer(scene, 0, "self", 1)!);
  const gets = opened.gets.filter((one) => one.includes("attention"));
  assert.equal(gets.length, 2);
  assert.ok(gets.every((one) => / \d+\+\d+$/.test(one)));
});

test("without ranges an asset is fetched once", async () => {
  const opened = open("decoder", false);
  const scene = await opened.scene(100);
  for (const layer of [0, 1]) {
    await opened.store.weights(scene, findLayer(scene, 0, "self", layer)!);
  }
  assert.equal(opened.gets.filter((one) => one.includes("attention")).length, 1);
});

test("a roll-up holds what the indexes of its commits hold", async () => {
  const opened = open("long");
  assert.equal(opened.rollUps.length, 1);
  const [{ asset, commits }] = opened.rollUps as [RollUpRecord];
  assert.deepEqual(commits, [0, 1]);
  const rolled = await opened.store.rollUp(asset);
  assert.deepEqual(
    rolled.commits.map(({ n, step }) => [n, step]),
    opened.commits.map(({ n, step }) => [n, step]),
  );
  for (const [i, commit] of opened.commits.entries()) {
    const index = await opened.store.index(commit);
    const { first, end } = rolled.commits[i]!;
    assert.equal(end - first, index.length);
    for (const name of [
      "input",
      "layer",
      "head",
      "call",
      "queries",
      "keys",
      "group",
      "explained",
      "leftOut",
    ] as const) {
      assert.deepEqual(rolled.table[name].subarray(first, end), index[name], name);
    }
    for (const metric of METRICS) {
      assert.deepEqual(rolled.table.metrics[metric].subarray(first, end), index.metrics[metric], metric);
    }
  }
});

test("a layer is stored sparse where it is long, and says its mean of what was left out", async () => {
  const opened = open("long");
  const scene = await opened.scene(0);
  const long = findLayer(scene, 0, "self", 0)!;
  const short = findLayer(scene, 1, "self", 0)!;
  assert.equal((await opened.store.weights(scene, long)!).stored, "sparse");
  assert.equal((await opened.store.weights(scene, short)!).stored, "dense");
  assert.ok(scene.index.leftOut[long.rows[0]!]! > 0);
  assert.ok(Number.isNaN(scene.index.leftOut[short.rows[0]!]!));
  assert.equal((await opened.store.vectors(scene, long)!).precision, "i8");
});
