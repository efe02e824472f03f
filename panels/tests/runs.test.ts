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
  const list = new RunList(many(), () => told++);
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
  const list = new RunList({ ...source, moreRuns: () => Promise.reject(new Error("away")) }, () => undefined);
  await list.load();
  await list.list();
  assert.equal(list.known.length, 10);
  assert.match(String(list.error), /away/);
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
