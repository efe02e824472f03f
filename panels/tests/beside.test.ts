// What lies beside attention in the golden run: hidden states, predictions, losses, saliency and norms, as the Python reader found them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Output, STATISTICS, type Statistic } from "../src/decode/types";
import { fromHash, toHash } from "../src/session/hash";
import { compareKinds, keyAxis, kindName, queryAxis } from "../src/session/kinds";
import { findLayer, makeScene } from "../src/session/scene";
import { START, settle } from "../src/session/state";
import { expected, open } from "./golden";

type Numbers = (number | null)[];

interface ExpectedStates extends Record<Statistic, Numbers> {
  input: number;
  axis: string;
  layer: number;
  width: number;
  values: Numbers | null;
}

interface ExpectedOutput {
  input: number;
  axis: string;
  role: "Prediction" | "Loss" | "SaliencyMap";
  task?: string;
  method?: string;
  tokens?: number;
  ids?: number[][];
  probabilities?: Numbers;
  labels?: string[][];
  values?: Numbers;
  target?: string;
  position?: number | null;
  steps?: number | null;
  error?: number | null;
}

interface ExpectedStep {
  states: ExpectedStates[];
  outputs: ExpectedOutput[];
  layers: { input: number; kind: string; layer: number; norms?: number[] }[];
}

const ROLES = { prediction: "Prediction", loss: "Loss", saliency: "SaliencyMap" } as const;
const steps = expected("beside").steps as unknown as Record<string, ExpectedStep>;

function same(found: ArrayLike<number>, wanted: Numbers, what: string): void {
  assert.equal(found.length, wanted.length, what);
  wanted.forEach((value, i) => {
    const one = found[i]!;
    if (value === null) assert.ok(Number.isNaN(one), `${what} ${i} is ${one}, not NaN`);
    else assert.ok(Math.abs(one - value) <= 1e-6 * Math.max(1, Math.abs(value)), `${what} ${i}: ${one}, not ${value}`);
  });
}

for (const ranges of [true, false]) {
  test(`beside: hidden states, outputs and norms, ${ranges ? "by byte ranges" : "by whole files"}`, async () => {
    const opened = open("beside", ranges);
    for (const [step, wanted] of Object.entries(steps)) {
      const scene = await opened.scene(Number(step));
      const states = await opened.store.states(scene);
      assert.equal(states.length, wanted.states.length);
      for (const one of wanted.states) {
        const found = states.find(
          (x) => [x.input, x.axis, x.layer].join() === [one.input, one.axis, one.layer].join(),
        )!;
        assert.equal(found.width, one.width);
        for (const name of STATISTICS) same(found.statistics[name], one[name], name);
        const hidden = opened.store.hidden(scene, found);
        assert.equal(hidden !== null, one.values !== null);
        if (hidden) same((await hidden).values, one.values!, "state");
      }
      const outputs = await opened.store.outputs(scene);
      assert.equal(outputs.length, wanted.outputs.length);
      for (const one of wanted.outputs) checkOutput(find(outputs, one), one);
      for (const { input, kind, layer, norms } of wanted.layers) {
        const vectors = await opened.store.vectors(scene, findLayer(scene, input, kind, layer)!)!;
        if (!norms) assert.ok(vectors.q.every((one) => one.norms === null));
        else same(Float32Array.from(vectors.q.flatMap((one) => [...one.norms!])), norms, "norm");
      }
    }
  });
}

function find(outputs: Output[], wanted: ExpectedOutput): Output {
  const name = wanted.task ?? wanted.method;
  return outputs.find(
    (one) =>
      ROLES[one.role] === wanted.role && one.name === name && one.input === wanted.input && one.axis === wanted.axis,
  )!;
}

function checkOutput(found: Output, wanted: ExpectedOutput): void {
  if (found.role !== "prediction") same(found.values, wanted.values!, found.name);
  if (found.role === "prediction") {
    assert.deepEqual([found.rows, found.top], [wanted.ids!.length, wanted.ids![0]!.length]);
    assert.equal(found.tokens, wanted.tokens);
    assert.deepEqual([...found.ids], wanted.ids!.flat());
    assert.deepEqual(found.labels, wanted.labels!.flat());
    same(found.probabilities, wanted.probabilities!, "probability");
  } else if (found.role === "saliency") {
    const { target, position, steps: points } = wanted;
    assert.deepEqual([found.target, found.position, found.steps], [target, position, points]);
    if (wanted.error === null || wanted.error === undefined) assert.equal(found.error, null);
    else same([found.error!], [wanted.error], "error");
  }
}

test("runs without them have none, and no vectors that tell norms", async () => {
  const opened = open("decoder");
  const scene = await opened.scene(100);
  assert.deepEqual([await opened.store.states(scene), await opened.store.outputs(scene)], [[], []]);
  const vectors = await opened.store.vectors(scene, findLayer(scene, 0, "self", 0)!)!;
  assert.ok(vectors.q.every((one) => one.norms === null));
});

test("states of other tokens than the inputs have are AssetSchemaError", async () => {
  const opened = open("beside");
  const scene = await opened.scene(0);
  const { inputs, ...rest } = scene;
  const cut = inputs.map((one) => ({
    ...one,
    axes: one.axes.map((axis) => ({ ...axis, tokens: axis.tokens.slice(1) })),
  }));
  for (const what of ["states", "outputs"] as const) {
    await assert.rejects(opened.store[what]({ ...rest, inputs: cut }), { name: "AssetSchemaError" });
  }
});

test("a step without attention has its inputs, and no kind", async () => {
  const opened = open("beside");
  const { commit, inputs, index } = await opened.scene(0);
  const none = { ...index, length: 0, input: new Uint16Array(0), kind: new Int32Array(0), kinds: [] };
  const scene = makeScene(commit, inputs, none);
  assert.deepEqual(scene.numbers, [0]);
  assert.equal(settle({ ...START, input: 3 }, scene).input, 0);
});

test("a kind says between which axes it looks, and how it is read", () => {
  const said = ["self", "cross", "vision", "latents>vision", "queries>vision-2", "self-window", ">vision", "a>"];
  assert.deepEqual(
    said.map((kind) => [queryAxis(kind), keyAxis(kind), kindName(kind)].join(" | ")),
    [
      "self | self | self",
      "decoder | encoder | cross",
      "vision | vision | vision",
      "latents | vision | latents → vision",
      "queries | vision-2 | queries → vision 2",
      "self-window | self-window | self window",
      ">vision | >vision | >vision",
      "a> | a> | a>",
    ],
  );
});

test("kinds are listed as a reader meets them: what looks at itself, then what looks elsewhere", () => {
  const order = ["self", "self-window", "encoder", "decoder", "vision", "vision-2", "vision-10", "audio", "latents"];
  const across = ["self>vision", "cross", "latents>vision"];
  const shuffled = [...across, ...order].sort();
  assert.deepEqual(shuffled.sort(compareKinds), [...order, ...across]);
});

test("every kind can stand in an address", () => {
  for (const kind of ["self", "vision-2", "latents>vision", "self-window", "a.b>c_d"]) {
    assert.equal(fromHash(toHash({ ...START, kind }, null)).kind, kind);
  }
});
