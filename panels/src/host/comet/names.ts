// Names of experiments: a courtesy that nothing waits for, asked a few at a time.
import { AT_ONCE, type CometApi, within } from "./api";

/** Milliseconds after which the next is asked; a name that comes later is taken all the same. */
const PATIENCE = 3_000;

export class Names {
  private readonly known = new Map<string, string>();
  private readonly asked = new Set<string>();
  private readonly queue: string[] = [];
  private open = 0;

  constructor(
    private readonly api: CometApi,
    /** Is told a name when it comes. */
    private readonly told: (key: string, name: string) => void,
  ) {}

  /** The name as far as it is known: until then, how the key begins. */
  of(key: string): string {
    if (!this.asked.has(key)) {
      this.asked.add(key);
      this.queue.push(key);
      this.next();
    }
    return this.known.get(key) ?? key.slice(0, 9);
  }

  private next(): void {
    while (this.open < AT_ONCE) {
      const key = this.queue.shift();
      if (key === undefined) return;
      this.open++;
      within(PATIENCE, this.ask(key))
        .catch(() => undefined)
        .finally(() => {
          this.open--;
          this.next();
        });
    }
  }

  private async ask(key: string): Promise<void> {
    try {
      const name = await this.api.experimentName?.(key);
      if (typeof name !== "string" || !name) return;
      this.known.set(key, name);
      this.told(key, name);
    } catch {
      // Whoever lists the experiment again asks again.
      this.asked.delete(key);
    }
  }
}
