"""`python -m fake_sagemaker --port 0 --s3-url http://127.0.0.1:5555`: serves until SIGTERM."""

import argparse
import os
import pathlib
import signal
import sys
import threading

from .server import serve
from .world import Settings, World


def main():
    parser = argparse.ArgumentParser(prog="fake_sagemaker", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--s3-url", default=os.environ.get("AWS_ENDPOINT_URL_S3"), help="where S3 is (moto)")
    parser.add_argument("--logs-url", default=None, help="where CloudWatch Logs are; by default with S3")
    parser.add_argument("--python", default=sys.executable, help="the Python of the script-mode images")
    parser.add_argument("--hub", type=pathlib.Path, default=None, help="a folder of further hub documents")
    parser.add_argument("--with-stdin", action="store_true", help="stop when standard input closes")
    options = parser.parse_args()
    if not options.s3_url:
        parser.error("--s3-url or AWS_ENDPOINT_URL_S3 says where S3 is; there is no default, so that no test meets AWS")

    settings = Settings(
        s3_url=options.s3_url,
        logs_url=options.logs_url or options.s3_url,
        python=options.python,
        hub=options.hub,
    )
    world = World(settings)
    server = serve(world, options.port)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    stopped = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopped.set())
    if options.with_stdin:
        threading.Thread(target=wait_for_stdin, args=[stopped], daemon=True).start()
    stopped.wait()
    world.close()
    server.shutdown()


def wait_for_stdin(stopped):
    while os.read(0, 4096):
        pass
    stopped.set()


main()
