"""The log writes to standard error as it stands when something is said."""

from contextlib import redirect_stderr
from io import StringIO

import structlog

from shared import log


def test_a_line_goes_where_standard_error_is_now_though_it_was_closed_before() -> None:
    try:
        with redirect_stderr(StringIO()) as first:
            log.configure("json")
            first.close()
        with redirect_stderr(StringIO()) as second:
            structlog.get_logger("test").warning("still_here")
        assert '"event": "still_here"' in second.getvalue()
    finally:
        structlog.reset_defaults()
