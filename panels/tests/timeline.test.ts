// Numbers of the timeline: what is drawn beside the heads, which step is best, all heads over all steps, keys and playing.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { Commit, MetricTable } from "../src/decode/types";
import { bestStep, chosenNames, namesOption, recordedNames, recordedSeries } from "../src/views/timeline/beside";
import { besideScales } from "../src/views/timeline/chart";
import { heatPixels, layerRows } from "../src/views/timeline/heat";
import { Player } from "../src/views/timeline/play";
import { stepKey } from "../src/views/timeline/scrub";
import { headTable } from "../src/views/timeline/series";
import { stepPython, stepTable } from "../src/views/timeline/take";
import { expected, open } from "./golden";

const commit = (step: number, loss: number | null, metrics: Record<string, number> = {}): Commit =>
  ({ step, loss, metrics, checkpoint: `out/checkpoint-${step}` }) as unknown as Commit;

const RUN = [
  commit(0, 3, { eval_loss: 2.5, eval_accuracy: 0.4, eval_runtime: 1 }),
  commit(100, null, { eval_loss: 1.5, eval_runtime: 1 }),
  commit(200, 1, { eval_loss: 1.5, eval_accuracy: 0.6, "odd, name": 1, eval_samples_per_second: 9 }),
];

test("recorded numbers: losses first, and nothing of the Trainer's own speed", () => {
  assert.deepEqual(recordedNames(RUN), ["loss", "eval_loss", "eval_accuracy", "odd, name"]);
  assert.deepEqual(recordedNames([commit(0, null)]), []);
});

test("losses are drawn without being asked for; an option names others, or none", () => {
  const known = recordedNames(RUN);
  assert.deepEqual(chosenNames(undefined, known), ["loss", "eval_loss"]);
  assert.deepEqual(chosenNames("eval_accuracy,nonsense", known), ["eval_accuracy"]);
  assert.deepEqual(chosenNames("none", known), []);
  assert.equal(namesOption(["eval_loss", "loss"], known), null);
  assert.equal(namesOption([], known), "none");
  for (const names of [["odd, name"], ["loss", "odd, name"]])
    assert.deepEqual(chosenNames(namesOption(names, known) as string, known), names);
});

test("steps without a number are left out of its line", () => {
  assert.deepEqual(recordedSeries(RUN, ["loss", "eval_accuracy"]), [
    { name: "loss", steps: [0, 200], values: [3, 1] },
    { name: "eval_accuracy", steps: [0, 200], values: [0.4, 0.6] },
  ]);
});

test("losses share an axis, what is alone has it, and everything else its own range", () => {
  const [loss, evaluation, accuracy] = recordedSeries(RUN, ["loss", "eval_loss", "eval_accuracy"]) as [
    never,
    never,
    never,
  ];
  const all = besideScales([loss, evaluation, accuracy]);
  assert.equal(all.ranges[0], all.ranges[1]);
  assert.equal(all.shared, all.ranges[0]);
  assert.notEqual(all.ranges[2], all.shared);
  const alone = besideScales([accuracy]);
  assert.equal(alone.shared, alone.ranges[0]);
  assert.equal(besideScales([]).shared, null);
});

test("the best step is the first of least evaluation loss, and where no one loss decides there is none", () => {
  assert.deepEqual(bestStep(RUN), { step: 100, name: "eval_loss", value: 1.5, checkpoint: "out/checkpoint-100" });
  assert.equal(bestStep(RUN.slice(0, 1)), null);
  assert.equal(bestStep([commit(0, 3), commit(1, 2)]), null);
  const sets = [0, 1].map((step) => commit(step, null, { eval_a_loss: 2 - step, eval_b_loss: step }));
  assert.equal(bestStep(sets), null);
  const one = [0, 1].map((step) => commit(step, null, { eval_a_loss: 2 - step }));
  assert.equal(bestStep(one)?.step, 1);
});

test("all heads over all steps are those of the indexes", async () => {
  const { commits, scene } = open("decoder");
  const tables = new Map<Commit, MetricTable>();
  for (const one of commits.slice(1)) tables.set(one, (await scene(one.step)).index);
  const table = headTable(commits, tables, { input: 0, kind: "self", metric: "entropy" });
  assert.deepEqual(table.steps, [0, 100, 200]);
  assert.equal(table.heads.length, 8);
  const { steps } = expected("decoder");
  table.heads.forEach(({ layer, head }, row) => {
    const values = table.values.subarray(row * 3, row * 3 + 3);
    assert.ok(Number.isNaN(values[0]), "a step that was not read");
    [100, 200].forEach((step, i) => {
      const wanted = steps[String(step)]!.layers.find((one) => one.layer === layer)!.metrics.entropy![head]!;
      assert.ok(Math.abs(values[i + 1]! - wanted) < 1e-5);
    });
  });
  assert.ok(Math.abs(table.most - Math.max(...table.values.filter((v) => !Number.isNaN(v)))) < 1e-6);
  assert.deepEqual(headTable(commits, tables, { input: 9, kind: "self", metric: "entropy" }).heads, []);
});

test("heat: opacity is the share of the greatest value, and what is not known is grey", () => {
  const table = {
    heads: [
      { layer: 0, head: 0 },
      { layer: 3, head: 1 },
    ],
    steps: [0, 1],
    values: Float32Array.from([0, 0.5, 1, Number.NaN]),
    most: 1,
  };
  assert.deepEqual(layerRows(table), [
    { layer: 0, first: 0, end: 1 },
    { layer: 3, first: 1, end: 2 },
  ]);
  const pixels = heatPixels(
    table,
    [
      [10, 20, 30],
      [40, 50, 60],
    ],
    [1, 2, 3],
  );
  assert.deepEqual([...pixels], [10, 20, 30, 0, 10, 20, 30, 128, 40, 50, 60, 255, 1, 2, 3, 40]);
});

test("keys lead along the steps and not past their ends", () => {
  const steps = [0, 10, 20, 50];
  assert.deepEqual(
    ["ArrowRight", "ArrowLeft", "Home", "End", "PageUp", "x"].map((key) => stepKey(key, steps, 10)),
    [20, 0, 0, 50, 20, null],
  );
  assert.equal(stepKey("ArrowRight", steps, 50), 50);
  assert.equal(stepKey("ArrowRight", [], 0), null);
});

/** Steps that can be played, and whether they are on screen. */
function played(steps: number[], now: number) {
  const state = { now, settled: true, shown: [] as number[] };
  const player = new Player({
    steps: () => steps,
    now: () => state.now,
    show: (step) => {
      state.now = step;
      state.shown.push(step);
    },
    settled: () => state.settled,
    changed: () => undefined,
  });
  return { player, state };
}

test("playing shows each step, waits while one is loading, and ends with the last", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { player, state } = played([0, 1, 2], 0);
  player.start();
  mock.timers.tick(1);
  assert.deepEqual(state.shown, [1]);
  state.settled = false;
  mock.timers.tick(5_000);
  assert.deepEqual(state.shown, [1]);
  state.settled = true;
  mock.timers.tick(60);
  assert.deepEqual(state.shown, [1, 2]);
  assert.ok(player.playing);
  mock.timers.tick(700);
  assert.ok(!player.playing);
  player.start();
  assert.deepEqual(state.shown, [1, 2, 0], "from the first again");
  mock.timers.reset();
});

test("playing ends when somebody else moves the step", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { player, state } = played([0, 1, 2], 0);
  player.start();
  mock.timers.tick(1);
  state.now = 0;
  mock.timers.tick(700);
  assert.ok(!player.playing);
  assert.deepEqual(state.shown, [1]);
  const { player: one } = played([7], 7);
  one.start();
  assert.ok(!one.playing, "one step cannot be played");
  mock.timers.reset();
});

test("the table has a row per step, and NaN where a number is not known", () => {
  const table = stepTable(
    [0, 100],
    [{ name: "1.0", steps: [0, 100], values: [0.25, Number.NaN] }],
    [{ name: "loss", steps: [100], values: [2] }],
  );
  assert.deepEqual(table.columns, ["step", "1.0", "loss"]);
  assert.equal(table.count, 2);
  assert.deepEqual(
    [...table.rows()],
    [
      [0, 0.25, Number.NaN],
      [100, Number.NaN, 2],
    ],
  );
});

test("names in Python are quoted, whatever they hold", () => {
  const python = stepPython({ run: "a", metric: "first", input: 2, kind: "self", only: null, beside: ['a"b\\'] });
  assert.ok(python.includes('commit.metrics.get("a\\"b\\\\")'));
  assert.ok(!python.includes('"layer") =='));
});
