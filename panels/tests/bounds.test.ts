// Messages are walked before they are decoded: each way they can be wrong is refused by name, and nothing is inflated for it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { walk } from "../src/decode/bounds";
import { LIMITS } from "../src/decode/limits";
import { mergeManifests } from "../src/decode/manifest";
import { type Declaration, readAsset, readBatch } from "../src/decode/read";
import { ATTENTION, asset, batchesOf, changed, I8, type Made, messagesOf, VECTORS } from "./assets";
import { fieldsThatMeet } from "./flat";
import { GOLDEN, manifests } from "./golden";

const U8 = { metadata: { "attnlog.precision": "u8" } };
const good = asset("attention", ATTENTION, U8);

const name =
  (wanted: string, why = /./) =>
  (error: Error) => {
    assert.equal(error.name, wanted, error.message);
    assert.match(error.message, why);
    return true;
  };

const refused = (made: Made, why?: RegExp, wanted = "AssetSchemaError"): Promise<void> =>
  assert.rejects(readAsset(made.bytes, made.record), name(wanted, why));

/** Where a batch message has its numbers: found by value. */
function find(bytes: Uint8Array, at: number, end: number, wanted: bigint, from = 0): number {
  const view = new DataView(bytes.buffer);
  for (let place = at + from; place < end; place += 8) if (view.getBigInt64(place, true) === wanted) return place;
  throw new Error(`no ${wanted}`);
}

const follow = (view: DataView, place: number): number => place + view.getUint32(place, true);

function slot(view: DataView, table: number, field: number): number {
  return table + view.getUint16(table - view.getInt32(table, true) + 4 + 2 * field, true);
}

/** The batch's table and its vectors, in bytes of the file. */
function batch(made: Made): { rows: number; nodes: number; buffers: number } {
  const { at } = messagesOf(made.bytes)[1]!;
  const view = new DataView(made.bytes.buffer);
  const header = follow(view, slot(view, follow(view, at + 8), 2));
  const vector = (field: number): number => follow(view, slot(view, header, field)) + 4;
  return { rows: slot(view, header, 0), nodes: vector(1), buffers: vector(2) };
}

const put64 = (place: number, value: bigint): Made => changed(good, (_, view) => view.setBigInt64(place, value, true));

test("what is decoded is the stream that was walked: no magic, no footer", () => {
  const { bytes, record } = good;
  const stream = walk(bytes, { asset: "x", decoded: record.decoded, rows: record.rows, limits: LIMITS });
  assert.equal(stream.byteOffset, 8);
  assert.deepEqual([...stream.slice(0, 4)], [255, 255, 255, 255]);
  assert.deepEqual([...stream.slice(-8)], [255, 255, 255, 255, 0, 0, 0, 0]);
});

test("rows that are not those of the manifest are refused", async () => {
  const record: Declaration = { ...good.record, rows: 3 };
  await assert.rejects(readAsset(good.bytes, record), name("AssetSchemaError", /has 2 rows, its manifest says 3/));
});

for (const rows of [0n, 1n, 3n, -1n, 2n ** 40n, 2n ** 63n - 1n, -(2n ** 63n)]) {
  test(`a batch of ${rows} rows is refused`, () => refused(put64(batch(good).rows, rows), /rows/));
  test(`a field of ${rows} values is refused`, () => refused(put64(batch(good).nodes, rows), /values/));
}

for (const nulls of [3n, -1n, 2n ** 40n, 2n ** 63n - 1n]) {
  test(`${nulls} nulls among 2 values are refused`, () => refused(put64(batch(good).nodes + 8, nulls), /null/));
}

test("a row count of 2⁴⁰ that the manifest repeats has no buffers behind it", async () => {
  const rows = 2 ** 40;
  const { nodes, rows: place } = batch(good);
  const made = changed(good, (_, view) => {
    view.setBigInt64(place, BigInt(rows), true);
    // The outer fields; the last node is the list's items.
    for (let i = 0; i < 8; i++) view.setBigInt64(nodes + 16 * i, BigInt(rows), true);
  });
  made.record.rows = rows;
  await refused(made, /more rows than this viewer takes/, "AssetTooLarge");
});

for (const [offset, why] of [
  [-8n, /outside/],
  [2n ** 20n, /outside/],
  [2n ** 40n, /outside/],
  [2n ** 63n - 1n, /outside/],
  [-(2n ** 63n), /outside/],
] as const) {
  test(`a buffer at ${offset} is refused`, () => refused(put64(batch(good).buffers, offset), why));
  test(`a buffer of ${offset} bytes is refused`, () => refused(put64(batch(good).buffers + 8, offset), why));
}

test("buffers whose lengths are no multiple of their items are refused, or read as far as they are needed", async () => {
  // The values of `input`: two uint16, to which 7 bytes would do and 3 do not.
  const place = batch(good).buffers + 16 + 8;
  assert.deepEqual(
    await readAsset(put64(place, 4n).bytes, put64(place, 4n).record),
    await readAsset(good.bytes, good.record),
  );
  await refused(put64(place, 3n), /./);
});

test("a buffer that starts between items is refused", async () => {
  await refused(put64(batch(good).buffers + 16, 1n), /./);
});

test("marks of validity that are too few, or that say another number of nulls, are refused", async () => {
  const vectors = asset("vectors", VECTORS, I8);
  // The buffers before those of `scale`: two for a number, three for a text, two and two for a list.
  const entry = batch(vectors).buffers + 16 * (2 + 3 + 2 + 2 + 2 + 3 + 2 + 2 + 4 + 4);
  const none = changed(vectors, (_, view) => view.setBigInt64(entry + 8, 0n, true));
  await refused(none, /"scale" has fewer marks of validity than rows/);
  const { at, metadata } = messagesOf(vectors.bytes)[1]!;
  const place = at + metadata + Number(new DataView(vectors.bytes.buffer).getBigInt64(entry, true));
  const more = changed(vectors, (bytes) => bytes.fill(0b11, place, place + 1));
  await refused(more, /"scale" has 1 nulls, not 2/);
});

test("buffers that add up to more than was declared are AssetTooLarge", async () => {
  const { bytes, record } = good;
  const limits = { ...LIMITS, decoded: 16 };
  await assert.rejects(
    readAsset(bytes, { ...record, decoded: 16 }, limits),
    name("AssetTooLarge", /more than 16 bytes/),
  );
});

test("a declared size above the cap is AssetTooLarge before anything is walked", async () => {
  await assert.rejects(readAsset(good.bytes, { ...good.record, decoded: 2 ** 32 }), name("AssetTooLarge"));
});

test("a file that does not begin or end as one is refused", async () => {
  for (const at of [0, 5, 6, good.bytes.length - 1, good.bytes.length - 6]) {
    await refused(changed(good, (_, view) => view.setUint8(at, 0x58)));
  }
});

test("a file without its end-of-stream marker, or with bytes before its footer, is refused", async () => {
  const end = messagesOf(good.bytes).reduce((_, { at, length }) => at + length, 0);
  await refused(changed(good, (bytes) => Uint8Array.from([...bytes.slice(0, end), ...bytes.slice(end + 8)])));
  await refused(
    changed(good, (bytes) => Uint8Array.from([...bytes.slice(0, end + 8), 0, 0, 0, 0, ...bytes.slice(end + 8)])),
  );
  await refused(changed(good, (bytes) => bytes.slice(0, end)));
});

test("a footer that names other batches than there are is refused", async () => {
  const { at, metadata, length } = messagesOf(good.bytes)[1]!;
  const footer = good.bytes.length - 10 - new DataView(good.bytes.buffer).getUint32(good.bytes.length - 10, true);
  const place = find(good.bytes, footer + ((8 - (footer % 8)) % 8), good.bytes.length - 8, BigInt(at));
  await refused(put64(place, 8n), /footer names other batches/);
  await refused(put64(place + 8, BigInt(metadata + 8)), /footer names other batches/);
  await refused(put64(place + 16, BigInt(length)), /footer names other batches/);
});

test("a footer that lists no batch, or one twice, is refused", async () => {
  const twice = asset("attention", ATTENTION, { ...U8, batch: 1 });
  const [, first, second] = messagesOf(twice.bytes);
  const footer = twice.bytes.length - 10 - new DataView(twice.bytes.buffer).getUint32(twice.bytes.length - 10, true);
  const place = find(twice.bytes, footer + ((8 - (footer % 8)) % 8), twice.bytes.length - 8, BigInt(second!.at));
  const made = changed(twice, (_, view) => view.setBigInt64(place, BigInt(first!.at), true));
  await refused(made, /footer names other batches/);
});

test("offsets and vtables that lead out of their message, or are not aligned, are refused", async () => {
  for (const { at } of messagesOf(good.bytes)) {
    for (const value of [0xffffffff, 0x7fffffff, 2 ** 20, 1, 2, 3]) {
      await refused(changed(good, (_, view) => view.setUint32(at + 8, value, true)));
    }
    const root = at + 8 + new DataView(good.bytes.buffer).getUint32(at + 8, true);
    for (const value of [2 ** 31 - 1, -(2 ** 31), 1, -1, 2 ** 16]) {
      await refused(changed(good, (_, view) => view.setInt32(root, value, true)));
    }
  }
});

test("a few fields that lead to one another cannot make many", async () => {
  const { bytes, decoded, rows } = fieldsThatMeet(1_000);
  const since = performance.now();
  assert.throws(() => walk(bytes, { asset: "x", decoded, rows, limits: LIMITS }), name("AssetSchemaError", /overlap/));
  assert.ok(performance.now() - since < 5_000);
});

/** The golden decoder's attention, and where its first compressed buffer says how long it becomes. */
function packed(): { made: Made; place: number } {
  const commit = mergeManifests(manifests("decoder")).commits[0]!;
  const record = commit.assets.find((one) => one.kind === "attention")!;
  const bytes = Uint8Array.from(readFileSync(join(GOLDEN, "decoder", record.path)));
  const made = { bytes, record };
  const view = new DataView(bytes.buffer);
  const { at, metadata } = messagesOf(bytes)[1]!;
  for (let entry = batch(made).buffers; ; entry += 16) {
    const place = at + metadata + Number(view.getBigInt64(entry, true));
    if (view.getBigInt64(entry + 8, true) > 8n && view.getBigInt64(place, true) > 0n) return { made, place };
  }
}

for (const [length, wanted, why] of [
  [-2n, "AssetSchemaError", /declares -2 bytes/],
  [-(2n ** 63n), "AssetSchemaError", /declares/],
  [2n ** 31n, "AssetTooLarge", /more than/],
  [2n ** 40n, "AssetTooLarge", /more than/],
  [2n ** 63n - 1n, "AssetTooLarge", /more than/],
  [0n, "AssetSchemaError", /./],
  [1000n, "AssetSchemaError", /not 1000/],
] as const) {
  test(`a compressed buffer that says it becomes ${length} bytes is ${wanted}`, () => {
    const { made, place } = packed();
    return refused(
      changed(made, (_, view) => view.setBigInt64(place, length, true)),
      why,
      wanted,
    );
  });
}

test("LZ4, and compression of a later kind, are refused", async () => {
  const { made } = packed();
  const { at } = messagesOf(made.bytes)[1]!;
  const view = new DataView(made.bytes.buffer);
  const header = follow(view, slot(view, follow(view, at + 8), 2));
  const compression = follow(view, slot(view, header, 3));
  await refused(
    changed(made, (_, changing) => changing.setUint8(slot(view, compression, 0), 0)),
    /not compressed by zstd/,
  );
});

test("one batch read by its place is one batch, and is what its place says", async () => {
  const made = asset("attention", ATTENTION, { ...U8, batch: 1 });
  const { bytes, record } = made;
  const [first, second] = batchesOf(made);
  const schema = bytes.slice(8, 8 + record.schema!.length);
  const cut = (from: number, length: number): Uint8Array => bytes.slice(from, from + length);
  const layer = await readBatch(schema, cut(second!.offset, second!.length), record, second!);
  assert.deepEqual("heads" in layer && [...layer.heads], [1]);
  const both = { ...first!, length: first!.length + second!.length };
  const bothBytes = cut(both.offset, both.length);
  await assert.rejects(readBatch(schema, bothBytes, record, both), name("AssetDigestMismatch"));
  const signed = { ...both, sha256: createHash("sha256").update(bothBytes).digest("hex") };
  await assert.rejects(readBatch(schema, bothBytes, record, signed), name("AssetSchemaError", /2 batches/));
  await assert.rejects(
    readBatch(schema, cut(0, 8), record, { ...first!, offset: bytes.length }),
    name("AssetSchemaError", /the index points to byte/),
  );
});
