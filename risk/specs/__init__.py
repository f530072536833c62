"""Specifications kept beside the code: what a data set's columns mean, and the house's settings."""

from __future__ import annotations

from importlib.resources import files


def spec_text(name: str) -> str:
    """The text of ``risk/specs/{name}.toml`` (``"lending_club_2016q1"``, ``"house"``).

    Raises:
        FileNotFoundError: when there is no such specification.
    """
    return files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
