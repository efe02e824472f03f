// A run that goes on: its record as it is now, with the commits of before where they are the same.
import type { Commit, RunRecord } from "../decode/types";

/** Decoded scenes hang on the objects of commits, so those that are known are kept and brought up to date. */
export function grown(before: readonly Commit[], record: RunRecord): RunRecord {
  const known = new Map(before.map((one) => [`${one.writer} ${one.n}`, one]));
  const commits = record.commits.map((one) => {
    const old = known.get(`${one.writer} ${one.n}`);
    return old ? Object.assign(old, one) : one;
  });
  return { ...record, commits };
}

/** Most looks that are let pass between two tries. */
const RAREST = 32;

/** When to try again what failed: at the next look, then ever more rarely, for some damage stays. */
export class Retry {
  private pass = 0;
  private next = 1;

  /** Whether this look is one to try at. */
  due(): boolean {
    if (this.pass-- > 0) return false;
    this.pass = this.next;
    this.next = Math.min(RAREST, this.next * 2);
    return true;
  }

  reset(): void {
    this.pass = 0;
    this.next = 1;
  }
}
