// Comet's panel API as far as it is used, and how long and how often it is asked.
import { AssetError } from "../../decode/errors";

/** What a panel's `this.api` gives, as far as it is used. Return types are undocumented, so results are looked at. */
export interface CometApi {
  experimentAssets(key: string): Promise<CometAsset[]>;
  experimentAsset(key: string, assetId: string, returnType?: string): Promise<unknown>;
  experimentName?(key: string): Promise<unknown>;
}

export interface CometAsset {
  assetId: string;
  fileName: string;
  dir?: string | null;
  fileSize?: number | null;
  createdAt?: number | null;
  link?: string | null;
}

export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** Questions that are asked at the same time. */
export const AT_ONCE = 8;
/** Milliseconds that a call may take, and bytes of its answer that have another millisecond: a slow line is no dead one. */
const PATIENCE = 20_000;
const SLOWEST = 250;

/** No way of this Comet gave the asset's bytes as they were logged. */
export class CometTransportError extends AssetError {
  static override errorName = "CometTransportError";
}

/** A call has not answered, and may never. */
export class Unanswered extends Error {}

/** Milliseconds to wait for an answer of so many bytes. */
export const patience = (bytes = 0): number => PATIENCE + bytes / SLOWEST;

/** The answer; fails where it does not come in time, so that a call which never settles holds nothing up. */
export function within<T>(time: number, asking: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Unanswered(`no answer within ${Math.round(time / 1000)} s`)), time);
    asking.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Works through a list, a few at a time. */
export async function inTurns<T>(list: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  let next = 0;
  const turn = async (): Promise<void> => {
    while (next < list.length) await work(list[next++]!);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, list.length) }, turn));
}
