# SPDX-License-Identifier: BSD-3-Clause
"""For gunicorn, uWSGI and mod_wsgi."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import work  # noqa: E402


def application(environ, start_response):
    body = work.answer()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
