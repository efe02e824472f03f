// A cache bounded by bytes: the longest unused goes first.

export class ByteCache<T> {
  private readonly items = new Map<string, { value: T; bytes: number }>();
  private total = 0;
  constructor(private readonly limit: number) {}

  get(key: string): T | undefined {
    const item = this.items.get(key);
    if (!item) return undefined;
    this.items.delete(key);
    this.items.set(key, item);
    return item.value;
  }

  set(key: string, value: T, bytes: number): void {
    this.delete(key);
    this.items.set(key, { value, bytes });
    this.total += bytes;
    for (const [oldest, item] of this.items) {
      if (this.total <= this.limit || oldest === key) break;
      this.items.delete(oldest);
      this.total -= item.bytes;
    }
  }

  delete(key: string): void {
    const item = this.items.get(key);
    if (!item) return;
    this.items.delete(key);
    this.total -= item.bytes;
  }

  get size(): number {
    return this.total;
  }
}
