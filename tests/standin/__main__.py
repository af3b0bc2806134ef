"""`python -m tests.standin --port 0 --defect NAME --variation NAME`: prints its URL on the first line, then serves."""

import argparse
import socket

import uvicorn

from tests.standin.behaviour import Settings
from tests.standin.defects import DEFECTS
from tests.standin.server import create_standin
from tests.standin.variations import VARIATIONS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.standin", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--defect", choices=sorted(DEFECTS), metavar="NAME", help="the one defect that is planted")
    parser.add_argument(
        "--variation", choices=sorted(VARIATIONS), metavar="NAME", action="append", default=[], help="repeatable"
    )
    parser.add_argument("--token", action="append", default=[], help="one organisation each; repeatable")
    parser.add_argument("--list", action="store_true", help="names of defects and variations")
    asked = parser.parse_args()
    if asked.list:
        for defect in DEFECTS.values():
            print(f"defect     {defect.id}  ({', '.join(defect.rules)}): {defect.what}")
        for variation in VARIATIONS.values():
            print(f"variation  {variation.id}: {variation.what}")
        return
    settings = Settings(tokens=tuple(asked.token)) if asked.token else Settings()
    app = create_standin(asked.defect, frozenset(asked.variation), settings)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((asked.host, asked.port))
    listener.listen(128)  # who reads the URL can connect at once
    print(f"http://{asked.host}:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    main()
