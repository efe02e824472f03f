// The TypeScript reader finds in the golden runs what the Python reader found.
import assert from "node:assert/strict";
import { test } from "node:test";
import { headWeights } from "../src/decode/attention";
import { METRICS } from "../src/decode/types";
import { axisOf, findLayer, partOf, rowOf } from "../src/session/scene";
import { expected, goldenRuns, open } from "./golden";

const close = (found: number, wanted: number, what: string, slack = 1e-6): void =>
  assert.ok(Math.abs(found - wanted) <= slack, `${what}: ${found}, not ${wanted}`);

test("there are golden runs", () => assert.ok(goldenRuns().length >= 3));

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
          const part = partOf(scene, "attention", entry)!;
          const attention = await opened.store.attention(scene.commit, part);
          if (layer.weights) {
            const size = layer.shape[0] * layer.shape[1];
            layer.heads.forEach((head, h) => {
              const weights = headWeights(attention, head)!;
              for (let i = 0; i < size; i++) close(weights[i]!, layer.weights![h * size + i]!, `weight ${i}`);
            });
          }
          const vectors = partOf(scene, "vectors", entry);
          assert.equal(vectors !== null, layer.q !== null);
          if (vectors && layer.q) {
            const found = await opened.store.vectors(scene.commit, vectors);
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
      const layer = await opened.store.attention(scene.commit, partOf(scene, "attention", entry)!);
      const weights = headWeights(layer, table.head[row]!)!;
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
              most = Math.max(most, weights[i * entry.keys + j]!);
            }
          }
          const code = table.codes[table.offsets[row]! + r * columns + c]!;
          close((code / 255) ** 2, most, `picture ${row} cell ${r},${c}`, 4.1e-3);
        }
      }
    }
  });
}

test("one layer is read by two ranges, not by the file", async () => {
  const opened = open("decoder");
  const scene = await opened.scene(100);
  await opened.store.attention(scene.commit, partOf(scene, "attention", findLayer(scene, 0, "self", 1)!)!);
  const gets = opened.gets.filter((one) => one.includes("attention"));
  assert.equal(gets.length, 2);
  assert.ok(gets.every((one) => / \d+\+\d+$/.test(one)));
});

test("without ranges an asset is fetched once", async () => {
  const opened = open("decoder", false);
  const scene = await opened.scene(100);
  for (const layer of [0, 1]) {
    await opened.store.attention(scene.commit, partOf(scene, "attention", findLayer(scene, 0, "self", layer)!)!);
  }
  assert.equal(opened.gets.filter((one) => one.includes("attention")).length, 1);
});
