// One experiment's assets: which there are, the manifests among them, and the bytes of each.
import { AssetMissing } from "../../decode/errors";
import type { Manifest } from "../source";
import type { CometAsset } from "./api";
import type { Ways } from "./ways";

const ROOT = "attnlog/";
const MANIFEST = /^manifest-[a-z0-9][a-z0-9-]{0,63}\.jsonl$/;

/** A manifest's text, and of which asset it is. */
interface Read {
  asset: string;
  text: Promise<string>;
}

export class Experiment {
  /** Path inside the run → its asset, the newest of several; null: not listed yet. */
  private assets: Map<string, CometAsset> | null = null;
  /** Path → length in bytes, as manifests say. */
  private readonly sizes = new Map<string, number>();
  private readonly read = new Map<string, Read>();

  constructor(
    private readonly key: string,
    private readonly ways: Ways,
  ) {}

  /** Lists the assets anew; where that fails, the list before still says what there is. */
  async list(): Promise<void> {
    const assets = new Map<string, CometAsset>();
    for (const asset of await this.ways.list(this.key)) {
      const path = pathOf(asset);
      const other = path === null ? undefined : assets.get(path);
      if (path !== null && (!other || isNewer(asset, other))) assets.set(path, asset);
    }
    this.assets = assets;
  }

  /** Whether attnlog has logged anything to it that can be shown. */
  get hasManifest(): boolean {
    return [...(this.assets?.keys() ?? [])].some((path) => MANIFEST.test(path));
  }

  has(path: string): boolean {
    return !this.assets || this.assets.has(path) || this.assets.has(`${path}.json`);
  }

  /** Its manifests; each is fetched once, for one that grows is another asset. */
  async manifests(): Promise<Manifest[]> {
    const assets = await this.listed();
    const names = [...assets.keys()].filter((path) => MANIFEST.test(path)).sort();
    return Promise.all(names.map(async (name) => ({ name, text: await this.manifest(name, assets.get(name)!) })));
  }

  async get(path: string): Promise<Uint8Array> {
    const assets = await this.listed();
    const [asset, twin] = [assets.get(path), assets.get(`${path}.json`)];
    if (!asset && !twin) {
      throw new AssetMissing(
        `${path} is not among the experiment's assets.`,
        "It may still be on its way: look again later.",
      );
    }
    return this.ways.bytes(this.key, path, this.sizes.get(path), asset, twin);
  }

  private async listed(): Promise<Map<string, CometAsset>> {
    if (!this.assets) await this.list();
    return this.assets!;
  }

  private manifest(name: string, { assetId, createdAt, fileSize }: CometAsset): Promise<string> {
    const asset = JSON.stringify([assetId, createdAt, fileSize]);
    const known = this.read.get(name);
    if (known?.asset === asset) return known.text;
    const text = this.ways.text(this.key, name, this.assets!.get(name)!, "type");
    this.read.set(name, { asset, text });
    text.then(
      (said) => noteSizes(said, this.sizes),
      () => this.read.get(name)?.text === text && this.read.delete(name),
    );
    return text;
  }
}

/** Of several assets with one name, as a manifest that was replaced, the last made counts; else the longest, for manifests grow. */
function isNewer(asset: CometAsset, than: CometAsset): boolean {
  const later = (asset.createdAt ?? 0) - (than.createdAt ?? 0);
  return later > 0 || (later === 0 && (asset.fileSize ?? 0) >= (than.fileSize ?? 0));
}

function pathOf(asset: CometAsset): string | null {
  const names = [asset.fileName, `${asset.dir ?? ""}/${asset.fileName}`];
  const name = names.find((candidate) => candidate?.startsWith(ROOT));
  return name === undefined ? null : name.slice(ROOT.length);
}

function noteSizes(text: string, sizes: Map<string, number>): void {
  for (const line of text.split("\n")) {
    try {
      const said = JSON.parse(line) as { inputs?: unknown; asset?: unknown; assets?: unknown[] };
      for (const record of [said.inputs, said.asset, ...(said.assets ?? [])] as { path?: unknown; bytes?: unknown }[]) {
        if (typeof record?.path === "string" && typeof record.bytes === "number") sizes.set(record.path, record.bytes);
      }
    } catch {
      // The session reads the manifest by the rules and says what is wrong with it.
    }
  }
}
