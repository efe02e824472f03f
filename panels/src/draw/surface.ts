// A canvas that keeps its pixels equal to device pixels.

export interface Surface {
  canvas: HTMLCanvasElement;
  context: CanvasRenderingContext2D;
  /** Device pixels per CSS pixel. */
  ratio: number;
}

export const pixelRatio = (): number => Math.min(3, Math.max(1, globalThis.devicePixelRatio || 1));

/** Gives the canvas this size in CSS pixels and clears it. */
export function prepare(canvas: HTMLCanvasElement, width: number, height: number): Surface {
  const ratio = pixelRatio();
  const w = Math.max(1, Math.round(width * ratio));
  const h = Math.max(1, Math.round(height * ratio));
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, w, h);
  return { canvas, context, ratio };
}

export function put(surface: Surface, pixels: Uint8ClampedArray<ArrayBuffer>, width: number, height: number): void {
  surface.context.putImageData(new ImageData(pixels, width, height), 0, 0);
}
