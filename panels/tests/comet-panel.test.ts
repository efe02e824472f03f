// Comet's panel: what its options ask for, and what of a studio's state goes on when other experiments are chosen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readOptions, VIEWS } from "../src/host/comet/options";
import { among, shown } from "../src/host/comet/panel";
import { VIEWS as REGISTRY } from "../src/views/registry";

test("options of the panel become an address, and what cannot be read is told", () => {
  assert.deepEqual(readOptions({}), { state: "", theme: null, said: "" });
  assert.deepEqual(readOptions(undefined).state, "");
  const all = { view: "neuron", step: 300, input: 1, layer: "2", heads: [0, 3], pair: "ab", theme: "dark", other: 1 };
  assert.deepEqual(readOptions(all), {
    state: "#view=neuron&step=300&input=1&layer=2&heads=0,3&pair=ab",
    theme: "dark",
    said: "",
  });
  assert.equal(readOptions({ heads: "all", layer: "" }).state, "");
  const { state, said } = readOptions({ view: "pie", layer: "three", heads: "0, 1" });
  assert.equal(state, "#heads=0,1");
  assert.match(said, /view is "pie", and may be: model, head, .*; layer is "three"/);
});

test("options know the views there are", () => {
  assert.deepEqual(
    REGISTRY.map(({ name }) => name),
    [...VIEWS],
  );
});

test("what is on screen is an address that names the experiment, and nothing is none", () => {
  const studio = (hash: string, run: { id: string } | null) => ({ state: () => hash, inspect: () => ({ run }) });
  assert.equal(shown(studio("#view=model&run=a&step=3", { id: "a" })), "#view=model&step=3&run=a");
  assert.equal(shown(studio("#view=model&step=3", { id: "a" })), "#view=model&step=3&run=a");
  assert.equal(shown(studio("#view=model", null)), null);
});

test("what is wanted goes on without experiments that are not chosen", () => {
  const wanted = "#view=model&step=3&compare=run%3Ab%3Bstep%3A2&side=diff&run=a";
  assert.equal(among(wanted, ["b", "a"]), wanted);
  assert.equal(among(wanted, ["a"]), "#view=model&step=3&side=diff&run=a");
  assert.equal(among(wanted, ["b"]), "#view=model&step=3&compare=run%3Ab%3Bstep%3A2&side=diff");
  assert.equal(among("#run=a", ["b"]), "");
  assert.equal(among("", ["a"]), "");
});
