# SPDX-License-Identifier: BSD-3-Clause
"""FastAPI under uvicorn: a route on the loop and one in the pool of threads."""
import json

import work
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def on_the_loop():
    return json.loads(work.answer())


@app.get("/pool")
def in_the_pool():
    return json.loads(work.answer())
