// Which of the chosen experiments are shown: those with attention, when they have it, under names that come later.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AttnlogError } from "../src/decode/errors";
import type { CometApi } from "../src/host/comet/api";
import { CometSource } from "../src/host/comet/source";
import type { RunName } from "../src/host/source";
import { Session } from "../src/session/session";
import { asset, comet, elapsing, silence } from "./comet";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A Comet of experiments with a manifest or without, which counts what it is asked at the same time. */
function many(withAttention: (key: string) => boolean) {
  const counts = { lists: 0, most: 0, open: 0, names: 0, mostNames: 0 };
  const api: CometApi = {
    ...comet(() => null),
    experimentAssets: async (key) => {
      counts.lists++;
      counts.most = Math.max(counts.most, ++counts.open);
      await turn();
      counts.open--;
      return withAttention(key) ? [asset("manifest-w.jsonl")] : [asset("x", { fileName: "model.pt" })];
    },
    experimentName: async (key) => {
      counts.mostNames = Math.max(counts.mostNames, ++counts.names);
      await turn();
      counts.names--;
      return `run ${key}`;
    },
  };
  return { api, counts };
}

const keys = (count: number): string[] => Array.from({ length: count }, (_, i) => `k${i}`);

/** What the source says later of its runs. */
function told(source: CometSource): Map<string, string> {
  const names = new Map<string, string>();
  source.follow((run: RunName) => names.set(run.id, run.name));
  return names;
}

/** Why there is nothing to show. */
const refusal = (source: CometSource): Promise<AttnlogError> =>
  source.runs().then(
    () => assert.fail("there is something to show"),
    (error) => error as AttnlogError,
  );

test("an experiment is a run, under its name", async () => {
  assert.deepEqual(
    await new CometSource(
      comet(() => null),
      ["key"],
    ).runs(),
    [{ id: "key", name: "run one" }],
  );
});

test("experiments without attention are left out, and one that Comet no longer knows", async () => {
  const api = comet(() => null);
  api.experimentAssets = async (key) => {
    if (key === "gone") throw new Error("404");
    return key === "empty" ? [asset("../model.pt", { fileName: "model.pt" })] : [asset("manifest-w.jsonl")];
  };
  api.experimentName = async (key) => `run ${key}`;
  const found = await new CometSource(api, ["empty", "gone", "one", "two"]).runs();
  assert.deepEqual(
    found.map(({ id }) => id),
    ["one", "two"],
  );
});

test("what is to be done is said where no experiment is chosen, and where none has attention", async () => {
  const api = comet(() => null, []);
  const said = async (keys: string[]) => {
    const error = await new CometSource(api, keys).runs().then(
      () => assert.fail("there is nothing to show"),
      (error) => error as AttnlogError,
    );
    return `${error.name}: ${error.message} ${error.remedy}`;
  };
  assert.match(await said([]), /^RunNotFoundError: No experiment is chosen\. Show experiments in the table/);
  assert.match(await said(["a"]), /The chosen experiment has no attention.*tracker="comet"/);
  assert.match(await said(["a", "b"]), /None of the 2 chosen experiments has attention.*attnlog sync RUN/);
  api.experimentAssets = async () => Promise.reject(new Error("401 https://comet.test?apiKey=secret"));
  const refused = await said(["a"]);
  assert.match(refused, /^CometTransportError: Comet did not list the assets of 1 of 1 experiments \(401 …\)/);
});

test("an experiment's assets are listed once before it is shown, and anew when new steps are looked for", async () => {
  let lists = 0;
  const api = comet(() => null);
  api.experimentAssets = async () => {
    lists++;
    return [asset("manifest-w.jsonl")];
  };
  const source = new CometSource(api, ["one"]);
  await source.runs();
  await source.manifests("one");
  assert.equal(lists, 1);
  await source.manifests("one");
  assert.equal(lists, 2);
});

test("an experiment that records after the panel was opened is seen", async () => {
  let has = false;
  const { api } = many(() => has);
  const source = new CometSource(api, ["one"]);
  await refusal(source);
  has = true;
  assert.deepEqual(
    (await source.runs()).map(({ id }) => id),
    ["one"],
  );
});

test("an experiment that begins to record beside the one that is shown is told of", async () => {
  const has = new Set(["one"]);
  const { api } = many((key) => has.has(key));
  const source = new CometSource(api, ["one", "two"]);
  const names = told(source);
  await source.runs();
  await source.manifests("one");
  has.add("two");
  await source.manifests("one");
  while (!names.has("two")) await turn();
  await turn();
  await turn();
  assert.equal(names.get("two"), "run two");
});

test("a list that nobody has read from for long is read anew", async (t) => {
  const { api, counts } = many(() => true);
  const source = new CometSource(api, ["one", "two"]);
  await source.runs();
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 60_000 });
  await source.manifests("one");
  assert.equal(counts.lists, 3);
});

test("names are asked a few at a time, and those that never come hold nothing up", async (t) => {
  const { api, counts } = many(() => true);
  const ask = api.experimentName!;
  const silent = keys(20).slice(0, 10);
  api.experimentName = (key) => (silent.includes(key) ? silence() : ask(key));
  const source = new CometSource(api, keys(30));
  const names = told(source);
  await elapsing(t, async () => {
    assert.deepEqual((await source.runs())[0], { id: "k0", name: "k0" });
    while (names.size < 20) await turn();
  });
  assert.ok(counts.mostNames <= 8);
  assert.equal((await source.runs())[12]!.name, "run k12");
});

test("names that come at once and names that come later are all shown", async () => {
  const { api } = many(() => true);
  api.experimentName = async (key) => {
    if (key !== "k0") await turn();
    return `run ${key}`;
  };
  const session = new Session(new CometSource(api, keys(2)), false);
  void session.start("");
  const named = (): string[] => session.runs.map(({ name }) => name);
  while (session.run === null || named().includes("k1")) await turn();
  assert.deepEqual(named(), ["run k0", "run k1"]);
  assert.equal(session.run?.name, "run k0");
  session.close();
});

test("where none of many has attention more are looked at, a few at a time, and what to do is said", async () => {
  const { api, counts } = many(() => false);
  const source = new CometSource(api, keys(500));
  const error = await refusal(source);
  assert.equal(error.name, "RunNotFoundError");
  assert.match(
    error.message,
    /^Of the 500 chosen experiments 240 have been looked at, and none has attention .* The others are looked at/,
  );
  assert.match(error.remedy, /^Filter the project's table/);
  assert.equal(counts.lists, 240);
  assert.ok(counts.most <= 8 && counts.mostNames === 0);
  assert.match((await refusal(source)).message, / 288 have been looked at/);
  assert.equal(counts.lists, 288);
});

test("one far behind among many is found, and those behind it when the list is opened", async () => {
  const { api } = many((key) => ["k60", "k300", "k499"].includes(key));
  const source = new CometSource(api, keys(500));
  const ids = async (asked: Promise<RunName[]>) => (await asked).map(({ id }) => id);
  assert.deepEqual(await ids(source.runs()), ["k60"]);
  assert.deepEqual(await ids(source.moreRuns!()), ["k300"]);
  assert.deepEqual(await ids(source.moreRuns!()), ["k499"]);
  assert.deepEqual(await ids(source.moreRuns!()), []);
});

test("one that an address names is looked at whatever its place", async () => {
  const { api } = many((key) => ["k0", "k400"].includes(key));
  const source = new CometSource(api, keys(500));
  await source.runs();
  assert.equal((await source.findRun!("k400"))?.id, "k400");
  assert.equal(await source.findRun!("k401"), null);
  assert.equal(await source.findRun!("elsewhere"), null);
  assert.equal(new CometSource(api, keys(48)).findRun, undefined);
});

test("one that is just being looked at is found when that is done, and one behind it at once", async () => {
  const { api } = many((key) => ["k5", "k47"].includes(key));
  const list = api.experimentAssets;
  let answer: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    answer = resolve;
  });
  api.experimentAssets = async (key) => (key === "k47" ? list(key) : gate.then(() => list(key)));
  const source = new CometSource(api, keys(60));
  const listing = source.runs();
  assert.equal((await source.findRun!("k47"))?.id, "k47");
  const [found, none] = [source.findRun!("k5"), source.findRun!("k6")];
  answer();
  assert.equal((await found)?.id, "k5");
  assert.equal(await none, null);
  assert.deepEqual(
    (await listing).map(({ id }) => id),
    ["k5", "k47"],
  );
});

test("one that is looked for again takes none of the others' places in the round", async () => {
  const { api } = many((key) => ["k0", "k99"].includes(key));
  const source = new CometSource(api, keys(100));
  await source.runs();
  for (let count = 0; count < 60; count++) assert.equal(await source.findRun!("k1"), null);
  const more = await source.moreRuns!();
  assert.deepEqual(
    more.map(({ id }) => id),
    ["k99"],
  );
  assert.deepEqual(await source.moreRuns!(), []);
});

test("who opens the list while all others are being looked at waits for them", async () => {
  const { api } = many((key) => ["k0", "k50"].includes(key));
  const source = new CometSource(api, keys(51));
  await source.runs();
  const [one, other] = [source.moreRuns!(), source.moreRuns!()];
  assert.deepEqual(
    [...(await one), ...(await other)].map(({ id }) => id),
    ["k50", "k50"],
  );
});
