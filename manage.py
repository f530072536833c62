#!/usr/bin/env python
"""Tenner's command line: ``python manage.py help`` lists the commands."""

from __future__ import annotations

import os
import sys


def main() -> None:
    try:
        "".join(sys.argv).encode()
    except UnicodeEncodeError:
        # Bytes that are no text could neither be stored nor printed.
        sys.stderr.write("An argument is not text in UTF-8.\n")
        sys.exit(2)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "api.settings")
    if sys.argv[1:2] == ["quote"]:
        # A quote from a file asks no database, so none is started for it.
        os.environ.setdefault("DATABASE_URL", "postgresql://nobody@localhost/nothing")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
