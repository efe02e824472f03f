// Reads what is likely to be asked for next, while nobody waits for anything: the steps and layers beside the one that is shown.
import type { Commit } from "../decode/types";
import { readScene } from "./other";
import { kindsOf, partOf, type Scene } from "./scene";
import type { State } from "./state";
import type { Store } from "./store";
import { findAsset } from "../decode/manifest";

/** Milliseconds without a change before anything is read ahead. */
const QUIET = 350;
/** Bytes of one asset or layer that are still read ahead. */
const MOST = 4_000_000;

export class Ahead {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private turn = 0;

  /** Begins anew: what is shown has changed. */
  look(store: Store, commits: readonly Commit[], scene: Scene, state: State): void {
    const turn = ++this.turn;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.read(turn, store, commits, scene, state), QUIET);
  }

  close(): void {
    this.turn++;
    clearTimeout(this.timer);
  }

  private async read(
    turn: number,
    store: Store,
    commits: readonly Commit[],
    scene: Scene,
    state: State,
  ): Promise<void> {
    const at = commits.indexOf(scene.commit);
    const layers = kindsOf(scene, state.input).find((one) => one.kind === state.kind)?.layers ?? [];
    const place = layers.findIndex((one) => one.layer === state.layer);
    const tasks: (() => Promise<unknown> | null)[] = [1, -1].flatMap((by) => {
      const [entry, commit] = [layers[place + by], commits[at + by]];
      return [
        () => {
          const small =
            entry && ((partOf(scene, "attention", entry) ?? partOf(scene, "sparse", entry))?.part.length ?? 0) < MOST;
          return small ? store.weights(scene, entry) : null;
        },
        () => (commit && this.fits(store, commit) ? readScene(store, commit) : null),
        () => (commit && this.fits(store, commit) ? store.pictures(commit) : null),
      ];
    });
    for (const task of tasks) {
      if (turn !== this.turn) return;
      try {
        await task();
      } catch {
        // Whoever asks for it in earnest is told.
      }
    }
  }

  private fits(store: Store, commit: Commit): boolean {
    return (["index", "pictures"] as const).every((kind) => {
      const record = findAsset(commit, kind);
      return record !== null && record.bytes < MOST && store.carries(record.path);
    });
  }
}
