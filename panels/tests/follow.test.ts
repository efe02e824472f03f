// A session looks again: at steps that could not be read, at the run that is compared with, and not before there is anything.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Source } from "../src/host/source";
import { Retry } from "../src/session/growth";
import { StepList } from "../src/session/other";
import { Session } from "../src/session/session";
import { manifests, source } from "./golden";

/** Until something is true of a session. */
const until = (session: Session, is: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    const check = (): void => {
      if (!is()) return;
      stop();
      resolve();
    };
    const stop = session.subscribe(check);
    check();
  });

/** Runs with the same three steps; of each as many lines of its manifest as `lines` says. */
function several(...ids: string[]) {
  const lines = new Map<string, number>();
  const from = source("decoder", true);
  const made: Source = {
    ...from,
    runs: async () => ids.map((id) => ({ id, name: id })),
    manifests: async (run) =>
      manifests("decoder").map(({ name, text }) => ({
        name,
        text: `${text.trimEnd().split("\n").slice(0, lines.get(run)).join("\n")}\n`,
      })),
  };
  return { source: made, lines };
}

test("a step that could not be read is read at the next look", async () => {
  const from = source("decoder", true);
  const get = from.get;
  from.get = () => Promise.reject(new Error("502"));
  const session = new Session(from, false);
  await session.start("");
  await until(session, () => session.phase === "error");
  from.get = get;
  await session.refresh();
  await until(session, () => session.phase === "ready");
  assert.equal(session.scene?.commit.step, 200);
  session.close();
});

test("what stays damaged is tried ever more rarely, and what was mended is tried at once again", () => {
  const retry = new Retry();
  const looks = Array.from({ length: 100 }, () => retry.due());
  assert.deepEqual(
    looks.flatMap((due, at) => (due ? [at] : [])),
    [0, 2, 5, 10, 19, 36, 69],
  );
  retry.reset();
  assert.ok(retry.due());
});

test("a change while a run is being opened says nothing about what it holds", async () => {
  const { source: from } = several("a", "b");
  const session = new Session(from, false);
  await session.start("#run=a");
  await until(session, () => session.phase === "ready");
  const read = from.manifests;
  let answer: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    answer = resolve;
  });
  from.manifests = async (run) => gate.then(() => read(run));
  const phases = new Set<string>();
  session.subscribe(() => phases.add(session.phase));
  const opening = session.openRun("b");
  await new Promise((resolve) => setImmediate(resolve));
  session.set({ layer: 1 });
  assert.equal(session.phase, "loading");
  answer();
  await opening;
  await until(session, () => session.phase === "ready");
  assert.deepEqual([...phases], ["loading", "ready"]);
  assert.deepEqual([session.run?.id, session.state.layer], ["b", 1]);
  session.close();
});

test("a run that is compared with is followed, and what is drawn of it stays meanwhile", async () => {
  const { source: from, lines } = several("a", "b");
  lines.set("b", 2);
  const session = new Session(from, false);
  await session.start("#run=a&compare=run:b");
  await until(session, () => session.compared !== null);
  assert.equal(session.compared?.scene.commit.step, 0);
  lines.delete("b");
  let gone = false;
  session.subscribe(() => {
    gone ||= session.compared === null;
  });
  const { version } = session.others;
  await session.refresh();
  await until(session, () => session.compared?.scene.commit.step === 200);
  assert.deepEqual(await session.others.steps("b"), [0, 100, 200]);
  assert.notEqual(session.others.version, version);
  assert.equal(gone, false);
  session.close();
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a run that could not be compared with is asked again, and the same refusal is told once", async () => {
  const { source: from } = several("a", "b");
  const read = from.manifests;
  from.manifests = (run) => (run === "b" ? Promise.reject(new Error("502")) : read(run));
  const session = new Session(from, false);
  await session.start("#run=a&compare=run:b");
  await until(session, () => session.comparedError !== null);
  let told = 0;
  session.subscribe(() => told++);
  await session.refresh();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(told, 0);
  from.manifests = read;
  await session.refresh(); // tried more rarely
  await session.refresh();
  await until(session, () => session.compared !== null);
  assert.equal(session.comparedError, null);
  session.close();
});

test("a run that cannot be compared with is tried ever more rarely, and at once when it has gone on", async () => {
  const { source: from, lines } = several("a", "b");
  const get = from.get;
  let reads = 0;
  from.get = (run, ...rest) => {
    if (run !== "b") return get(run, ...rest);
    reads++;
    return Promise.reject(new Error("502"));
  };
  lines.set("b", 2);
  const session = new Session(from, false);
  await session.start("#run=a&compare=run:b");
  await until(session, () => session.comparedError !== null);
  const tried = async (looks: number): Promise<number[]> => {
    const found: number[] = [];
    for (let at = 0; at < looks; at++) {
      const before = reads;
      await session.refresh();
      await turn();
      if (reads > before) found.push(at);
    }
    return found;
  };
  assert.deepEqual(await tried(12), [0, 2, 5, 10]);
  lines.set("b", 3);
  assert.deepEqual(await tried(5), [0, 1, 3]);
  from.get = get;
  lines.delete("b");
  await session.refresh();
  await until(session, () => session.compared !== null);
  assert.equal(session.compared?.scene.commit.step, 200);
  session.close();
});

test("steps of a run that cannot be read are not asked for whenever something is drawn, and come when it can be", async () => {
  const { source: from } = several("a", "b");
  const read = from.manifests;
  let asked = 0;
  let shown = "b";
  const bad = [{ name: "manifest-w.jsonl", text: "no manifest\n" }];
  const answers = [async () => bad, () => Promise.reject(new Error("502"))];
  from.manifests = (run) => (run === "b" ? answers[asked++]!() : read(run));
  const session = new Session(from, false);
  const steps = new StepList(session.others, () => steps.of(shown));
  await session.start("#run=a");
  await until(session, () => session.phase === "ready");
  for (let drawn = 0; drawn < 5; drawn++) {
    assert.deepEqual(steps.of("b"), []);
    await turn();
  }
  assert.equal(asked, 1);
  for (shown of ["a", "b"]) {
    for (let drawn = 0; drawn < 5; drawn++) {
      steps.of(shown);
      await turn();
    }
  }
  assert.equal(asked, 2);
  from.manifests = read;
  session.set({ compare: { run: "b", step: null, input: null } });
  await until(session, () => session.compared !== null);
  steps.of("b");
  await turn();
  assert.deepEqual(steps.of("b"), [0, 100, 200]);
  session.close();
});

test("of runs that were compared with the last two are kept", async () => {
  const { source: from } = several("a", "b", "c", "d", "e");
  const session = new Session(from, false);
  await session.start("#run=a");
  await until(session, () => session.phase === "ready");
  for (const run of ["b", "c", "d", "e"]) {
    session.set({ compare: { run, step: null, input: null } });
    await until(session, () => session.compared?.run.id === run);
  }
  assert.equal(session.others.size, 2);
  session.close();
});
