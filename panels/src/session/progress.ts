// How many bytes are on their way, and how many of them have come.

export class Progress {
  wanted = 0;
  got = 0;
  private open = 0;
  private readonly listeners = new Set<() => void>();

  /** Whether something is being fetched. */
  get busy(): boolean {
    return this.open > 0;
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Follows one fetch of so many bytes; `fetch` may say how many have come. */
  async follow<T>(bytes: number, fetch: (arrived: (bytes: number) => void) => Promise<T>): Promise<T> {
    if (this.open === 0) this.wanted = this.got = 0;
    this.open++;
    this.wanted += bytes;
    let counted = 0;
    const count = (now: number): void => {
      const more = Math.min(bytes, now) - counted;
      counted += more;
      this.got += more;
      this.tell();
    };
    this.tell();
    try {
      return await fetch(count);
    } finally {
      this.open--;
      count(bytes);
    }
  }

  private tell(): void {
    for (const listener of [...this.listeners]) listener();
  }
}
