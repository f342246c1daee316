"""How much memory a large file takes on its way through the server to S3 and back, and what a kill costs.

`python tests/aws/large_object.py PROGRAM SITE [GIB]`: starts moto and the program with `STORAGE_URL=s3://…`, uploads a file
of so many GiB (3.2 by default) in pieces over /api/uploads, kills the server with SIGKILL half-way, goes on, downloads
the file again, and prints the figures. Moto keeps the object in the temporary directory.
"""

import hashlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

MOTO = pathlib.Path(__file__).parent.parent / "support/moto_server.py"
PIECE = 32 << 20
PART = 8 << 20
ROW = b'{"text":"' + b"the quick brown fox jumps over the lazy dog " * 22 + b'"}\n'


def main(program, site, gib):
    size = int(gib * (1 << 30)) // len(ROW) * len(ROW)
    with tempfile.TemporaryDirectory() as folder:
        moto = subprocess.Popen(
            [sys.executable, str(MOTO), "-H", "127.0.0.1", "-p", str(moto_port := free_port())],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        server = None
        try:
            wait(moto_port)
            endpoint = f"http://127.0.0.1:{moto_port}"
            request(moto_port, "PUT", "/large", b"")
            port = free_port()
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": folder,
                "DATA_DIR": f"{folder}/data",
                "LEPTOS_SITE_ROOT": site,
                "LEPTOS_SITE_ADDR": f"127.0.0.1:{port}",
                "STORAGE_URL": "s3://large/team",
                "MAX_UPLOAD_BYTES": str(size + 1),
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "RUST_LOG": "error",
            }
            start = lambda: subprocess.Popen([program, "serve"], env=environment, stdout=subprocess.DEVNULL)
            server = start()
            wait(port)
            body = json.dumps({"email": "a@example.com", "password": "correct horse battery", "full_name": "A"})
            answer, _ = request(port, "POST", "/api/auth/register", body.encode(), {"content-type": "application/json"})
            cookie = {"cookie": answer.getheader("set-cookie").split(";")[0]}
            idle = memory(server, "VmRSS")

            tus = {**cookie, "tus-resumable": "1.0.0"}
            metadata = "filename bGFyZ2UuanNvbmw="
            answer, _ = request(
                port, "POST", "/api/uploads", b"", {**tus, "upload-length": str(size), "upload-metadata": metadata}
            )
            place = answer.getheader("location")
            place = place[place.index("/api/") :]
            told, offset, killed = 0, 0, False
            begun = time.monotonic()
            peak_first = 0
            while offset < size:
                end = min(offset + PIECE, size)
                if not killed and offset >= size // 2:
                    killed = True
                    peak_first = memory(server, "VmHWM")
                    sent = cut_piece(port, place, tus, offset, end, server)
                    server = start()
                    wait(port)
                    answer, _ = request(port, "HEAD", place, b"", tus)
                    kept = int(answer.getheader("upload-offset"))
                    told = offset + sent - kept
                    offset = kept
                    continue
                piece = content(offset, end)
                headers = {**tus, "upload-offset": str(offset), "content-type": "application/offset+octet-stream"}
                answer, text = request(port, "PATCH", place, piece, headers, timeout=600)
                assert answer.status == 204, (answer.status, text)
                offset = end
            up = time.monotonic() - begun
            _, text = request(port, "GET", "/api/datasets", b"", cookie)
            dataset = json.loads(text)["datasets"][0]
            begun = time.monotonic()
            digest = hashlib.sha256()
            received = download(port, f"/api/datasets/{dataset['id']}/download", cookie, digest)
            down = time.monotonic() - begun
            expected = hashlib.sha256()
            for at in range(0, size, PIECE):
                expected.update(content(at, min(at + PIECE, size)))
            peak = max(peak_first, memory(server, "VmHWM"))
            print(f"bytes up and down       {size:,} and {received:,}")
            print(f"SHA-256 equal           {digest.hexdigest() == expected.hexdigest()}")
            print(f"memory idle, at most    {idle / 1024:.0f} MiB, {peak / 1024:.0f} MiB: {(peak - idle) / 1024:+.0f} MiB")
            print(f"sent again after SIGKILL {max(told, 0) / 1024 / 1024:.1f} MiB (a part is {PART >> 20} MiB)")
            print(f"time up, down           {up:.0f} s, {down:.0f} s")
        finally:
            for process in (server, moto):
                if process:
                    process.kill()
                    process.wait()


def content(start, end):
    first = start // len(ROW)
    rows = ROW * ((end - first * len(ROW)) // len(ROW) + 1)
    return rows[start - first * len(ROW) : end - first * len(ROW)]


def cut_piece(port, place, headers, offset, end, server):
    """Sends three quarters of a piece, waits until they are gone, and kills the server; how much was sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.putrequest("PATCH", place)
    for key, value in {**headers, "upload-offset": str(offset), "content-type": "application/offset+octet-stream"}.items():
        connection.putheader(key, value)
    connection.putheader("content-length", str(end - offset))
    connection.endheaders()
    sent = (end - offset) * 3 // 4 + (5 << 20)  # not at the end of a part
    connection.send(content(offset, offset + sent))
    time.sleep(3)
    server.send_signal(signal.SIGKILL)
    server.wait()
    return sent


def download(port, path, headers, digest):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    received = 0
    while chunk := answer.read(1 << 20):
        digest.update(chunk)
        received += len(chunk)
    return received


def request(port, method, path, body, headers=None, timeout=120):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    return answer, answer.read().decode(errors="replace")


def memory(process, what):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1])
    raise ValueError(what)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait(port):
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(port)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 3.2)
