"""The diagrams of the documentation: `python -m tools.diagrams` writes them to `docs/images/`, for light and dark.

Boxes and arrows are placed by hand on a grid; text has the reader's system font. `tests/tools/test_reference.py` fails
if a file differs from what this module draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Final

IMAGES: Final = Path(__file__).resolve().parent.parent / "docs" / "images"
LIGHT: Final = MappingProxyType(
    {
        "ink": "#1f2328",
        "soft": "#59636e",
        "line": "#8c959f",
        "box": "#f6f8fa",
        "ours": "#dbe7ff",
        "edge": "#4263eb",
    }
)
DARK: Final = MappingProxyType(
    {
        "ink": "#e6edf3",
        "soft": "#9198a1",
        "line": "#6e7681",
        "box": "#21262d",
        "ours": "#1c2b55",
        "edge": "#91a7ff",
    }
)
HEIGHT: Final = 56  # of a box


class Drawing:
    """Boxes and arrows in one palette."""

    def __init__(self, width: int, height: int, title: str, colors: Mapping[str, str]) -> None:
        self._size = (width, height)
        self._title = title
        self._colors = colors
        self._parts: list[str] = []

    def box(self, x: int, y: int, width: int, *lines: str, ours: bool = False) -> None:
        """Draw a box with lines of text; `ours` marks what kargoweb does."""
        fill, edge = (
            (self._colors["ours"], self._colors["edge"])
            if ours
            else (self._colors["box"], self._colors["line"])
        )
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{HEIGHT}" rx="8" fill="{fill}" stroke="{edge}"/>'
        )
        first = y + HEIGHT / 2 + 5 - 9 * (len(lines) - 1)
        for number, line in enumerate(lines):
            self.text(x + width / 2, first + 18 * number, line, soft=number > 0)

    def text(self, x: float, y: float, words: str, *, soft: bool = False, anchor: str = "middle") -> None:
        """Draw one line of text."""
        color, size = (self._colors["soft"], 13) if soft else (self._colors["ink"], 15)
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" fill="{color}" font-size="{size}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def arrow(self, *points: tuple[int, int], dashed: bool = False) -> None:
        """Draw an arrow along these points."""
        path = "M" + " L".join(f"{x} {y}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<path d="{path}" fill="none" stroke="{self._colors["line"]}" stroke-width="1.5"{dash} '
            'marker-end="url(#head)"/>'
        )

    def svg(self) -> str:
        """Return the file."""
        width, height = self._size
        head = (
            '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            f'<path d="M0 0 L8 4 L0 8 z" fill="{self._colors["line"]}"/></marker>'
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                f'width="{width}" height="{height}" '
                'font-family="system-ui, sans-serif" role="img">',
                f"<title>{escape(self._title)}</title>",
                f"<defs>{head}</defs>",
                *self._parts,
                "</svg>\n",
            ]
        )


def push_path(colors: Mapping[str, str]) -> Drawing:
    """Draw the way of a push from Docker Hub to the Stages."""
    drawing = Drawing(760, 300, "The path of a push", colors)
    drawing.box(20, 30, 130, "Docker Hub")
    drawing.box(210, 30, 150, "1 · store", "delivery log", ours=True)
    drawing.box(400, 30, 150, "2 · match", "one verdict each", ours=True)
    drawing.box(590, 30, 150, "3 · refresh", "retried", ours=True)
    drawing.text(285, 20, "kargoweb", soft=True)
    drawing.arrow((150, 58), (210, 58))
    drawing.text(180, 48, "POST", soft=True)
    drawing.arrow((360, 58), (400, 58))
    drawing.arrow((550, 58), (590, 58))
    drawing.box(590, 150, 150, "Kubernetes API", "Warehouses")
    drawing.arrow((665, 86), (665, 150))
    drawing.text(675, 122, "annotation", soft=True, anchor="start")
    drawing.box(590, 230, 150, "Kargo", "discovers, promotes")
    drawing.arrow((665, 206), (665, 230))
    drawing.box(400, 230, 150, "Freight", "contains the tag")
    drawing.arrow((590, 258), (550, 258))
    drawing.box(210, 230, 150, "Stages", "until production")
    drawing.arrow((400, 258), (360, 258))
    drawing.box(400, 150, 150, "4 · track", "to an outcome", ours=True)
    drawing.arrow((590, 178), (550, 178), dashed=True)
    drawing.text(570, 142, "watch", soft=True)
    drawing.box(210, 150, 150, "5 · show", "pages, API, alerts", ours=True)
    drawing.arrow((400, 178), (360, 178))
    drawing.box(20, 150, 130, "users")
    drawing.arrow((150, 178), (210, 178))
    return drawing


def path_split(colors: Mapping[str, str]) -> Drawing:
    """Draw how one host leads to kargoweb and to Kargo's server."""
    drawing = Drawing(880, 240, "One host for kargoweb and Kargo's server", colors)
    drawing.box(20, 30, 150, "Docker Hub")
    drawing.box(20, 150, 150, "GitHub, Quay, ...")
    drawing.box(270, 90, 190, "Ingress or Gateway", "kargo-hooks.example.com")
    drawing.arrow((170, 58), (220, 58), (220, 108), (270, 108))
    drawing.arrow((170, 178), (220, 178), (220, 128), (270, 128))
    drawing.box(620, 30, 230, "kargoweb", "namespace kargoweb", ours=True)
    drawing.box(620, 150, 230, "external webhooks server", "namespace kargo")
    drawing.arrow((460, 108), (540, 108), (540, 58), (620, 58))
    drawing.arrow((460, 128), (540, 128), (540, 178), (620, 178))
    drawing.text(480, 48, "/dockerhub/")
    drawing.text(480, 198, "every other path")
    return drawing


def refresh(colors: Mapping[str, str]) -> Drawing:
    """Draw the states of a refresh and where it can end."""
    drawing = Drawing(880, 230, "The states of a refresh", colors)
    states = (
        ("requested", "annotation set"),
        ("handled", "seen by Kargo"),
        ("discovered", "the tag is listed"),
    )
    for number, (name, detail) in enumerate(states):
        x = 20 + 220 * number
        drawing.box(x, 40, 160, name, detail, ours=True)
        drawing.arrow((x + 160, 68), (x + 220, 68))
    drawing.box(680, 40, 180, "Freight created", "or already current", ours=True)
    ends = (
        ("not requested", "not handled"),
        ("discovery failed", "tag not visible"),
        ("not the newest", "manual creation, ..."),
    )
    for number, lines in enumerate(ends):
        x = 20 + 220 * number
        drawing.box(x, 160, 190, *lines)
        drawing.arrow((x + 80, 96), (x + 80, 160), dashed=True)
    drawing.text(112, 130, "after retries", soft=True, anchor="start")
    drawing.text(332, 130, "after retries", soft=True, anchor="start")
    drawing.box(680, 160, 180, "Stages", "where, or why not")
    drawing.arrow((770, 96), (770, 160))
    return drawing


DRAWINGS: Final[Mapping[str, Callable[[Mapping[str, str]], Drawing]]] = MappingProxyType(
    {"push-path": push_path, "path-split": path_split, "refresh": refresh}
)


def files() -> dict[str, str]:
    """Return each file by name."""
    palettes = {"": LIGHT, "-dark": DARK}
    return {
        f"{name}{suffix}.svg": draw(colors).svg()
        for name, draw in DRAWINGS.items()
        for suffix, colors in palettes.items()
    }


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for name, text in files().items():
        (IMAGES / name).write_text(text)
