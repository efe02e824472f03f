// The ways in which Comet gives an asset, one after another until one gives what was logged.
import { type CometApi, type CometAsset, CometTransportError, type Fetch, patience, Unanswered, within } from "./api";
import { reason, toBytes, toText, whyNotArrow, whyNotJson } from "./bytes";

/** `twin` is the copy as text, of which an asset has one only where it was asked for. */
const WAYS = ["arraybuffer", "blob", "link", "twin"] as const;
const TEXT_WAYS = ["text", "arraybuffer", "blob", "link"] as const;
type Way = (typeof WAYS)[number];
type TextWay = (typeof TEXT_WAYS)[number];

const TWIN = "ATTNLOG_COMET_TWIN=1";
const NAMES: Partial<Record<Way, string>> = { twin: "base64 copy" };

export class Ways {
  /** The way that worked last, of each experiment: not every one has copies as text. */
  private readonly worked = new Map<string, Way>();
  private last: Way = WAYS[0];
  private lastText: TextWay = TEXT_WAYS[0];

  constructor(
    private readonly api: CometApi,
    private readonly download: Fetch,
  ) {}

  list(key: string): Promise<CometAsset[]> {
    return within(patience(), this.api.experimentAssets(key));
  }

  /** Bytes of an Arrow asset, which may be there as it is, as a copy in text, or both. */
  async bytes(
    key: string,
    path: string,
    size: number | undefined,
    asset: CometAsset | undefined,
    twin: CometAsset | undefined,
  ): Promise<Uint8Array> {
    const there = WAYS.filter((way) => (way === "twin" ? twin : asset));
    const ask = async (way: Way): Promise<Uint8Array> => {
      const bytes =
        way === "twin"
          ? await this.untwinned(key, `${path}.json`, twin!)
          : await toBytes(await this.ask(key, asset!, way));
      const wrong = whyNotArrow(bytes, size);
      if (wrong) throw new Error(wrong);
      return bytes;
    };
    const refusals: string[] = [];
    const time = patience(size ?? asset?.fileSize ?? 0);
    const found = await climb(first(there, this.worked.get(key) ?? this.last), time, ask, refusals);
    if (found) {
      this.last = found.way;
      this.worked.set(key, found.way);
      return found.answer;
    }
    if (!twin) refusals.push("base64 copy: none was logged");
    throw new CometTransportError(
      `Comet did not give ${path} as it was logged (${refusals.join("; ")}). ` +
        `Train with ${TWIN} set, which logs a copy as text that every Comet passes on.`,
    );
  }

  /** Text of an asset that is JSON with this name in it. Text survives every way. */
  async text(key: string, path: string, asset: CometAsset, word: string): Promise<string> {
    const ask = async (way: TextWay): Promise<string> => {
      const text = await toText(await this.ask(key, asset, way), word);
      const wrong = whyNotJson(text, word, asset.fileSize);
      if (wrong) throw new Error(wrong);
      return text;
    };
    const refusals: string[] = [];
    const found = await climb(first(TEXT_WAYS, this.lastText), patience(asset.fileSize ?? 0), ask, refusals);
    if (!found)
      throw new CometTransportError(
        `Comet did not give ${path} (${refusals.join("; ")}).`,
        "Reload the page, or sign in again.",
      );
    this.lastText = found.way;
    return found.answer;
  }

  private async untwinned(key: string, path: string, twin: CometAsset): Promise<Uint8Array> {
    const said = JSON.parse(await this.text(key, path, twin, "base64")) as { base64?: unknown };
    if (typeof said.base64 !== "string") throw new Error("it has no base64");
    return Uint8Array.from(atob(said.base64), (letter) => letter.charCodeAt(0));
  }

  private async ask(key: string, asset: CometAsset, way: Exclude<Way | TextWay, "twin">): Promise<unknown> {
    if (way !== "link") return this.api.experimentAsset(key, asset.assetId, way);
    if (!asset.link) throw new Error("the asset has no link");
    let answer: Response;
    try {
      answer = await this.download(asset.link, { credentials: "include" });
    } catch {
      // A store that lets everybody read what the link signs refuses cookies.
      answer = await this.download(asset.link, { credentials: "omit" });
    }
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    return answer.arrayBuffer();
  }
}

/** The same ways, this one before all others. */
const first = <W>(ways: readonly W[], way: W): W[] => [...ways].sort((a, b) => Number(b === way) - Number(a === way));

/** Goes on from way to way until one gives an answer; what the others said is added to `refusals`. */
async function climb<W extends string, T>(
  ways: readonly W[],
  time: number,
  ask: (way: W) => Promise<T>,
  refusals: string[],
): Promise<{ way: W; answer: T } | null> {
  let rest = [...ways];
  for (;;) {
    const way = rest.shift();
    if (way === undefined) return null;
    try {
      // Of a copy as text each way of the text has its time.
      return { way, answer: await (way === "twin" ? ask(way) : within(time, ask(way))) };
    } catch (error) {
      refusals.push(`${NAMES[way as Way] ?? way}: ${reason(error)}`);
      // Where one call of Comet's is never answered another hardly is; a link asks somebody else.
      if (error instanceof Unanswered) rest = first(rest, "link" as W);
    }
  }
}
