"""What the viewer looks like, as small pictures: `python -m tests.browser.looks` takes them anew, test_looks.py compares with them.

They are robust to the machine: every character is drawn as a box of one font, and pixels are compared as means over squares, with
tolerance. A view that is missing, moved or of other colours is still told apart.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.browser.boxes import FONT
from tests.browser.pages import embedded, until
from tests.chromium import launch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from playwright.sync_api import Browser, Page

LOOKS = Path(__file__).parent / "looks"
SIZES = {1280: 800, 400: 800}
THEMES = ("light", "dark")
VIEWS = ("head", "matrix", "model", "neuron", "timeline", "tokens")
COMPARED = ("head", "matrix")
PLACE = "step=100&input=0&kind=self&layer=1&heads=0,2&side=diff"
COMPARISON = "step=0&compare=step:200"
"""The golden run whose hidden states, losses and saliency give every view something to draw."""
RUN = "beside"
"""Pixels of a square, either way."""
BOX = 8
"""How much a channel, from 0 to 255, may be off on average, and how many cells may be off by how much."""
MEAN, FAR, SHARE = 1.2, 32, 0.012


@dataclass(frozen=True)
class Look:
    """One picture: of the whole page where it is narrow, of one view's place where it is wide; `view` is "page" for all of it."""

    view: str
    width: int
    theme: str
    compared: bool = False

    @property
    def name(self) -> str:
        return "-".join([self.view, *(["diff"] if self.compared else []), str(self.width), self.theme])

    @property
    def hash(self) -> str:
        return f"#view={'head' if self.view == 'page' else self.view}&{PLACE}&{COMPARISON if self.compared else 'compare=off'}"


"""Every text in the font of boxes, whatever fonts there are, from the first letter that is measured."""
ONE_FONT = f"""<style>.attnlog, .attnlog * {{ font-family: Boxes !important; font-synthesis: none !important }}</style><script>
  const bytes = Uint8Array.from(atob("{base64.b64encode(FONT.read_bytes()).decode()}"), one => one.charCodeAt(0));
  document.fonts.add(new FontFace("Boxes", bytes));
  const own = Object.getOwnPropertyDescriptor(CanvasRenderingContext2D.prototype, "font");
  const set = function (text) {{ own.set.call(this, text.replace(/px .*/, "px Boxes")); }};
  Object.defineProperty(CanvasRenderingContext2D.prototype, "font", {{ ...own, set }});
</script>"""


def all_looks() -> list[Look]:
    return [
        Look(view, width, theme, compared)
        for width in SIZES
        for theme in THEMES
        for compared in (False, True)
        for view in (*(["page"] if width > 900 and not compared else []), *VIEWS)
        if not compared or (width > 900 and view in COMPARED)
    ]


class Camera:
    """One page for each width and theme, kept for all its pictures, and one in which pictures are made small."""

    def __init__(self, browser: Browser, file: Path) -> None:
        self.browser = browser
        self.file = file
        self.pages: dict[tuple[int, str], Page] = {}
        self.lens = browser.new_context().new_page()
        file.write_text(embedded(RUN, head=ONE_FONT), encoding="utf-8")

    def page(self, look: Look) -> Page:
        key = (look.width, look.theme)
        if key not in self.pages:
            scheme: Any = look.theme
            size: Any = {"width": look.width, "height": SIZES[look.width]}
            context = self.browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
            page = context.new_page()
            page.goto(f"{self.file.as_uri()}{look.hash}")
            page.wait_for_selector('[data-attnlog-state="ready"]')
            self.pages[key] = page
        return self.pages[key]

    def shot(self, look: Look) -> bytes:
        """The picture as it is on screen."""
        page = self.page(look)
        page.evaluate("hash => { location.hash = hash }", look.hash)
        view = look.hash.split("view=")[1].split("&")[0]
        settled = "[...document.querySelectorAll('[data-view]:not([hidden])')].every(one => one.dataset.ready)"
        compared = f"Boolean(studio.state.compare) === {str(look.compared).lower()}"
        signed = " && studio.head.signed" if look.compared and view == "head" else ""
        until(page, f"studio.state.view === '{view}' && {compared}{signed} && {settled}")
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        whole = look.view == "page" or look.width <= 900
        there = page if whole else page.locator(f'[data-view="{look.view}"]')
        return there.screenshot(animations="disabled")

    def small(self, png: bytes, size: tuple[int, int] | None = None) -> NDArray[np.float64]:
        """Means over boxes, as cells of red, green and blue; of `size` (height, width) where it is given."""
        shape, cells = self.lens.evaluate(MAKE_SMALL, [_url(png), BOX, list(size) if size else None])
        return np.frombuffer(base64.b64decode(cells), dtype=np.uint8).reshape(*shape, 3).astype(float)

    def png(self, cells: NDArray[np.float64]) -> bytes:
        """Cells as a picture of one pixel each."""
        raw = base64.b64encode(cells.round().astype(np.uint8).tobytes()).decode()
        url: str = self.lens.evaluate(MAKE_PNG, [raw, cells.shape[1], cells.shape[0]])
        return base64.b64decode(url.split(",", 1)[1])

    def wanted(self, look: Look) -> NDArray[np.float64]:
        """The picture that is committed."""
        png = (LOOKS / f"{look.name}.png").read_bytes()
        shape, cells = self.lens.evaluate(MAKE_SMALL, [_url(png), 1, None])
        return np.frombuffer(base64.b64decode(cells), dtype=np.uint8).reshape(*shape, 3).astype(float)

    def close(self) -> None:
        for page in (self.lens, *self.pages.values()):
            page.context.close()


def off(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> tuple[float, float]:
    """How far two pictures of one size are from each other: the mean over cells, and the share of cells that are far off.

    A cell may stand one cell from its place.
    """
    one, other = _beyond(found, wanted), _beyond(wanted, found)
    cells = np.maximum(one, other)
    return float(cells.mean()), float((cells > FAR).mean())


def _beyond(cells: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each cell is outside what the others are there and just beside."""
    height, width = others.shape[:2]
    edge = np.pad(others, ((1, 1), (1, 1), (0, 0)), mode="edge")
    near = [edge[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    low, high = np.min(near, axis=0), np.max(near, axis=0)
    far: NDArray[np.float64] = np.maximum(np.maximum(low - cells, cells - high), 0).max(axis=2)
    return far


def _url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


MAKE_SMALL = """async ([url, box, size]) => {
  const image = new Image();
  image.src = url;
  await image.decode();
  const [height, width] = size ?? [Math.max(1, Math.round(image.height / box)), Math.max(1, Math.round(image.width / box))];
  const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  let text = '';
  for (let r = 0; r < height; r++) for (let c = 0; c < width; c++) {
    const [top, bottom] = [Math.floor(r * image.height / height), Math.ceil((r + 1) * image.height / height)];
    const [left, right] = [Math.floor(c * image.width / width), Math.ceil((c + 1) * image.width / width)];
    const sum = [0, 0, 0];
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++)
      for (let n = 0; n < 3; n++) sum[n] += data[(y * image.width + x) * 4 + n];
    for (const one of sum) text += String.fromCharCode(Math.round(one / ((bottom - top) * (right - left))));
  }
  return [[height, width], btoa(text)];
}"""

MAKE_PNG = """([raw, width, height]) => {
  const cells = atob(raw);
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let n = 0; n < 3; n++) image.data[i * 4 + n] = cells.charCodeAt(i * 3 + n);
    image.data[i * 4 + 3] = 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas.toDataURL('image/png');
}"""


def take() -> Iterator[tuple[str, int]]:
    """Take all pictures anew; gives their names and bytes."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as directory:
        browser = launch(playwright)
        camera = Camera(browser, Path(directory) / "page.html")
        LOOKS.mkdir(exist_ok=True)
        names = {look.name for look in all_looks()}
        for old in LOOKS.glob("*.png"):
            if old.stem not in names:
                old.unlink()
        for look in all_looks():
            png = camera.png(camera.small(camera.shot(look)))
            (LOOKS / f"{look.name}.png").write_bytes(png)
            yield look.name, len(png)
        browser.close()


if __name__ == "__main__":
    taken = dict(take())
    print(f"{len(taken)} pictures, {sum(taken.values()) / 1e3:.0f} kB, in {LOOKS}")
