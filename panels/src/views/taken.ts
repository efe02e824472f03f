// What a view lets people take away, as plain data: for tests and for hosts.
import type { Take } from "./view";

export interface Taken {
  name: string;
  title: string;
  svg: string | null;
  columns: string[];
  rows: (string | number)[][];
  python: string;
}

export function taken(take: Take | null): Taken | null {
  if (!take) return null;
  const { columns, rows } = take.table();
  const svg = take.svg();
  return {
    name: take.name,
    title: take.title,
    svg: svg && new XMLSerializer().serializeToString(svg),
    columns,
    rows: [...rows()],
    python: take.python(),
  };
}
