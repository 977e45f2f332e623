"""A process for supervisor tests: `python -m tests.integration.local_stack.stand_in PORT [--ignore-term] [--exit CODE]
[--child]`. It listens on PORT and answers every connection like /readyz; --child starts a child that does nothing."""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--ignore-term", action="store_true")
parser.add_argument("--exit", type=int)
parser.add_argument("--child", action="store_true")
arguments = parser.parse_args()
signal.signal(signal.SIGINT, signal.SIG_IGN)
if arguments.exit is not None:
    sys.exit(arguments.exit)
if arguments.ignore_term:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if arguments.child:
    # a session of its own would escape the group; this one does not
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(f"child {child.pid}", flush=True)
with socket.create_server(("127.0.0.1", arguments.port)) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n{}")
        time.sleep(0)
