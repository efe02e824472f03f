// The viewer's own zstd: frames of every kind of block come out whole, and a damaged one costs no more than an honest one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decompress } from "../src/decode/zstd/frame";
import { FRAMES } from "./frames";

const frameOf = (text: string): Uint8Array => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** The text of which the frames were made: one sentence over and over, now and then a few letters. */
function text(length: number, period: number): Uint8Array {
  if (period === 0) return new Uint8Array(length).fill(97);
  let state = 1;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
  const out: number[] = [];
  const sentence = [..."the cat sat on the mat, "].map((c) => c.charCodeAt(0));
  while (out.length < length) {
    if (next() % period !== 0) out.push(...sentence);
    else for (let left = next() % 9; left > 0; left--) out.push(97 + (((next() % 7) * next()) % 5));
  }
  return Uint8Array.from(out.slice(0, length));
}

for (const { what, length, period, frame } of FRAMES) {
  test(`a frame with ${what}`, () => {
    assert.deepEqual(decompress(frameOf(frame), length), text(length, period));
  });
}

const refused = (frame: Uint8Array, size: number, why: RegExp): void =>
  assert.throws(() => decompress(frame, size), why);

/** One frame of `size` bytes, said or not, of the blocks given as type and bytes. */
function frame(size: number, blocks: [number, number, number[]][], descriptor = 0xa0): Uint8Array {
  const out = [0x28, 0xb5, 0x2f, 0xfd, descriptor, ...[0, 8, 16, 24].map((shift) => (size >>> shift) & 255)];
  blocks.forEach(([type, length, bytes], i) => {
    const header = (length << 3) | (type << 1) | (i === blocks.length - 1 ? 1 : 0);
    out.push(header & 255, (header >> 8) & 255, header >> 16, ...bytes);
  });
  return Uint8Array.from(out);
}

test("a frame of raw and repeated bytes", () => {
  const made = frame(5, [
    [0, 2, [1, 2]],
    [1, 3, [7]],
  ]);
  assert.deepEqual([...decompress(made, 5)], [1, 2, 7, 7, 7]);
  assert.equal(decompress(frame(0, [[0, 0, []]]), 0).length, 0);
});

test("a frame that holds less than its buffer is refused, not filled up", () => {
  refused(frame(5, [[0, 2, [1, 2]]]), 5, /holds 2 bytes, not 5/);
});

test("a frame that holds more than its buffer is refused", () => {
  refused(frame(1, [[0, 2, [1, 2]]]), 1, /longer than its buffer/);
  refused(frame(3, [[1, 130_000, [1]]]), 3, /longer than its buffer/);
});

test("a frame that declares another size than its buffer is refused", () => {
  refused(frame(5, [[1, 5, [1]]]), 6, /declares 5 bytes, not 6/);
});

test("frames cut short, followed by bytes, of an unknown block or with a dictionary are refused", () => {
  const good = frame(3, [[1, 3, [1]]]);
  for (let length = 0; length < good.length; length++) refused(good.slice(0, length), 3, /zstd buffer is damaged/);
  refused(Uint8Array.from([...good, 0]), 3, /bytes follow/);
  refused(frame(3, [[3, 3, [1, 2, 3]]]), 3, /block's header/);
  refused(frame(3, [[1, 3, [1]]], 0xa1), 3, /dictionary/);
});

test("a few bytes cannot keep the decoder busy: what a match writes must have room", () => {
  // 98 303 matches of 65 539 bytes each, in a block of ten bytes.
  const literal = [1 << 3, 65];
  const sequences = [255, 0xff, 0xff, 0b01010100, 0, 2, 52, 1];
  refused(frame(131_072, [[2, 10, [...literal, ...sequences]]]), 131_072, /too few bits/);
});

test("whatever is flipped in a frame, it comes out at its length or is refused by name", () => {
  for (const { length, frame: coded } of FRAMES) {
    const good = frameOf(coded);
    for (let at = 0; at < good.length; at += 7) {
      const bad = good.slice();
      bad[at]! ^= 1 << (at % 8);
      try {
        assert.equal(decompress(bad, length).length, length);
      } catch (error) {
        assert.match((error as Error).message, /zstd buffer is damaged/);
      }
    }
  }
});
