// Something that is read for a view: what came of it, and no longer what came of an earlier wish.

/** What was read, or why it could not be. */
export type Settled<T> = { value: T; error?: undefined } | { error: unknown; value?: undefined };

export class Loaded<T> {
  result: Settled<T> | undefined;
  private key = "";
  private turn = 0;

  /** Reads what `key` names, unless that has been asked for; says when it is there. */
  want(key: string, read: () => Promise<T>, done: () => void): void {
    if (key === this.key) return;
    this.key = key;
    this.result = undefined;
    const turn = ++this.turn;
    const settle = (result: Settled<T>): void => {
      if (turn !== this.turn) return;
      this.result = result;
      done();
    };
    read().then(
      (value) => settle({ value }),
      (error: unknown) => settle({ error: error ?? new Error("it could not be read") }),
    );
  }

  /** Forgets it, and whatever is on its way. */
  drop(): void {
    this.turn++;
    this.key = "";
    this.result = undefined;
  }
}
