// A Comet that tests play: its panel API, assets of one run, and calls that never answer.
import type { TestContext } from "node:test";
import type { CometApi, CometAsset } from "../src/host/comet/api";

export const PATH = "step-00000001/w-0/index.arrow";
export const ARROW = Uint8Array.from(
  [..."ARROW1\0\0"]
    .map((c) => c.charCodeAt(0))
    .concat(
      [0xff, 0xfe, 0, 200, 7],
      [..."ARROW1"].map((c) => c.charCodeAt(0)),
    ),
);
const RECORD = { path: PATH, kind: "index", bytes: ARROW.length };
export const MANIFEST = `${JSON.stringify({ type: "commit", n: 0, inputs: RECORD, assets: [] })}\n`;

export function asset(fileName: string, more: Partial<CometAsset> = {}): CometAsset {
  return {
    assetId: fileName,
    fileName: `attnlog/${fileName}`,
    createdAt: 1,
    link: `https://comet.test/${fileName}`,
    ...more,
  };
}

export function comet(
  give: (asset: string, type: string | undefined) => unknown,
  assets = [asset("manifest-w.jsonl"), asset(PATH)],
): CometApi {
  return {
    experimentAssets: async () => assets,
    experimentAsset: async (_key, id, type) => (id.endsWith(".jsonl") ? MANIFEST : give(id, type)),
    experimentName: async () => "run one",
  };
}

export const noLink = async () => new Response("no", { status: 403 });

/** A call that is never answered. */
export const silence = (): Promise<never> => new Promise(() => undefined);

/** What a promise gives while a clock that stands for all timers runs as fast as it can. */
export async function elapsing<T>(test: TestContext, begin: () => Promise<T>): Promise<T> {
  test.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  let open = true;
  const asked = begin().finally(() => {
    open = false;
  });
  asked.catch(() => undefined);
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!open) return asked;
    test.mock.timers.tick(500);
  }
}
