# SPDX-License-Identifier: BSD-3-Clause
"""Flask's own server: a thread for each request."""
import work
from flask import Flask, Response

app = Flask(__name__)


@app.route("/")
def view():
    return Response(work.answer(), mimetype="application/json")


if __name__ == "__main__":
    app.run("127.0.0.1", 8000, threaded=True)
