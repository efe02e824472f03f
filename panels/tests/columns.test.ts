// Columns: missing, doubled, of another type, with nulls, texts that are none; and values that cannot be.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readAsset } from "../src/decode/read";
import type { IndexTable, InputRecord, VectorLayer } from "../src/decode/types";
import { ATTENTION, asset, changed, I8, index, type Made, type Options, VECTORS, type Values } from "./assets";

const name = (wanted: string, why: RegExp) => (error: Error) => {
  assert.equal(error.name, wanted, error.message);
  assert.match(error.message, why);
  return true;
};

const read = ({ bytes, record }: Made): Promise<unknown> => readAsset(bytes, record);
const refused = (made: Made, why: RegExp, wanted = "AssetSchemaError"): Promise<void> =>
  assert.rejects(read(made), name(wanted, why));

const U8: Options = { metadata: { "attnlog.precision": "u8" } };
const without = (values: Values, column: string): Values =>
  Object.fromEntries(Object.entries(values).filter(([key]) => key !== column));

const INPUTS: Values = {
  input: [0, 1],
  axis: ["self", "self"],
  text: ["a b", null],
  pair: [null, null],
  tokens: [["a", "b"], ["c"]],
  ids: [[1, 2], null],
  starts: [null, [0]],
  ends: [null, [1]],
  segments: [null, null],
  special: [[true, false], null],
  generated: [null, null],
  labels: [null, null],
  cut: [0, 3],
};

test("inputs with nulls where they may be are read as they are", async () => {
  const [first, second] = (await read(asset("inputs", INPUTS))) as InputRecord[];
  assert.deepEqual(first?.axes[0]?.tokens, ["a", "b"]);
  assert.deepEqual(first?.axes[0]?.special, [true, false]);
  assert.deepEqual([...first!.axes[0]!.ids!], [1, 2]);
  assert.deepEqual([second?.axes[0]?.text, second?.axes[0]?.ids, second?.axes[0]?.cut], [null, null, 3]);
});

test("a token that is a byte order mark stays one", async () => {
  const [first] = (await read(asset("inputs", { ...INPUTS, tokens: [["\ufeff", "b"], ["c"]] }))) as InputRecord[];
  assert.deepEqual(first?.axes[0]?.tokens, ["\ufeff", "b"]);
});

test("texts that are no UTF-8 are refused", async () => {
  const made = asset("inputs", { ...INPUTS, tokens: [["aQQz", "b"], ["c"]] });
  const at = Buffer.from(made.bytes).indexOf("aQQz") + 1;
  for (const [one, two] of [
    [0xff, 0xfe],
    [0xc3, 0x28],
    [0xed, 0xa0],
    [0x80, 0x41],
    [0xc0, 0xaf],
  ] as const) {
    await refused(
      changed(made, (bytes) => bytes.set([one, two], at)),
      /"tokens" holds bytes that are no UTF-8/,
    );
  }
});

const BAD_INPUTS: [string, Values, RegExp][] = [
  ["inputs that do not count from 0", { ...INPUTS, input: [0, 2] }, /input 1 is missing/],
  ["an axis that is there twice", { ...INPUTS, input: [0, 0] }, /axis "self" of input 0 is there twice/],
  ["fewer ids than tokens", { ...INPUTS, ids: [[1], null] }, /2 tokens but 1 ids/],
  ["more starts than tokens", { ...INPUTS, starts: [null, [0, 1]] }, /1 tokens but 2 starts/],
  ["a null among tokens", { ...INPUTS, tokens: [["a", null], ["c"]] }, /"tokens" has null items/],
  ["null tokens", { ...INPUTS, tokens: [["a", "b"], null] }, /"tokens" has nulls/],
];
for (const [what, values, why] of BAD_INPUTS) {
  test(`${what} are refused`, () => refused(asset("inputs", values), why));
}

for (const column of ["head", "queries", "weights"]) {
  test(`a missing column ${column} is refused`, () =>
    refused(asset("attention", without(ATTENTION, column), U8), new RegExp(`"${column}" is missing`)));
  test(`a doubled column ${column} is refused`, () => {
    const type = { head: "uint16", queries: "uint32", weights: "list<uint8>" }[column]!;
    const more: Options["more"] = [[column, type, ATTENTION[column]!]];
    return refused(asset("attention", ATTENTION, { ...U8, more }), new RegExp(`"${column}" is there 2 times`));
  });
}

for (const [column, type] of [
  ["head", "uint32"],
  ["head", "int32"],
  ["queries", "uint64"],
  ["kind", "list<utf8>"],
  ["weights", "list<int8>"],
  ["weights", "list<list<uint8>>"],
] as const) {
  test(`a column ${column} of ${type} is refused`, () => {
    const values: Values = { ...ATTENTION };
    if (column === "kind") values.kind = [["self"], ["self"]];
    if (type === "uint64") values.queries = [3n, 3n];
    if (type === "list<int8>") values.weights = values.weights!.map(() => new Array(9).fill(1));
    if (type === "list<list<uint8>>") values.weights = values.weights!.map((one) => [one]);
    return refused(
      asset("attention", values, { ...U8, types: { [column]: type } }),
      new RegExp(`"${column}" is ${type}`),
    );
  });
}

test("an unknown column is ignored, whatever it holds", async () => {
  const more: Options["more"] = [
    ["later", "list<list<float32>>", [[[1, Number.NaN]], []]],
    ["also", "bool", [true, null]],
  ];
  assert.deepEqual(
    await read(asset("attention", ATTENTION, { ...U8, more })),
    await read(asset("attention", ATTENTION, U8)),
  );
});

for (const [what, metadata, wanted, why] of [
  ["a later format", { "attnlog.format": "2" }, "AssetVersionError", /format version 2; this viewer reads up to 1/],
  ["no format", { "attnlog.format": null }, "AssetSchemaError", /attnlog.format is missing/],
  ["a format that is no number", { "attnlog.format": "1e9" }, "AssetSchemaError", /attnlog.format is missing/],
  ["another kind", { "attnlog.kind": "vectors" }, "AssetSchemaError", /holds vectors, not attention/],
  ["an unknown precision", { "attnlog.precision": "u4" }, "AssetSchemaError", /precision is "u4"/],
  ["no precision", { "attnlog.precision": null }, "AssetSchemaError", /precision is null/],
  [
    "a precision of another type",
    { "attnlog.precision": "f32" },
    "AssetSchemaError",
    /weights are uint8, which f32 is not/,
  ],
] as const) {
  test(`${what} is ${wanted}`, () =>
    refused(
      asset("attention", ATTENTION, { metadata: { ...U8.metadata, ...(metadata as Options["metadata"]) } }),
      why,
      wanted,
    ));
}

test("offsets that descend, lie below 0 or pass the items are refused", async () => {
  const made = asset("attention", ATTENTION, U8);
  // The offsets of `weights`: 0, 9, 18.
  const at = Buffer.from(made.bytes).indexOf(Buffer.from(Int32Array.of(0, 9, 18).buffer));
  for (const [offsets, why] of [
    [[0, 19, 18], /offsets that descend/],
    [[-1, 9, 18], /offset below 0/],
    [[0, 9, 19], /offsets past its values/],
    [[0, 9, 2 ** 31 - 1], /offsets past its values/],
    [[0, 8, 18], /weights of row 0 has 8 items, not 9/],
  ] as const) {
    await refused(
      changed(made, (bytes) => bytes.set(new Uint8Array(Int32Array.from(offsets).buffer), at)),
      why,
    );
  }
});

for (const [precision, type, weight, wanted] of [
  ["f32", "list<float32>", Number.NaN, "AssetValueError"],
  ["f32", "list<float32>", Number.POSITIVE_INFINITY, "AssetValueError"],
  ["f32", "list<float32>", -0.01, "AssetValueError"],
  ["f32", "list<float32>", 1.01, "AssetValueError"],
  ["f32", "list<float32>", 1.001, "read"],
  ["f32", "list<float32>", -0, "read"],
  ["f16", "list<float16>", Number.NaN, "AssetValueError"],
  ["f16", "list<float16>", -0.01, "AssetValueError"],
  ["f16", "list<float16>", 1.01, "AssetValueError"],
  ["f16", "list<float16>", 1, "read"],
] as const) {
  test(`a weight of ${weight} in ${precision} is ${wanted}`, async () => {
    const weights = ATTENTION.weights!.map(() => [weight, 0, 0, 0, 0.5, 0, 0, 0, 0]);
    const options = { metadata: { "attnlog.precision": precision }, types: { weights: type } };
    const made = asset("attention", { ...ATTENTION, weights }, options);
    if (wanted === "read") await read(made);
    else await refused(made, /weights/, wanted);
  });
}

test("8-bit vectors are their codes times the scale of their token", async () => {
  const [layer] = (await read(asset("vectors", VECTORS, I8))) as VectorLayer[];
  assert.equal(layer?.precision, "i8");
  assert.deepEqual([...layer!.q[0]!.values], [63.5, -32, 2, 0]);
  assert.deepEqual([...layer!.k[0]!.values].map(Math.abs), [127, 127, 0, 0]);
});

for (const [what, values, options, wanted, why] of [
  ["without scales", without(VECTORS, "scales"), I8, "AssetSchemaError", /row 0 has no scales/],
  ["with null scales", { ...VECTORS, scales: [[1, 1], null, [1, 1]] }, I8, "AssetSchemaError", /row 1 has no scales/],
  [
    "with a scale too few",
    { ...VECTORS, scales: [[1, 1], [1], [1, 1]] },
    I8,
    "AssetSchemaError",
    /scales of row 1 has 1/,
  ],
  [
    "with a scale that is NaN",
    {
      ...VECTORS,
      scales: [
        [1, 1],
        [1, Number.NaN],
        [1, 1],
      ],
    },
    I8,
    "AssetValueError",
    /scales/,
  ],
  [
    "with a scale below 0",
    {
      ...VECTORS,
      scales: [
        [1, 1],
        [1, -1],
        [1, 1],
      ],
    },
    I8,
    "AssetValueError",
    /scales holds -1/,
  ],
  [
    "with a scale that is ∞",
    {
      ...VECTORS,
      scales: [
        [1, 1],
        [1, 1 / 0],
        [1, 1],
      ],
    },
    I8,
    "AssetValueError",
    /scales/,
  ],
  [
    "that are said to be f16",
    VECTORS,
    { ...I8, metadata: { "attnlog.precision": "f16" } },
    "AssetSchemaError",
    /values are int8, which f16 is not/,
  ],
  ["of which nothing is said", VECTORS, { types: I8.types }, "AssetSchemaError", /values are int8/],
  ["of another precision", VECTORS, { ...I8, metadata: { "attnlog.precision": "i4" } }, "AssetSchemaError", /"i4"/],
  ["of an unknown role", { ...VECTORS, role: ["q", "k", "o"] }, I8, "AssetSchemaError", /role "o"/],
  ["of one head twice", { ...VECTORS, role: ["q", "k", "k"] }, I8, "AssetSchemaError", /already/],
  ["without a scale of q·k", { ...VECTORS, scale: [null, null, null] }, I8, "AssetSchemaError", /has no scale/],
  ["with a soft-cap that is NaN", { ...VECTORS, softcap: [Number.NaN, null, null] }, I8, "AssetValueError", /softcap/],
  ["of another width", { ...VECTORS, width: [3, 2, 2] }, I8, "AssetSchemaError", /values of row 0 has 4 items, not 6/],
] as const) {
  test(`vectors ${what} are ${wanted}`, () =>
    refused(asset("vectors", values as Values, options as Options), why, wanted));
}

for (const precision of ["f16", "f32"] as const) {
  for (const element of [Number.NaN, Number.POSITIVE_INFINITY]) {
    test(`vectors of ${precision} that hold ${element} are AssetValueError`, () => {
      const values = [[1, element, 1, 0], ...VECTORS.values!.slice(1)];
      const types = { values: precision === "f16" ? "list<float16>" : "list<float32>" };
      return refused(asset("vectors", { ...VECTORS, values }, { types }), /values holds/, "AssetValueError");
    });
  }
}

test("an index without the columns that may be absent is read, and they count as null", async () => {
  const found = (await read(asset("index", index(2)))) as IndexTable;
  assert.deepEqual([...found.sparse], [-1, -1]);
  assert.ok(found.leftOut.every(Number.isNaN));
});

const sparsePlace = { path: ["s.arrow"], offset: [8n], length: [16], sha256: ["0".repeat(64)] };

test("the four columns of a place in sparse are there together or not at all", async () => {
  const all = Object.entries(sparsePlace).map(([one, value]) => [`sparse_${one}`, value] as const);
  const found = (await read(asset("index", { ...index(1), ...Object.fromEntries(all) }))) as IndexTable;
  assert.deepEqual(found.parts, [{ path: "s.arrow", offset: 8, length: 16, sha256: "0".repeat(64) }]);
  await refused(asset("index", { ...index(1), ...Object.fromEntries(all.slice(1)) }), /"sparse_path" is missing/);
});

const twice = { ...index(2), head: [1, 1] };
const place = (offset: unknown, path: unknown = "attention.arrow"): Values => ({
  ...index(1),
  attention_path: [path],
  attention_offset: [offset],
  attention_length: [8],
  attention_sha256: ["0".repeat(64)],
});

for (const [what, values, wanted, why] of [
  ["a head twice in one layer", twice, "AssetSchemaError", /head 1 of layer 0 a second time/],
  ["heads of one layer that differ in shape", { ...index(2), keys: [3, 4] }, "AssetSchemaError", /differ in shape/],
  ["a place without an offset", place(null), "AssetSchemaError", /does not say where/],
  ["an offset past 2⁵³", place(2n ** 60n), "AssetSchemaError", /past 2⁵³/],
  ["a path that leads away", place(8n, "../x.arrow"), "AssetSchemaError", /names the file/],
  ["a metric that is NaN", { ...index(1), entropy: [Number.NaN] }, "AssetValueError", /entropy of row 0 is NaN/],
  ["a metric that is ∞", { ...index(1), distance: [1 / 0] }, "AssetValueError", /distance of row 0/],
  ["a metric below 0", { ...index(1), first: [-0.1] }, "AssetValueError", /first of row 0 is -0.1/],
  ["a difference below 0", { ...index(1), explained: [-1] }, "AssetValueError", /explained of row 0/],
] as const) {
  test(`an index with ${what} is ${wanted}`, () => refused(asset("index", values as Values), why, wanted));
}

test("rounding may take a metric a little below 0", async () => {
  const found = (await read(asset("index", { ...index(1), entropy: [-0.0005] }))) as IndexTable;
  assert.ok(found.metrics.entropy[0]! < 0);
});

test("one head in two layers, or two calls of one, is no doubling", async () => {
  await read(asset("index", { ...twice, layer: [0, 1] }));
  await read(asset("index", { ...twice, call: [0, 1] }));
});
