"""A chat endpoint of OpenAI's format for tests: a process on loopback that writes queries and grades by
shared words, and logs every request to a file."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

KEY = "a-key-that-nobody-may-see"


@dataclass(frozen=True)
class Chat:
    """`requests`: bodies so far, each asked once by whoever asked."""

    url: str
    log: Path
    process: subprocess.Popen[str]

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def chat_service(folder: Path, **behaviour: int) -> Iterator[Chat]:
    """`slow_from`: from this request on, counted from 1, an answer takes a minute; `port`: to listen on."""
    log = folder / "requests.jsonl"
    log.touch()
    process = subprocess.Popen(
        [sys.executable, __file__, str(log), json.dumps(behaviour)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"CHAT_KEY": KEY},
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Chat(f"http://127.0.0.1:{port}/v1", log, process)
    finally:
        process.kill()
        process.wait(20)


def completion(text: str, prompt: str = "", **more: Any) -> dict[str, Any]:
    """The answer with this text; a token is a word."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())},
        **more,
    }


def said(prompt: str) -> str:
    """To a prompt for grades the grade 1 where half of the query's words stand in the passage, else 0; to one
    for queries as many queries as it asks for, of words of the passage."""
    passage = prompt.rpartition("Passage:")[2].partition("\n\nAnswer with")[0].split()
    graded = re.search(r"Query: (.*)\nPassage: [^\n]*\n\nAnswer with", prompt)
    if graded:
        words = graded[1].split()
        return json.dumps({"grade": int(2 * len(set(words) & set(passage)) >= len(words))})
    count = int(re.search(r"a list of (\d+) string", prompt)[1])  # type: ignore[index]
    return json.dumps([" ".join(passage[place : place + 4]) for place in range(count)])


def main() -> None:
    log, behaviour = Path(sys.argv[1]), json.loads(sys.argv[2])
    app = FastAPI()
    numbers = itertools.count(1)

    @app.post("/v1/chat/completions")
    def answer(request: Request, body: dict[str, Any]) -> JSONResponse:
        if request.headers.get("authorization") != f"Bearer {os.environ['CHAT_KEY']}":
            return JSONResponse({"error": {"message": "no such key"}}, 401)
        number = next(numbers)  # two at once have two numbers
        with log.open("a") as handle:
            handle.write(json.dumps(body) + "\n")
        if number >= behaviour.get("slow_from", 1e9):
            time.sleep(60)
        (message,) = body["messages"]
        return JSONResponse(completion(said(message["content"]), message["content"]))

    config = uvicorn.Config(app, host="127.0.0.1", port=int(behaviour.get("port", 0)), log_level="error")
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    print(socket.getsockname()[1], flush=True)
    server.run(sockets=[socket])


if __name__ == "__main__":
    main()
