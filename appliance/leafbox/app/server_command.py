"""`leafbox-server`: takes nats-server's flags and configuration files, behaves as nats-server does."""

from __future__ import annotations

import argparse
from dataclasses import replace

from leafbox.app.configuration.options import Options
from leafbox.app.lifecycle import run_process


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="leafbox-server")
    parser.add_argument("-a", "--addr", "--net", default="0.0.0.0")
    parser.add_argument("-p", "--port", type=int, default=4222)
    parser.add_argument("-D", action="store_true")
    arguments, _ = parser.parse_known_args()
    options = Options()
    options = replace(
        options,
        clients=replace(options.clients, host=arguments.addr, port=arguments.port),
        logging=replace(options.logging, is_debug=arguments.D),
    )
    return run_process(options)
