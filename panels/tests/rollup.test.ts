// Roll-ups: one request instead of one per step, and where they fail or are silent the steps' own indexes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Decoder } from "../src/decode/decoder";
import { mergeManifests, parseManifest } from "../src/decode/manifest";
import { readAsset } from "../src/decode/read";
import type { RollUp } from "../src/decode/types";
import type { Source } from "../src/host/source";
import { Indexes } from "../src/session/indexes";
import { Store } from "../src/session/store";
import { headSeries } from "../src/views/timeline/series";
import { asset, index, type Made, metrics, type Values } from "./assets";

const name = (wanted: string, why: RegExp) => (error: Error) => {
  assert.equal(error.name, wanted, error.message);
  assert.match(error.message, why);
  return true;
};

/** The roll-up of so many commits of two heads; entropy of head h at commit n is n + h. */
function rolled(numbers: number[], more: Values = {}): Made {
  const each = <T>(value: (n: number, head: number) => T): T[] => numbers.flatMap((n) => [value(n, 0), value(n, 1)]);
  const one = metrics(1);
  const columns = Object.fromEntries(Object.entries(one).map(([key, [value]]) => [key, each(() => value)]));
  const values: Values = {
    ...columns,
    n: each((n) => n),
    step: each((n) => BigInt(10 * n)),
    head: each((_, head) => head),
    entropy: each((n, head) => n + head),
    ...more,
  };
  return asset("indexes", values, { batch: 2 });
}

const read = async ({ bytes, record }: Made): Promise<RollUp> => (await readAsset(bytes, record)) as RollUp;

test("a roll-up is read commit by commit", async () => {
  const found = await read(rolled([0, 1, 4]));
  assert.deepEqual(
    found.commits.map(({ n, step, first, end }) => [n, step, first, end]),
    [
      [0, 0, 0, 2],
      [1, 10, 2, 4],
      [4, 40, 4, 6],
    ],
  );
  assert.deepEqual([...found.table.metrics.entropy], [0, 1, 1, 2, 4, 5]);
});

const BAD: [string, Made, string, RegExp][] = [
  ["a batch of two commits", rolled([0, 1], { n: [0, 1, 1, 1] }), "AssetSchemaError", /several commits/],
  ["a batch of two steps", rolled([0], { step: [0n, 10n] }), "AssetSchemaError", /several commits/],
  ["a commit twice", rolled([3, 3]), "AssetSchemaError", /commit 3 is there twice/],
  ["a head twice", rolled([0], { head: [1, 1] }), "AssetSchemaError", /head 1 of layer 0 a second time/],
  ["a step past 2⁵³", rolled([0], { step: [2n ** 60n, 2n ** 60n] }), "AssetSchemaError", /past 2⁵³/],
  ["a metric that is NaN", rolled([0], { entropy: [0, Number.NaN] }), "AssetValueError", /entropy/],
];
for (const [what, made, wanted, why] of BAD) {
  test(`${what} in a roll-up is ${wanted}`, () => assert.rejects(read(made), name(wanted, why)));
}

const PATH = "indexes-w.arrow";

interface World {
  store: Store;
  gets: string[];
  read(): Promise<Indexes>;
}

/** A run of one writer with `count` commits, and a roll-up that covers some of them. */
function world(count: number, covered: number[], rollUp: Made, source: Partial<Source> = {}): World {
  const own = asset("index", index(2));
  const lines: unknown[] = [{ type: "writer", attnlog: 1, writer: "w", time: 1 }];
  for (let n = 0; n < count; n++) {
    const path = `step-${String(10 * n).padStart(8, "0")}/w-${n}/index.arrow`;
    const inputs = { ...own.record, path: "inputs-0123456789abcdef.arrow", kind: "inputs" };
    lines.push({ type: "commit", n, step: 10 * n, time: n, metrics: {}, inputs, assets: [{ ...own.record, path }] });
  }
  lines.push({ type: "indexes", commits: covered, asset: { ...rollUp.record, path: PATH } });
  const text = `${lines.map((line) => JSON.stringify(line)).join("\n")}\n`;
  const gets: string[] = [];
  const from: Source = {
    ranges: true,
    runs: async () => [],
    manifests: async () => [],
    get: async (_run, path) => {
      gets.push(path);
      return (path === PATH ? rollUp : own).bytes.slice();
    },
    ...source,
  };
  const { commits, rollUps } = mergeManifests([{ name: "manifest-w.jsonl", text }]);
  const store = new Store(from, "run", new Decoder(false));
  return {
    store,
    gets,
    read: () =>
      new Promise((resolve) => {
        const indexes: Indexes = new Indexes(store, () => {
          if (indexes.complete(commits)) resolve(indexes);
        });
        indexes.read(commits, rollUps);
      }),
  };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Entropy of head 0 at each step. */
function entropies(indexes: Indexes): number[] {
  const commits = [...indexes.tables.keys()].sort((a, b) => a.step - b.step);
  const what = { input: 0, kind: "self", layer: 0, heads: [0], metric: "entropy" as const };
  return headSeries(commits, indexes.tables, what)[0]!.values;
}

test("a run of 1 000 steps takes one request where its writer rolled it up", async () => {
  const { gets, read } = world(1000, range(1000), rolled(range(1000)));
  const indexes = await read();
  assert.deepEqual(gets, [PATH]);
  assert.deepEqual(entropies(indexes), range(1000));
});

test("commits that a roll-up does not cover are read by themselves", async () => {
  const { gets, read } = world(5, [0, 1, 2], rolled([0, 1, 2]));
  const indexes = await read();
  assert.deepEqual([...gets].sort(), [PATH, "step-00000030/w-3/index.arrow", "step-00000040/w-4/index.arrow"]);
  // Their own indexes say 1 of head 0.
  assert.deepEqual(entropies(indexes), [0, 1, 2, 1, 1]);
});

test("commits that a roll-up should cover and does not hold, or holds for another step, are read by themselves", async () => {
  const { gets, read } = world(4, [0, 1, 2, 3], rolled([0, 1, 2], { step: [0n, 0n, 10n, 10n, 999n, 999n] }));
  const indexes = await read();
  assert.equal(gets.length, 3);
  assert.deepEqual(entropies(indexes), [0, 1, 1, 1]);
});

test("rows of commits that the manifest does not have are ignored", async () => {
  const { gets, read } = world(2, [0, 1], rolled([0, 1, 7]));
  assert.deepEqual(entropies(await read()), [0, 1]);
  assert.deepEqual(gets, [PATH]);
});

test("a roll-up that does not verify is left aside", async () => {
  const good = rolled(range(3));
  const flipped = good.bytes.slice();
  flipped[200]! ^= 1;
  const { gets, read } = world(3, range(3), { ...good, bytes: flipped });
  const indexes = await read();
  assert.equal(indexes.failed.size, 0);
  assert.equal(gets.length, 4);
  assert.deepEqual(entropies(indexes), [1, 1, 1]);
});

test("a roll-up that the source does not carry, or for one commit only, is not asked for", async () => {
  const left = world(3, range(3), rolled(range(3)), { has: (_run, path) => path !== PATH });
  await left.read();
  assert.ok(!left.gets.includes(PATH));
  const single = world(1, [0], rolled([0]));
  await single.read();
  assert.ok(!single.gets.includes(PATH));
});

test("where a file carries the roll-up and not a step's index, the roll-up serves even one step", async () => {
  const { gets, read } = world(1, [0], rolled([0]), { has: (_run, path) => path === PATH });
  assert.deepEqual(entropies(await read()), [0]);
  assert.deepEqual(gets, [PATH]);
});

test("an index that cannot be read is told of, and the others are read", async () => {
  const broken = new Error("away");
  const { read } = world(3, [], rolled([0]), {
    get: async (_run, path) => {
      if (path.includes("w-1")) throw broken;
      return asset("index", index(2)).bytes;
    },
  });
  const indexes = await read();
  assert.deepEqual([indexes.tables.size, indexes.failed.size], [2, 1]);
});

const line = (commits: unknown, path = PATH): string =>
  JSON.stringify({ type: "indexes", commits, asset: { ...rolled([0]).record, path } });
const WRITER = JSON.stringify({ type: "writer", attnlog: 1, writer: "w", time: 1 });

test("of several roll-ups of a writer the last counts", () => {
  const text = `${[WRITER, line([0]), line([0, 1], "indexes-w-2.arrow")].join("\n")}\n`;
  const { rollUp } = parseManifest("manifest-w.jsonl", text)!;
  assert.deepEqual([rollUp?.commits, rollUp?.asset.path, rollUp?.writer], [[0, 1], "indexes-w-2.arrow", "w"]);
});

for (const [what, bad] of [
  ["that does not say its commits", line(undefined)],
  ["of commits that are no numbers", line(["0"])],
  ["of commits below 0", line([-1])],
  ["at a path outside the run", line([0], "../indexes-w.arrow")],
  ["at a path of another kind", line([0], "indexes-.arrow")],
] as const) {
  test(`a roll-up ${what} is AssetSchemaError`, () => {
    assert.throws(() => parseManifest("manifest-w.jsonl", `${WRITER}\n${bad}\n`), name("AssetSchemaError", /./));
  });
}
