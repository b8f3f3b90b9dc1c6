"""Draw a line chart as SVG text, without a library. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 20, 84, 52
_INK, _FAINT = "#24292f", "#d0d7de"
# These colours are distinct also for people who are colour-blind.
_COLOURS = ("#0969da", "#bc4c00", "#6e7781")
_DASHES = ("", "", "5 4")
_STEPS = (1, 2, 2.5, 5, 10)
_GRID_LINES = 5


@dataclass(frozen=True)
class Chart:
    """A chart: ``series`` by name, each as long as ``ticks``; ``events`` by their tick."""

    title: str
    across: str
    up: str
    ticks: Sequence[str]
    series: Mapping[str, Sequence[float]]
    events: Mapping[int, str]

    def svg(self) -> str:
        """Return the whole chart. Its background is white, so that it is readable on dark pages."""
        step = _grid(max(max(values) for values in self.series.values()))
        top = step * _GRID_LINES
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12" '
            f'fill="{_INK}" role="img" aria-label="{escape(self.title)}">'
        )
        parts = [
            head,
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            _text(_LEFT, 24, self.title, "start", 'font-size="15" font-weight="bold"'),
            *self._frame(step),
            *self._events(),
        ]
        for place, (name, values) in enumerate(self.series.items()):
            parts += self._line(place, values, top)
            parts += _legend(place, name)
        return "\n".join([*parts, "</svg>", ""])

    def _x(self, place: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (place + 0.5) / len(self.ticks)

    def _frame(self, step: float) -> list[str]:
        parts = [_text((WIDTH + _LEFT) / 2, HEIGHT - 12, self.across)]
        parts.append(_text(_LEFT, _TOP - 10, self.up, "start"))
        for line in range(_GRID_LINES + 1):
            y = _y(line / _GRID_LINES)
            parts.append(
                f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" stroke="{_FAINT}" fill="none"/>'
            )
            parts.append(_text(_LEFT - 8, y + 4, f"{line * step:g}", "end"))
        parts += [
            _text(self._x(place), HEIGHT - _BOTTOM + 18, tick)
            for place, tick in enumerate(self.ticks)
        ]
        return parts

    def _events(self) -> list[str]:
        parts = []
        for place, what in self.events.items():
            x = self._x(place - 0.5)
            parts.append(
                f'<path d="M{x:.1f} {_TOP}V{HEIGHT - _BOTTOM}" stroke="{_INK}" '
                'stroke-dasharray="2 3" fill="none"/>'
            )
            parts.append(_text(x - 5, _TOP + 14, what, "end"))
        return parts

    def _line(self, place: int, values: Sequence[float], top: float) -> list[str]:
        points = [(self._x(i), _y(value / top)) for i, value in enumerate(values)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        colour, dash = _COLOURS[place], _DASHES[place]
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        line = f'<path d="M{path}" stroke="{colour}" stroke-width="2"{dashed} fill="none"/>'
        dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        return [line, *dots]


def _y(share: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share


def _legend(place: int, name: str) -> list[str]:
    x = _LEFT + 225 * place
    dash = f' stroke-dasharray="{_DASHES[place]}"' if _DASHES[place] else ""
    return [
        f'<path d="M{x} 46h24" stroke="{_COLOURS[place]}" stroke-width="2"{dash} fill="none"/>',
        f'<circle cx="{x + 12}" cy="46" r="3.5" fill="{_COLOURS[place]}"/>',
        _text(x + 31, 50, name, "start"),
    ]


def _text(x: float, y: float, what: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(what)}</text>'


def _grid(highest: float) -> float:
    """Return a round distance of grid lines, so that ``highest`` is below the last line."""
    power = 1.0
    while power * _STEPS[-1] * _GRID_LINES < highest:
        power *= 10
    while power * _STEPS[0] * _GRID_LINES >= highest and power > 1e-6:
        power /= 10
    return next(power * step for step in (*_STEPS, 100) if power * step * _GRID_LINES >= highest)
