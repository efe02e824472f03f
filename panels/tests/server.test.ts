// Pages of a server: what is asked for again, how often, and what is said where it refuses.
import assert from "node:assert/strict";
import { afterEach, type TestContext, test } from "node:test";
import type { AttnlogError } from "../src/decode/errors";
import { MlflowSource } from "../src/host/mlflow";
import { ServerSource } from "../src/host/server";
import type { RunName } from "../src/host/source";
import { Session } from "../src/session/session";

interface Asked {
  path: string;
  headers: Record<string, string>;
  cache: string | undefined;
}

const real = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = real;
});

/** Lets a function answer what is asked for; gives what was asked. */
function server(answer: (path: string, headers: Record<string, string>) => Response): Asked[] {
  const asked: Asked[] = [];
  globalThis.fetch = async (path, init) => {
    const headers = (init?.headers ?? {}) as Record<string, string>;
    asked.push({ path: String(path), headers, cache: init?.cache });
    return answer(String(path), headers);
  };
  return asked;
}

const json = (value: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(value), { status, headers });

const said = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => assert.fail("it was given"),
    (error: AttnlogError) => `${error.name}: ${error.message} ${error.remedy}`,
  );

const PATH = "step-00000001/w-0/attention.arrow";

test("manifests that have not changed are not sent again, and are the same object", async () => {
  const texts = [{ name: "manifest-w.jsonl", text: "{}\n" }];
  let tag = '"1"';
  const asked = server((_path, headers) =>
    headers["If-None-Match"] === tag
      ? new Response(null, { status: 304 })
      : json({ manifests: texts }, 200, { ETag: tag }),
  );
  const source = new ServerSource("");
  const first = await source.manifests("a");
  assert.equal(await source.manifests("a"), first);
  tag = '"2"';
  assert.notEqual(await source.manifests("a"), first);
  await source.manifests("b");
  assert.deepEqual(
    asked.map(({ headers, cache }) => [headers["If-None-Match"], cache]),
    [
      [undefined, "no-cache"],
      ['"1"', "no-store"],
      ['"1"', "no-store"],
      [undefined, "no-cache"],
    ],
  );
});

test("a server without entity tags is asked as before", async () => {
  const asked = server(() => json({ manifests: [] }));
  const source = new ServerSource("");
  await source.manifests("a");
  await source.manifests("a");
  assert.deepEqual(
    asked.map(({ headers }) => headers),
    [{}, {}],
  );
});

test("what is not there is named by its path, with the server's own words", async () => {
  server(() => json({ error: "it is named by a manifest but is not there" }, 404));
  const words = await said(new MlflowSource().get("abc", PATH));
  assert.match(
    words,
    /^AssetMissing: The server has no step-00000001\/w-0\/attention\.arrow: it is named .* not there\. /,
  );
  assert.doesNotMatch(words, /run_id|%2F/);
});

test("a sentence of the server's that names the asset stands alone", async () => {
  server(() =>
    json({ error: "step-00000001/w-0/attention.arrow is named by a manifest but is not in mlflow:1; fetch it" }, 404),
  );
  const words = await said(new ServerSource("").get("r", PATH));
  assert.match(words, /^AssetMissing: step-00000001\/w-0\/attention\.arrow is named .* mlflow:1; fetch it\./);
});

test("what fails behind the server is told in its words, and where it has none in ours", async () => {
  server(() => json({ error: "MLflow's store does not answer; the log of the server says why" }, 502));
  assert.match(
    await said(new MlflowSource().manifests("abc")),
    /^AssetError: The server answered 502 for manifests of this run: MLflow's store does not answer; .* says why\. /,
  );
  server(() => new Response("<html>Bad gateway</html>", { status: 502 }));
  assert.match(await said(new MlflowSource().runs()), /^AssetError: The server answered 502 for runs\. $/);
});

test("who may not read a run is told so, and whom to ask", async () => {
  server(() => new Response("Permission denied", { status: 403 }));
  const source = new MlflowSource();
  for (const asked of [source.findRun("abc"), source.manifests("abc"), source.get("abc", PATH)])
    assert.match(await said(asked), /Error: This server does not let you read .*\. Ask .* administrator/);
  server(() => new Response("", { status: 401 }));
  assert.match(await said(source.manifests("abc")), /does not know who asks .* Sign in/);
});

test("an address of a run that one may not read says so, where there is no other", async () => {
  server((path) =>
    path.startsWith("runs") ? json({ runs: [], next: null }) : new Response("Permission denied", { status: 403 }),
  );
  const session = new Session(new MlflowSource(), false);
  await session.start("#run=abc");
  assert.equal(session.phase, "empty");
  assert.match(String(session.error), /This server does not let you read run abc\./);
  session.close();
});

test("a run that is nowhere is none", async () => {
  server(() => json({ error: "this server has no run 'abc'" }, 404));
  assert.equal(await new MlflowSource().findRun("abc"), null);
});

/** A page of one run: looks at it in so many seconds, and says how long it waits then. */
async function opened(t: TestContext, status: string) {
  t.mock.timers.enable({ apis: ["Date"] });
  t.mock.timers.setTime(1_000_000);
  const run: RunName = { id: "abc", name: "run", status };
  const asked = server((path) =>
    path.startsWith("manifests")
      ? json({ manifests: [] })
      : path.startsWith("runs")
        ? json({ runs: [run] })
        : json(run),
  );
  const source = new MlflowSource();
  source.follow((told) => Object.assign(known, told));
  const [known] = (await source.runs()) as [RunName];
  const look = async (seconds = 15): Promise<number> => {
    t.mock.timers.tick(seconds * 1000);
    await source.manifests("abc");
    await new Promise((resolve) => setImmediate(resolve));
    return source.pollOf(known);
  };
  const looks = async (count: number): Promise<number[]> => {
    const found: number[] = [];
    while (found.length < count) found.push(await look());
    return found;
  };
  return { run, known, asked, look, looks };
}

test("a run that ends is looked at as before for as long as its last steps may be on their way, and then rarely", async (t) => {
  const { run, known, asked, look, looks } = await opened(t, "running");
  assert.deepEqual(await looks(3), Array(3).fill(15_000));
  run.status = "finished";
  assert.equal(await look(), 15_000);
  assert.equal(known.status, "finished");
  assert.deepEqual(await looks(11), Array(11).fill(15_000));
  assert.deepEqual(await looks(2), [300_000, 300_000]);
  // Whether it goes on is asked every minute.
  assert.equal(asked.filter(({ path }) => path.startsWith("run?")).length, 4);
  run.status = "running";
  await looks(4);
  assert.equal(await look(), 15_000);
  run.status = "finished";
  assert.deepEqual(await looks(12), Array(12).fill(15_000));
});

test("a run whose end is not known for long when the page opens is looked at as often as one that goes on", async (t) => {
  const { look, looks } = await opened(t, "finished");
  assert.equal(await look(0), 15_000);
  assert.deepEqual(await looks(11), Array(11).fill(15_000));
  assert.equal(await look(), 300_000);
});

test("a page that nobody looked at while the last steps came looks once more before it looks rarely", async (t) => {
  const { look } = await opened(t, "finished");
  assert.equal(await look(170), 15_000);
  assert.equal(await look(3_600), 300_000);
});
