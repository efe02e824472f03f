// The session: state to hash and back, nearest states, pair filter, and following a run that grows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHash, toHash } from "../src/session/hash";
import { ByteCache } from "../src/session/lru";
import { filterPair } from "../src/session/pair";
import { axisOf } from "../src/session/scene";
import { Session } from "../src/session/session";
import { START, type State, settle } from "../src/session/state";
import { manifests, open, source } from "./golden";

const state: State = {
  ...START,
  view: "neuron",
  step: 100,
  input: 1,
  kind: "cross",
  layer: 2,
  heads: [0, 3],
  query: 5,
  pair: "ab",
  metric: "entropy",
  compare: { run: "a;b:c 50%", step: 200, input: null },
  side: "b",
  options: { "weights.words": "1", "matrix.zoom": "0-4,2-9" },
};

test("a state survives the hash", () => {
  assert.deepEqual(fromHash(toHash(state, "a/b c&d")), { ...state, run: "a/b c&d" });
});

test("the documented hash is read", () => {
  assert.deepEqual(fromHash("#view=head&step=100&input=0&kind=self&layer=2&heads=0,3"), {
    view: "head",
    step: 100,
    input: 0,
    kind: "self",
    layer: 2,
    heads: [0, 3],
  });
});

for (const hash of [
  "",
  "#",
  "#step=-1",
  "#step=1e9&layer=x",
  "#heads=,",
  "#heads=1,x",
  "#view=<b>",
  "#kind=%E0%A4%A",
  "#pair=zz&metric=zz",
  "#&&=&==",
]) {
  test(`the hash ${JSON.stringify(hash)} falls back`, () => {
    const found = fromHash(hash);
    assert.deepEqual(
      Object.keys(found).filter((key) => key !== "kind"),
      [],
    );
  });
}

test("a state that a step cannot show becomes the nearest", async () => {
  const scene = await open("decoder").scene(100);
  const settled = settle({ ...START, input: 9, kind: "nothing", layer: 77, heads: [1, 99], query: 10_000 }, scene);
  assert.deepEqual(
    { input: settled.input, kind: settled.kind, layer: settled.layer, heads: settled.heads, query: settled.query },
    { input: 0, kind: "self", layer: 1, heads: [1], query: null },
  );
});

test("all heads chosen is the same as none named", async () => {
  const scene = await open("decoder").scene(100);
  assert.equal(settle({ ...START, heads: [3, 2, 1, 0] }, scene).heads, null);
});

test("the pair filter keeps separators with the segment they carry", async () => {
  const scene = await open("pair").scene(0);
  const axis = axisOf(scene, 0, "self")!;
  const segments = [...axis.segments!];
  const { queries, keys } = filterPair("ab", segments.length, segments.length, axis, axis);
  assert.deepEqual(
    queries,
    segments.flatMap((one, i) => (one === 0 ? [i] : [])),
  );
  assert.deepEqual(
    keys,
    segments.flatMap((one, i) => (one === 1 ? [i] : [])),
  );
  assert.equal(axis.tokens[queries[queries.length - 1]!], "[SEP]");
  assert.equal(filterPair("all", 4, 4, axis, axis).keys.length, 4);
  assert.equal(filterPair("ab", 4, 4, null, null).keys.length, 4);
});

const settled = (session: Session): Promise<void> =>
  new Promise((resolve) => {
    const check = (): void => {
      if (session.phase !== "loading" && (session.scene || session.phase !== "ready")) {
        stop();
        resolve();
      }
    };
    const stop = session.subscribe(check);
    check();
  });

/** A source whose manifest shows the first lines only. */
function growing(name: string): { source: ReturnType<typeof source>; lines: { count: number } } {
  const lines = { count: 2 };
  const whole = source(name, true);
  whole.manifests = async () =>
    manifests(name).map((one) => ({
      name: one.name,
      text: `${one.text.split("\n").slice(0, lines.count).join("\n")}\n`,
    }));
  return { source: whole, lines };
}

test("who looks at the newest step follows a growing run", async () => {
  const { source: from, lines } = growing("decoder");
  const session = new Session(from, false);
  await session.start("");
  await settled(session);
  assert.equal(session.state.step, 0);
  session.set({ layer: 1, heads: [2] });
  lines.count = 3;
  await session.refresh();
  await settled(session);
  assert.equal(session.state.step, 100);
  assert.deepEqual([session.state.layer, session.state.heads], [1, [2]]);
  session.close();
});

test("who looks at an earlier step stays there and hears of the new one", async () => {
  const { source: from, lines } = growing("decoder");
  lines.count = 3;
  const session = new Session(from, false);
  await session.start("#step=0");
  await settled(session);
  lines.count = 4;
  await session.refresh();
  await settled(session);
  assert.equal(session.state.step, 0);
  assert.equal(session.news, 200);
  session.set({ step: 200 });
  await settled(session);
  assert.equal(session.news, null);
  session.close();
});

test("a run without commits is empty, no error", async () => {
  const { source: from, lines } = growing("decoder");
  lines.count = 1;
  const session = new Session(from, false);
  await session.start("");
  assert.equal(session.phase, "empty");
  assert.equal(session.error, null);
  session.close();
});

test("a step that is not there becomes the one before it", async () => {
  const session = new Session(source("decoder", true), false);
  await session.start("#step=150&layer=1");
  await settled(session);
  assert.deepEqual([session.state.step, session.state.layer], [100, 1]);
  session.close();
});

test("the cache forgets what was unused longest", () => {
  const cache = new ByteCache<number>(10);
  cache.set("a", 1, 4);
  cache.set("b", 2, 4);
  assert.equal(cache.get("a"), 1);
  cache.set("c", 3, 4);
  assert.deepEqual([cache.get("a"), cache.get("b"), cache.get("c")], [1, undefined, 3]);
  assert.equal(cache.size, 8);
});

test("a run that answers late with a failure does not take the place of the one that was opened after it", async () => {
  const from = source("decoder", true);
  const read = from.manifests;
  from.runs = async () => ["a", "b"].map((id) => ({ id, name: id }));
  let fail: (error: Error) => void = () => undefined;
  from.manifests = (run) => (run === "a" ? new Promise((_, reject) => (fail = reject)) : read.call(from, run));
  const session = new Session(from, false);
  const first = session.start("#run=a");
  await new Promise((resolve) => setTimeout(resolve, 0));
  await session.openRun("b");
  await settled(session);
  fail(new Error("a is away"));
  await first;
  assert.deepEqual([session.phase, session.run?.id, session.error], ["ready", "b", null]);
  session.close();
});

test("a run that could not be read is opened once it answers", async () => {
  const from = source("decoder", true);
  const read = from.manifests;
  from.manifests = () => Promise.reject(new Error("away"));
  const session = new Session(from, false);
  await session.start("");
  assert.equal(session.phase, "error");
  from.manifests = (run) => read.call(from, run);
  await session.refresh();
  await settled(session);
  assert.equal(session.phase, "ready");
  assert.equal(session.state.step, 200);
  session.close();
});

test("an address in full is all of the state; another changes what it names", async () => {
  const session = new Session(source("decoder", true), false);
  await session.start("#step=0&heads=1&compare=step:200&weights.words=1");
  await settled(session);
  session.apply("#layer=1");
  assert.deepEqual([session.state.heads, session.state.layer], [[1], 1]);
  session.apply("#view=head&step=0&input=0&kind=self&layer=0");
  assert.deepEqual([session.state.heads, session.state.compare, session.state.options], [null, null, {}]);
  session.close();
});
