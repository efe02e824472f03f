// Numbers of the model view: which cells a pair keeps, where thumbnails stand, ranking, choosing, and differences as pictures.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NEGATIVE, POSITIVE } from "../src/draw/colour";
import { type CodedPicture, thumbnail } from "../src/draw/thumbnails";
import { axisOf, kindsOf } from "../src/session/scene";
import { START, type State } from "../src/session/state";
import { cellAt, findCell, flat, layered, neighbour } from "../src/views/model/layout";
import { leastOf, rank, reaching, sortOf, toggled } from "../src/views/model/order";
import { cellsOf, crop, pairedPictures, recordedPictures, straddles } from "../src/views/model/pictures";
import { modelPython } from "../src/views/model/take";
import { expected, open } from "./golden";

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

test("cells of tokens are those of the format: cell c begins at ⌊c · tokens / cells⌋", () => {
  for (const tokens of [1, 5, 31, 32, 33, 40, 47, 64, 100, 1000]) {
    const cells = Math.min(32, tokens);
    const begins = range(0, cells).map((cell) => Math.floor((cell * tokens) / cells));
    for (let token = 0; token < tokens; token++) {
      const cell = begins.filter((begin) => begin <= token).length - 1;
      assert.deepEqual(cellsOf([token], tokens, cells), [cell], `token ${token} of ${tokens}`);
    }
  }
});

test("cells on the border are kept, and told where they hold tokens of both", () => {
  assert.deepEqual(cellsOf(range(0, 21), 64, 32), range(0, 11));
  assert.equal(straddles(range(0, 21), 64, 32), true);
  assert.equal(straddles(range(0, 20), 64, 32), false);
  assert.equal(straddles(range(0, 7), 12, 12), false);
  assert.deepEqual(cellsOf([], 12, 12), []);
});

test("a picture is cut to rows and columns, and one of no tokens is empty", () => {
  const picture = { rows: 2, columns: 3, codes: Uint8Array.from([1, 2, 3, 4, 5, 6]) };
  assert.deepEqual(crop(picture, [1], [0, 2]), { rows: 1, columns: 2, codes: Uint8Array.from([4, 6]) });
  assert.deepEqual(crop(picture, [], [0]), { rows: 0, columns: 1, codes: new Uint8Array() });
});

test("the pair filter cuts recorded pictures as it cuts weights", async () => {
  const opened = open("pair");
  const scene = await opened.scene(0);
  const table = await opened.store.pictures(scene.commit);
  const axis = axisOf(scene, 0, "self")!;
  const count = axis.tokens.length;
  const whole = recordedPictures(table, 0, "self");
  const first = axis.segments!.filter((one) => one === 0).length;
  const found = pairedPictures(whole, "ab", { queries: count, keys: count }, { query: axis, key: axis });
  assert.equal(found.mixed, false);
  const picture = found.pictures(0, 1)!;
  assert.deepEqual([picture.rows, picture.columns], [first, count - first]);
  assert.deepEqual(picture.codes, crop(whole(0, 1)!, range(0, first), range(first, count)).codes);
  assert.equal(found.pictures(99, 0), null);
  const all = pairedPictures(whole, "all", { queries: count, keys: count }, { query: axis, key: axis });
  assert.equal(all.pictures, whole);
});

test("heads are ranked by a metric, and a threshold tells the others apart", async () => {
  const scene = await open("decoder").scene(200);
  const kind = kindsOf(scene, 0)[0]!;
  const ranked = rank(kind, scene, "entropy");
  const wanted = expected("decoder")
    .steps["200"]!.layers.flatMap(({ layer, heads, metrics }) =>
      heads.map((head, i) => ({ layer, head, value: metrics.entropy![i]! })),
    )
    .sort((a, b) => b.value - a.value);
  assert.deepEqual(
    ranked.map(({ layer, head }) => [layer, head]),
    wanted.map(({ layer, head }) => [layer, head]),
  );
  assert.equal(reaching(ranked, ranked[2]!.value).length, 3);
  assert.equal(reaching(ranked, 0).length, 8);
  assert.equal(reaching([{ layer: 0, head: 0, value: Number.NaN }], 0.1).length, 0);
});

const optioned = (options: Record<string, string>): State => ({ ...START, options });

test("what is no metric of this kind, and no number, is as if it were not there", () => {
  assert.equal(sortOf(optioned({ "model.sort": "entropy" }), ["entropy"]), "entropy");
  assert.equal(sortOf(optioned({ "model.sort": "induction" }), ["entropy"]), null);
  assert.equal(sortOf(optioned({ "model.sort": "__proto__" }), ["entropy"]), null);
  assert.deepEqual(
    ["0.5", "-1", "x", "Infinity", ""].map((text) => leastOf(optioned({ "model.least": text }))),
    [0.5, 0, 0, 0, 0],
  );
});

test("heads are chosen within a layer", () => {
  const state = { ...START, layer: 1, heads: [2] };
  assert.deepEqual(toggled(state, { layer: 1, head: 0 }), { layer: 1, heads: [0, 2] });
  assert.deepEqual(toggled(state, { layer: 1, head: 2 }), { layer: 1, heads: null });
  assert.deepEqual(toggled(state, { layer: 0, head: 3 }), { layer: 0, heads: [3] });
  assert.deepEqual(toggled({ ...state, heads: null }, { layer: 1, head: 3 }), { layer: 1, heads: [3] });
});

const kind = {
  kind: "self",
  layers: [
    { layer: 0, heads: [0, 1, 2] },
    { layer: 4, heads: [0, 2] },
  ],
} as never;

test("layers are rows, and a head that a layer has not is stepped over", () => {
  const layout = layered(kind, { width: 26 + 3 * 33, height: Number.POSITIVE_INFINITY });
  assert.equal(layout.size, 30);
  const corner = findCell(layout, { layer: 4, head: 0 })!;
  assert.deepEqual([corner.row, corner.column], [1, 0]);
  assert.equal(neighbour(layout, corner, 0, 1).head, 2);
  assert.equal(neighbour(layout, corner, 1, 0), corner);
  assert.equal(cellAt(layout, layout.left + 40, layout.top + 40), null, "no head 1 in layer 4");
  assert.equal(cellAt(layout, layout.left + 70, layout.top + 40)?.head, 2);
  assert.deepEqual(
    layout.labels.map((one) => one.text),
    ["0", "1", "2", "0", "4"],
  );
});

test("ranked heads fill rows in their order, each under its name and value", () => {
  const ranked = range(0, 5).map((head) => ({ layer: 3, head, value: 1 - head / 10 }));
  const layout = flat(ranked, [3], { width: 112, height: 100 });
  assert.deepEqual([layout.columns, layout.rows, layout.size], [2, 3, 52]);
  assert.deepEqual(
    layout.labels.slice(0, 2).map((one) => one.text),
    ["3.0", "1.00"],
  );
  assert.equal(cellAt(layout, 64, 75)?.head, 3);
  assert.ok(
    flat(ranked, [3], { width: 1000, height: Number.POSITIVE_INFINITY }).size === 84,
    "as large as there is room",
  );
});

test("a difference is drawn as heat, blue where it is positive and orange where it is negative", () => {
  const picture = { rows: 1, columns: 3, values: Float32Array.from([1, -1, 0]), signed: true as const };
  for (const dark of [false, true]) {
    const theme = dark ? "dark" : "light";
    const pixels = thumbnail(picture, 3, { colour: [9, 9, 9], style: "lines", ratio: 1, dark });
    assert.deepEqual([...pixels.slice(0, 4)], [...POSITIVE[theme], 255]);
    assert.deepEqual([...pixels.slice(4, 8)], [...NEGATIVE[theme], 255]);
    assert.equal(pixels[11], 0);
  }
});

test("heat of weights is in the colour of the layer, the stronger the more opaque", () => {
  const picture: CodedPicture = { rows: 2, columns: 1, codes: Uint8Array.from([255, 64]) };
  const pixels = thumbnail(picture, 2, { colour: [10, 20, 30], style: "heat", ratio: 1, dark: false });
  assert.deepEqual([...pixels.slice(0, 4)], [10, 20, 30, 255]);
  assert.ok(pixels[11]! > 0 && pixels[11]! < 100);
});

test("Python for what is not stored asks for no weights", () => {
  const asked = {
    run: "a",
    step: 1,
    input: 0,
    kind: "self",
    defined: [],
    sort: null,
    least: 0,
    layers: [],
    pair: null,
  };
  assert.ok(!modelPython({ ...asked, stored: null }).includes("weights"));
  assert.ok(modelPython({ ...asked, layers: [2], stored: "sparse" }).includes("SparseWeights"));
});
