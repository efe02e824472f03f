// Many runs: listed page by page, found by id, and looked through by words.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunName, Source } from "../src/host/source";
import { RunList } from "../src/session/runs";
import { Session } from "../src/session/session";
import { matching } from "../src/ui/picker";
import { source } from "./golden";

const named = (from: number, count: number): RunName[] =>
  Array.from({ length: count }, (_, i) => ({ id: `id${from + i}`, name: `run ${from + i}` }));

/** A source of 25 runs, ten at a time, and one more that is never listed. */
function many(): Source {
  let at = 0;
  const next = (): RunName[] => {
    const page = named(at, Math.min(10, 25 - at));
    at += page.length;
    return page;
  };
  return {
    ...source("decoder", true),
    runs: async () => {
      at = 0;
      return next();
    },
    moreRuns: async () => next(),
    findRun: async (id) => (id === "decoder" ? { id, name: "hidden" } : null),
  };
}

test("a long list is read page by page when somebody opens it, and again without doubles", async () => {
  let told = 0;
  const list = new RunList(many());
  list.subscribe(() => told++);
  assert.equal((await list.load()).length, 10);
  const first = list.known[0];
  for (let i = 0; i < 2; i++) {
    await list.list();
    assert.deepEqual(
      list.known.map((one) => one.id),
      named(0, 25).map((one) => one.id),
    );
  }
  assert.equal(list.known[0], first);
  assert.equal(list.busy, false);
  assert.ok(told > 2);
});

test("a list that breaks off keeps what came and says so", async () => {
  const source = many();
  const list = new RunList({ ...source, moreRuns: () => Promise.reject(new Error("away")) });
  await list.load();
  await list.list();
  assert.equal(list.known.length, 10);
  assert.match(String(list.error), /away/);
});

/** A source that gives these pages of runs, each time the list is read. */
function pages(given: RunName[][]): Source {
  let at = 0;
  return {
    ...source("decoder", true),
    runs: async () => {
      at = 1;
      return [...given[0]!];
    },
    moreRuns: async () => given[at++] ?? [],
    findRun: async (id) => ({ id, name: `found ${id}` }),
  };
}

const ids = (list: RunList): string[] => list.known.map((one) => one.id);

test("a run that begins while pages are read, and shifts them, is listed once", async () => {
  const list = new RunList(pages([named(0, 3), named(2, 3)]));
  await list.load();
  await list.list();
  assert.deepEqual(ids(list), ["id0", "id1", "id2", "id3", "id4"]);
});

test("what a whole listing lacks is gone, but for what is looked at and what was never listed", async () => {
  const given = [named(0, 5), named(5, 1)];
  const list = new RunList(pages(given), () => ["id1"]);
  await list.load();
  await list.list();
  await list.lookup("hidden");
  given.splice(0, 2, named(3, 2));
  await list.list();
  assert.deepEqual(ids(list), ["id3", "id4", "id1", "hidden"]);
});

test("a list that breaks off makes nothing go", async () => {
  const from = pages([named(0, 2), named(2, 2)]);
  const list = new RunList(from);
  await list.load();
  await list.list();
  from.moreRuns = () => Promise.reject(new Error("away"));
  await list.list();
  assert.equal(list.known.length, 4);
});

test("what a source says later of a run is taken, and told when it is new", async () => {
  const from = pages([named(0, 2)]);
  let say: (run: RunName) => void = () => undefined;
  from.follow = (told) => {
    say = told;
  };
  const list = new RunList(from);
  await list.load();
  const first = list.known[0]!;
  const heard: unknown[] = [];
  list.subscribe((run) => heard.push(run?.id));
  say({ id: "id0", name: "a name" });
  say({ id: "id0", name: "a name" });
  say({ id: "new", name: "new" });
  assert.equal(first.name, "a name");
  assert.deepEqual(heard, ["id0", "new"]);
  assert.deepEqual(ids(list), ["id0", "id1", "new"]);
});

test("reading a long list tells nobody but those who show it", async () => {
  const session = new Session(many(), false);
  await session.start("#run=decoder");
  let drawn = 0;
  session.subscribe(() => drawn++);
  await session.list.list();
  assert.equal(session.runs.length, 26);
  assert.equal(drawn, 0);
  session.close();
});

test("an address opens a run that is not listed, and one that is nowhere opens the first", async () => {
  const session = new Session(many(), false);
  await session.start("#run=decoder");
  assert.equal(session.run?.name, "hidden");
  assert.deepEqual(session.runs.map((one) => one.id).slice(-1), ["decoder"]);
  session.close();
  const other = new Session(many(), false);
  await other.start("#run=nobody");
  assert.equal(other.run?.id, "id0");
  assert.match(other.said, /run nobody/);
  other.close();
});

test("runs are found by every word of what is typed, and by the beginning of their id", () => {
  const runs: RunName[] = [
    { id: "abcdef0123", name: "Warm-up 3e-4", group: "induction", status: "finished" },
    { id: "fedcba9876", name: "warm-up 1e-3", group: "pruning", status: "running" },
  ];
  const ids = (text: string, group: string | null = null): string[] =>
    matching(runs, text, group).map((one) => one.name);
  assert.deepEqual(ids("WARM ind"), ["Warm-up 3e-4"]);
  assert.deepEqual(ids("  "), ["Warm-up 3e-4", "warm-up 1e-3"]);
  assert.deepEqual(ids("warm", "pruning"), ["warm-up 1e-3"]);
  assert.deepEqual(ids("fedcba"), ["warm-up 1e-3"]);
  assert.deepEqual(ids("edc"), []);
});
