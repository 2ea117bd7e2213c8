"""Colour: contrast as WCAG measures it, and a brand's colour made readable on a page."""

READABLE = 4.5
"""The contrast that WCAG asks of text."""
_STEPS = 20


def contrast(one: str, other: str) -> float:
    """The contrast of two colours `#rrggbb` as WCAG measures it, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def readable(colour: str, page: str) -> str:
    """The colour, moved away from the page's until text in it can be read there."""
    towards = 0 if _luminance(page) > 0.5 else 255
    channels = _channels(colour)
    moved = (
        "#" + "".join(f"{round(value + (towards - value) * step / _STEPS):02x}" for value in channels)
        for step in range(_STEPS + 1)
    )
    return next((one for one in moved if contrast(one, page) >= READABLE), "#000000" if towards == 0 else "#ffffff")


def text_on(colour: str) -> str:
    """Nearly black or white: what is easier to read on this colour."""
    return max("#ffffff", "#101418", key=lambda on: contrast(on, colour))


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    shares = (value / 255 for value in _channels(colour))
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
